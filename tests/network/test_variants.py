"""The tables of the variants agree with what was published, and names are recognised."""

import pytest

from movinet_lite.errors import VariantError
from movinet_lite.network.variants import (
    as_mode,
    evaluation_short_side,
    get_variant,
    known_variants,
    recognise_variant,
)

STATES = {"a0": 43, "a1": 67, "a2": 73, "a3": 124, "a4": 178, "a5": 222}


def test_known_variants_are_sorted_by_size():
    """The list is complete and goes from small to large."""
    assert known_variants() == ("t0", "a0", "a1", "a2", "a3", "a4", "a5")


@pytest.mark.parametrize(("name", "count"), STATES.items())
def test_number_of_states_is_the_published_one(name, count):
    """The table implies as many state arrays as the published stream model carries."""
    assert get_variant(name).num_states == count


@pytest.mark.parametrize("name", known_variants())
def test_every_layer_has_a_kernel(name):
    """A block names one kernel and one width for each layer, and channels connect."""
    variant = get_variant(name)
    channels = variant.stem_channels
    for block in variant.blocks:
        assert len(block.kernels) == len(block.expanded)
    for _, _, layer in variant.layers:
        assert layer.in_channels == channels
        channels = layer.out_channels


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("a0", 50.7),
        ("a1", 113.2),
        ("a2", 216.5),
        ("a3", 437.2),
        ("a4", 1212.2),
        ("a5", 2184.1),
    ],
)
def test_multiply_adds_a_clip_are_near_the_published(name, millions):
    """Counted from the blocks; times the frames of a clip it is what was published, rounded as that is."""
    variant = get_variant(name)

    assert variant.frame_multiply_adds == pytest.approx(millions, abs=0.1)
    clip = variant.frame_multiply_adds * variant.clip_frames / 1000
    # Published counts leave out a little: 2.7 against 2.54 in A0, 280 against 262 in A5.
    assert clip == pytest.approx(variant.gflops, rel=0.15)


def test_no_pool_where_a_stage_keeps_the_size():
    """The fourth block does not stride; in A3 and A5 its first layer projects the skip path all the same."""
    for name, projects in {"a0": False, "a2": False, "a3": True, "a5": True}.items():
        layer = next(
            layer for b, i, layer in get_variant(name).layers if (b, i) == (3, 0)
        )
        assert layer.stride == 1
        assert layer.has_skip_projection is projects


def test_squeezed_channels_are_rounded_to_eight_but_not_far_down():
    """A quarter of the channels, rounded to a multiple of 8, at most a tenth less; a stream squeezes twice as many."""
    layers = {layer.expanded: layer for _, _, layer in get_variant("a0").layers}
    assert layers[24].squeezed("base") == 8
    assert (
        layers[80].squeezed("base") == 24
    )  # 20 rounds to 24, since 16 is a fifth less
    assert layers[80].squeezed("stream") == 40
    assert layers[344].squeezed("base") == 88


def test_unknown_variant_lists_the_known_and_the_nearest():
    """The message says what exists and what was probably meant."""
    with pytest.raises(VariantError, match=r"one of t0, a0, a1.*got 'a6'") as caught:
        get_variant("a6")
    assert caught.value.known == known_variants()
    with pytest.raises(VariantError, match="did you mean 'a2'"):
        get_variant("a22")
    assert get_variant("A2") is get_variant("a2")


def test_unknown_mode_is_refused():
    """There are two modes."""
    assert as_mode("base") == "base"
    with pytest.raises(VariantError, match="'base' or 'stream'; got 'causal'"):
        as_mode("causal")


@pytest.mark.parametrize("name", known_variants())
@pytest.mark.parametrize(
    "pattern",
    [
        "b{}/l{}/bneck/expansion/conv3d/kernel:0",
        "block{}_layer{}/bneck/expansion/conv2d/bn/gamma:0",
        "state/b{}/l{}/pool_buffer",
        "state_b{}_l{}_pool_frame_count",
        "state_block{}_layer{}_stream_buffer",
        "b{}/l{}/scale",
    ],
)
def test_names_of_every_generation_tell_the_variant(name, pattern):
    """Variables and states of all namings are recognised, whatever stands among them."""
    variant = get_variant(name)
    names = [pattern.format(block, layer) for block, layer, _ in variant.layers]
    assert (
        recognise_variant([*reversed(names), "head/project/conv3d/kernel:0"]) is variant
    )


def test_names_of_part_of_a_variant_tell_none():
    """A layer missing or too many is no variant."""
    names = [f"b{block}/l{layer}/scale" for block, layer, _ in get_variant("a0").layers]
    assert recognise_variant(names[1:]) is None
    assert recognise_variant([*names, "b4/l9/scale"]) is None
    assert recognise_variant([]) is None
    assert recognise_variant(["web/lib0/l1", "b1/l1x/scale"]) is None


@pytest.mark.parametrize(
    ("name", "short_side"),
    [("a0", 192), ("a1", 192), ("a2", 256), ("a3", 288), ("a4", 320), ("a5", 368)],
)
def test_the_short_side_for_evaluation_is_the_published_one(name, short_side):
    """At its own frame size a variant has the published short side, at twice the size twice that."""
    size = get_variant(name).frame_size[0]

    assert get_variant(name).min_image_size == short_side
    assert evaluation_short_side(name, (size, size)) == short_side
    assert evaluation_short_side(name, (size, 2 * size)) == 2 * short_side


def test_an_unknown_variant_is_evaluated_in_the_proportion_of_a2():
    """Without a variant the short side is 8 / 7 of the frame size; a name that is none is an error."""
    assert evaluation_short_side(None, (112, 112)) == 128
    with pytest.raises(VariantError, match="variant must be one of"):
        evaluation_short_side("a9", (112, 112))
