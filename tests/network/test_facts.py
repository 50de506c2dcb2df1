"""Files that other releases wrote: what they say beyond this release is refused, unless it says nothing."""

import json

import attrs
import pytest

from movinet_lite.errors import ModelError
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.files import read_network_spec, save_network
from movinet_lite.network.litert_file import LiteRTInfo, pack_litert, read_litert_info
from movinet_lite.network.onnx_file import FACTS_KEY, FORMAT, parse_onnx_facts
from movinet_lite.network.spec import NetworkSpec, read_facts, write_facts


@attrs.frozen(kw_only=True)
class LaterSpec(NetworkSpec):
    """What a later release knows of a network."""

    colour_space: str | None = None


@attrs.frozen(kw_only=True)
class LaterInfo(LiteRTInfo):
    """The same for a LiteRT file."""

    colour_space: str | None = None


SPEC = NetworkSpec(
    mode="stream",
    num_classes=2,
    variant="t0",
    frame_size=(32, 48),
    fps=5.0,
    positional_encoding=False,
    gate="hard_sigmoid",
    labels=("sit", "run"),
    temperature=1.5,
)


class _Network:
    """What `save_network` needs of a network."""

    def __init__(self, spec):
        self.spec = spec
        self.named_weights = {}
        self.options = attrs.make_class("Options", {"folded": attrs.field()})(False)


def _as_weights(spec, folder):
    save_network(_Network(spec), folder / "network.safetensors")
    return read_network_spec(folder / "network.safetensors")


def _as_saved_model(spec, folder):
    write_facts(spec, folder)
    return read_facts(folder)


def _as_onnx(spec, _folder):
    facts = {"format": FORMAT, **attrs.asdict(spec)}
    return parse_onnx_facts({FACTS_KEY: json.dumps(facts)}, "model.onnx")


def _as_litert(spec, folder):
    info = LaterInfo.from_facts(
        spec, num_frames=1, batch=1, colour_space=spec.colour_space
    )
    (folder / "model.tflite").write_bytes(pack_litert(b"graph" * 100, info))
    return read_litert_info(folder / "model.tflite")


FORMS = [_as_weights, _as_saved_model, _as_onnx, _as_litert]


@pytest.mark.parametrize("written", FORMS)
def test_a_later_fact_that_says_nothing_is_passed_over(tmp_path, written):
    """A file that does not use what a later release added is read as if this release had written it."""
    found = written(LaterSpec.from_facts(SPEC), tmp_path)

    for name in attrs.fields_dict(type(found)):
        if hasattr(SPEC, name):
            assert getattr(found, name) == getattr(SPEC, name), name


@pytest.mark.parametrize("written", FORMS)
def test_a_later_fact_is_refused(tmp_path, written):
    """It may change what the model computes: one error names it, and tells to upgrade."""
    spec = LaterSpec.from_facts(SPEC, colour_space="bt2020")

    with pytest.raises(
        ModelError, match=r"also has colour_space \(.*upgrade"
    ) as caught:
        written(spec, tmp_path)

    assert "damaged" not in str(caught.value)


def test_a_later_fact_of_a_transformer_is_refused():
    """What is said of a part counts as well."""
    facts = {
        "embed_dim": 8,
        "depth": 1,
        "num_heads": 2,
        "mlp_dim": 8,
        "causal": False,
        "window": None,
    }
    assert attrs.evolve(SPEC, transformer=facts).transformer == TransformerFacts(
        8, 1, 2, 8, causal=False
    )
    with pytest.raises(ModelError, match="also has window"):
        attrs.evolve(SPEC, transformer={**facts, "window": 50})
