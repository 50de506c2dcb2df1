"""Tests that snapshots of GRW-smoothing become networks that compute what PyTorch computes."""

import attrs
import numpy as np
import pytest

from movinet_lite.errors import ModelError
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.layers import Timeline
from movinet_lite.network.model import unroll
from movinet_lite.network.pytorch.importing import import_pytorch
from tests.networks import (
    assert_same_logits,
    moving_clips,
    randomise,
    small_network,
    tiny_variant,
)
from tests.pytorch_files import Raw, name, save, smoothing_snapshot

FACTS = TransformerFacts(embed_dim=12, depth=2, num_heads=3, mlp_dim=20, causal=True)
CAUSAL = {"activation": "hard_swish", "gate": "keras2_hard_sigmoid"}


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    with tiny_variant():
        yield


def _clip_network(facts=FACTS):
    return small_network("base", transformer=facts, **(CAUSAL if facts.causal else {}))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "package", ["grw_smoothing_models.model", "video_retrieval.model.v10"]
)
def test_a_snapshot_becomes_the_network_of_its_weights(tmp_path, causal, package):
    """Backbone, embedding, norms and transformer get to their places, under either name of the project's package."""
    network = _clip_network(attrs.evolve(FACTS, causal=causal))
    path = save(smoothing_snapshot(network, package), tmp_path / "x.pt")

    found = import_pytorch(path, mode="base")

    assert found.spec.transformer == network.spec.transformer
    for weight, value in network.named_weights.items():
        np.testing.assert_array_equal(found.named_weights[weight], value, weight)
    assert_same_logits(found(moving_clips()), network(moving_clips()))


def test_one_snapshot_is_a_base_model_and_a_stream_model(tmp_path):
    """A causal backbone goes frame by frame as well, to the logits of the clip so far."""
    network = _clip_network()
    path = save(smoothing_snapshot(network), tmp_path / "x.pt")

    stream = import_pytorch(path, mode="stream")

    assert stream.spec.mode == "stream"
    assert_same_logits(stream(moving_clips()), network(moving_clips()))


def test_a_backbone_that_is_not_causal_takes_whole_clips_alone(tmp_path):
    """A3 of GRW-smoothing has no stream; the error is the one that every form of a model gives."""
    network = _clip_network(attrs.evolve(FACTS, causal=False))
    path = save(smoothing_snapshot(network), tmp_path / "x.pt")

    with pytest.raises(ModelError, match="this one is a base model"):
        import_pytorch(path, mode="stream")


def test_the_averaged_weights_are_taken_if_asked_for(tmp_path):
    """A snapshot may hold a second set of weights; without one, asking for it is an error."""
    network, average = _clip_network(), _clip_network()
    randomise(average, seed=9)
    state = smoothing_snapshot(average)["model_state"]
    averaged = {
        "n_averaged": np.asarray(3),
        **{f"module.{k}": v for k, v in state.items()},
    }
    path = save(smoothing_snapshot(network, ema_weights=averaged), tmp_path / "x.pt")

    found = import_pytorch(path, mode="base", averaged=True)

    assert_same_logits(found(moving_clips()), average(moving_clips()))
    assert_same_logits(import_pytorch(path)(moving_clips()), network(moving_clips()))
    save(smoothing_snapshot(network), path)
    with pytest.raises(ModelError, match="under 'ema_weights'; there are none"):
        import_pytorch(path, averaged=True)


def test_the_state_dict_alone_does_not_tell_the_heads(tmp_path):
    """Without the record, how many heads there are is unknown, and nothing is guessed."""
    snapshot = smoothing_snapshot(_clip_network())
    path = save(snapshot["model_state"], tmp_path / "x.pt")

    with pytest.raises(
        ModelError, match="has no 'transformer_params', which store the number"
    ):
        import_pytorch(path)


def test_a_record_that_does_not_fit_is_refused(tmp_path):
    """Sizes in the record that are missing, or not those of the tensors, are an error before anything is built."""
    network = _clip_network()
    record = (
        name("grw_smoothing_models.model.attention", "TransformerParams") + b")\x81"
    )
    empty = smoothing_snapshot(network, transformer_params=Raw(record))
    path = save(empty, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="must be those of GRW-smoothing"):
        import_pytorch(path)

    deeper = attrs.evolve(FACTS, depth=3)
    other = smoothing_snapshot(_clip_network(deeper))
    save({**other, "model_state": smoothing_snapshot(network)["model_state"]}, path)
    with pytest.raises(ModelError, match=r"12 missing: attention.transformer.layers.2"):
        import_pytorch(path)


@pytest.mark.parametrize(
    "attribute",
    ["os.attention.TransformerParams", "grw_smoothing_models.evil.TransformerParams"],
)
def test_a_record_of_another_module_is_refused(tmp_path, attribute):
    """The one class that is known is known by its full name; it is not looked up, and no other is."""
    module, _, cls = attribute.rpartition(".")
    record = Raw(name(module, cls) + b")\x81")
    snapshot = smoothing_snapshot(_clip_network(), transformer_params=record)
    path = save(snapshot, tmp_path / "x.pt")

    with pytest.raises(ModelError, match=f"asks for '{attribute}'"):
        import_pytorch(path)


def test_the_logits_are_those_of_pytorch(shared_torch):
    """A0-S with weights that PyTorch drew and saved gives the embeddings and the logits that PyTorch computed."""
    path = shared_torch("grw_a0s/snapshot.pt")
    reference = np.load(shared_torch("grw_a0s/reference.npz"))
    video = reference["video"]

    clip = import_pytorch(path, mode="base")
    assert_same_logits(clip(video), reference["clip_logits"], 1e-4)

    stream = import_pytorch(path, mode="stream")
    logits = np.asarray(stream.call_by_frame(video))[0]
    assert_same_logits(logits[-1:], reference["clip_logits"], 1e-4)

    found = _embeddings(clip, video, Timeline(1, video.shape[1], None))
    assert_same_logits(found, reference["embeddings"], 1e-4)


def _embeddings(network, video, timeline):
    """Return the embedding of each frame before the layer norm."""
    kept = []
    embed = network.head.embed
    network.head.embed = lambda *args, **kwargs: (
        kept.append(embed(*args, **kwargs)) or kept[0]
    )
    network.call_rows(unroll(video), timeline)
    return np.asarray(kept[0])[np.newaxis, :, 0, 0]
