"""Products with weights in two 8-bit parts: as exact as promised, and only where they are meant to be."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.engines.litert.operators import read_operators
from movinet_lite.errors import ConversionError
from movinet_lite.network.agreement import largest_difference, probe_clip
from movinet_lite.network.compact import CompactProducts
from movinet_lite.network.export import export_litert
from movinet_lite.network.model import build_movinet, fold
from tests.networks import randomise

_SIZE = (24, 32)


@pytest.fixture(scope="module")
def network():
    """The smallest network, with as many classes as the published ones."""
    network = build_movinet("t0", "stream", 600, frame_size=_SIZE)
    randomise(network, 0)
    return network


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The network in float32, and with compact products."""
    folder = tmp_path_factory.mktemp("compact")
    paths = [folder / name for name in ("exact.tflite", "compact.tflite")]
    for path in paths:
        export_litert(network, path, compact=path.stem == "compact")
    return paths


def test_logits_are_those_of_float32(network, files):
    """To the tolerance of a compiled model, frame after frame; one 8-bit part alone would be off by a hundred times that."""
    clip = probe_clip(6, *_SIZE)[0]
    expected = np.asarray(network.call_by_frame(clip[np.newaxis]))[0]
    differences = []
    for path in files:
        model = load_tflite(path, threads=1)
        logits, _ = model.step(clip, model.init_states(_SIZE))
        differences.append(largest_difference(logits, expected))
    exact, compact = differences
    assert exact < 1e-5
    assert exact < compact < 1e-4


def test_weights_take_half_the_bytes(network, files):
    """Of the large products; small ones stay as they are."""
    exact, compact = (path.stat().st_size for path in files)
    large = [
        layer.kernel.size
        for layer in fold(network).head.products_of_one_row
        if layer.kernel.size >= 100_000
    ]
    assert large
    assert exact - compact > 0.9 * sum(large) * 2
    kinds = [one.kind for one in read_operators(files[1])]
    assert kinds.count("FULLY_CONNECTED") == len(large)


def test_a_network_is_left_as_it_was(network, tmp_path):
    """Its next export has float32 weights again."""
    folded = fold(network)
    export_litert(folded, tmp_path / "compact.tflite", compact=True)
    export_litert(folded, tmp_path / "exact.tflite")
    kinds = [one.kind for one in read_operators(tmp_path / "exact.tflite")]
    assert "FULLY_CONNECTED" not in kinds


def test_a_row_of_zeros_gives_zeros():
    """And no division by zero."""
    kernel = np.random.default_rng(0).normal(size=(1, 1, 300, 400)).astype(np.float32)
    products = CompactProducts()
    found = products.convolve(tf.zeros([1, 1, 1, 300]), tf.constant(kernel), None)
    assert np.asarray(found).tolist() == np.zeros((1, 1, 1, 400)).tolist()


def test_weights_that_the_converter_has_changed_are_noticed(files):
    """A product without its weights in 8 bits would be slower than before, in silence."""
    products = CompactProducts()
    products.convolve(tf.ones([1, 1, 1, 300]), tf.ones([1, 1, 300, 400]), None)
    with pytest.raises(ConversionError, match=r"weights of all 1 products .* of 0"):
        products.store(files[0].read_bytes())
