"""The models whose speed is measured: on which engine they are, and what is refused."""

import pytest

from movinet_lite.benchmark.measured_models import load_measured
from movinet_lite.engines import loading
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.network.files import save_network
from movinet_lite.testing import FakeStreamModel
from tests.engines.fastest import FASTEST
from tests.networks import small_network, tiny_variant


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The file of a network, and a cache of its own."""
    folder = tmp_path_factory.mktemp("measured")
    with tiny_variant(shallow=True), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(folder / "cache"))
        save_network(
            small_network("stream", frame_size=(24, 32)), folder / "n.safetensors"
        )
        yield folder / "n.safetensors"


@pytest.mark.parametrize("engine", ["auto", "litert"])
def test_a_model_is_on_the_engine_that_is_asked_for(path, engine):
    """That which it gets by itself, if none is named."""
    model = load_measured(path, engine=engine)
    assert model.info.engine == (FASTEST if engine == "auto" else engine)
    assert model.last_call_s >= 0


def test_a_model_that_cannot_be_compiled_is_an_error(path, monkeypatch):
    """It says why; the speed of TensorFlow beside the name of the library would mislead."""

    def fail(*_, **__):
        raise RuntimeError("no room")

    monkeypatch.setattr(loading, "load_compiled", fail)
    monkeypatch.setattr(loading, "why_not", lambda: "no CPU for it")
    with (
        pytest.warns(UserWarning, match="TensorFlow runs the model"),
        pytest.raises(ConversionError, match="RuntimeError: no room"),
    ):
        load_measured(path)


def test_a_model_of_another_engine_is_refused(path, monkeypatch):
    """It does not tell how long its own calls take."""
    monkeypatch.setattr(
        "movinet_lite.benchmark.measured_models.load_model",
        lambda *_, **__: FakeStreamModel(),
    )
    with pytest.raises(ModelError, match="can be measured; this one runs on fake"):
        load_measured(path)
