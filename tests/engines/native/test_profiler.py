"""The profiler of the native engine: which parts it times, and what it says of them."""

import attrs
import numpy as np
import pytest

from movinet_lite.engines.native.planning import make_plan
from movinet_lite.engines.native.profiler import Profiler
from movinet_lite.engines.native.target import host_target, why_not
from movinet_lite.errors import ModelError
from movinet_lite.network.model import fold
from tests.networks import SIZE, small_network, tiny_variant

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

_OF_LAYERS = ("expansion", "depthwise", "means", "reduce", "gates", "projection")


@pytest.fixture(scope="module")
def network():
    """A stream network with layers of all kinds."""
    with tiny_variant():
        yield small_network("stream", frame_size=SIZE)


@pytest.fixture(scope="module")
def profiler(network):
    """The profiler of its code."""
    arrays = {
        name: np.asarray(weight) for name, weight in fold(network).named_weights.items()
    }
    return Profiler(make_plan(network.spec, arrays, host_target()), host_target())


@pytest.mark.parametrize("threads", [1, 2])
def test_every_part_is_timed(profiler, threads):
    """Those of the stem, of each layer and of the head, in the order they run in; what stands around them is no part."""
    times = profiler.measure(frames=1, threads=threads, calls=5)
    names = [(one.layer, one.kind) for one in times.parts]
    layers = ("b0/l0", "b1/l0", "b2/l0", "b2/l1")
    assert names == [
        *(("stem", kind) for kind in ("frame", "convolution")),
        *((layer, kind) for layer in layers for kind in _OF_LAYERS),
        *(("head", kind) for kind in ("project", "means", "hidden", "classifier")),
    ]
    assert all(one.us >= 0 for one in times.parts)
    whole = sum(one.us for one in times.parts)
    assert 0 < whole < times.call_us == whole + times.around_us


def test_multiply_adds_are_those_of_the_network(network, profiler):
    """As the table of variants counts them, which is for 600 classes."""
    parts = profiler.measure(frames=1, threads=1, calls=1).parts
    variant = attrs.evolve(network.variant, frame_size=SIZE)
    classes = variant.hidden_channels * (600 - network.spec.num_classes)
    counted = sum(one.multiply_adds for one in parts)
    assert counted == round(variant.frame_multiply_adds * 1e6) - classes


def test_a_call_of_several_frames_has_their_multiply_adds(profiler):
    """Of layers that take one image after the other too, whose time is that of all of them."""
    one = profiler.measure(frames=1, threads=1, calls=1).parts
    three = profiler.measure(frames=3, threads=1, calls=1).parts
    assert [part.multiply_adds for part in three] == [
        3 * part.multiply_adds for part in one
    ]


def test_a_call_takes_no_more_frames_than_the_code(profiler):
    """More would be written beyond the end of its memory."""
    for frames in (0, 9):
        with pytest.raises(ModelError, match=f"must take 1 to 8 frames; got {frames}"):
            profiler.measure(frames=frames, threads=1, calls=1)
