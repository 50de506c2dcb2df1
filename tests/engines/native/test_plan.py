"""Plans of stream networks: which networks have one, and where weights lie."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from movinet_lite.engines.native import program
from movinet_lite.engines.native.plan import Dense, Plan
from movinet_lite.engines.native.rooms import Rooms
from movinet_lite.errors import ConversionError
from movinet_lite.network import padding as paddings
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.padding import LayerPadding
from tests.engines.native.programs import weights_of
from tests.networks import small_network, tiny_variant


@attrs.frozen
class Machine:
    """What a plan needs to know of a CPU."""

    lanes: int
    registers: int


MACHINES = [Machine(16, 32), Machine(8, 16), Machine(4, 32)]


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    """Make the small variant known."""
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def network():
    """A network."""
    return small_network("stream", frame_size=(40, 33), positional_encoding=True)


@pytest.fixture(scope="module")
def weights(network):
    """Its folded weights."""
    return weights_of(network)


@pytest.fixture(scope="module", params=MACHINES, ids=str)
def machine(request):
    """A CPU."""
    return request.param


# Which networks have a plan.


def test_base_models_have_none(weights):
    """A base model runs on another engine, and the error says so."""
    base = small_network("base")
    with pytest.raises(ConversionError, match="runs stream models; this is a base"):
        program.make_plan(base.spec, weights, MACHINES[0])


def test_transformers_have_none(network, weights):
    """A model with a transformer runs on another engine, and the error says so."""
    spec = attrs.evolve(
        network.spec, transformer=TransformerFacts(12, 1, 3, 20, causal=True)
    )
    with pytest.raises(ConversionError, match="no transformers; this model has one"):
        program.make_plan(spec, weights, MACHINES[0])


@pytest.mark.parametrize(
    "name", ["stem/stem/conv2d/conv2d", "b2/l1/bneck/se/se_reduce/conv2d/conv2d_1"]
)
def test_missing_weights_are_an_error(network, weights, name):
    """A kernel that is missing is named."""
    rest = {key: value for key, value in weights.items() if not key.startswith(name)}
    with pytest.raises(ConversionError, match=f"{name}/kernel is missing"):
        program.make_plan(network.spec, rest, MACHINES[0])


@pytest.mark.parametrize("size", [(8, 40), (40, 7), (1, 1), (2, 2)])
def test_frames_too_small_for_a_layer_are_an_error(network, weights, monkeypatch, size):
    """Where frames are not padded and nothing is left of them, the error says so."""
    monkeypatch.setitem(paddings._UNUSUAL, ("tiny", 2), LayerPadding(0, 0))
    spec = attrs.evolve(network.spec, frame_size=size, padding="pytorch")
    with pytest.raises(
        ConversionError, match="frames must be large enough for all layers"
    ):
        program.make_plan(spec, weights, MACHINES[0])


def test_paths_of_different_sizes_are_an_error(network, weights, monkeypatch):
    """A layer whose skip path gives frames of another size cannot be planned."""
    monkeypatch.setitem(paddings._UNUSUAL, ("tiny", 0), LayerPadding(0, 0))
    spec = attrs.evolve(network.spec, frame_size=(18, 18), padding="pytorch")
    with pytest.raises(ConversionError, match=r"one size; got \(3, 3\) and \(4, 4\)"):
        program.make_plan(spec, weights, MACHINES[0])


# Where weights lie.


def products(plan: Plan) -> list[Dense]:
    """Return the products of a plan, without those added to others."""
    found = [plan.head.project, plan.head.hidden, plan.head.classifier]
    for layer in plan.layers:
        found += [layer.expansion, layer.reduce, layer.gates, layer.projection]
    return found


def unpacked(plan: Plan, dense: Dense) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of a product as float32, ``(inputs, outputs)``, and the biases."""
    columns, biases = [], []
    inputs = dense.planes * plan.lanes + dense.rest
    kind = np.dtype(np.int16 if dense.is_int16 else np.float32)
    for group in dense.groups:
        width = group.vectors * plan.lanes
        size = group.panels * inputs * width * kind.itemsize
        panels = plan.blob[group.weights :][:size].view(kind)
        panels = panels.reshape(group.panels, inputs, width)
        matrix = panels.transpose(1, 0, 2).reshape(inputs, -1).astype(np.float32)
        size = group.panels * width * 4
        if dense.is_int16:
            planes = -(-inputs // plan.lanes)
            scales = plan.blob[group.scales :][: size * planes].view(np.float32)
            scales = scales.reshape(group.panels, planes, width).transpose(1, 0, 2)
            steps = np.repeat(scales.reshape(planes, -1), plan.lanes, axis=0)
            matrix *= steps[:inputs]
        columns.append(matrix)
        biases.append(plan.blob[group.biases :][:size].view(np.float32))
    return np.concatenate(columns, axis=1), np.concatenate(biases)


@pytest.mark.parametrize("is_compact", [False, True])
def test_products_have_all_weights(network, weights, machine, is_compact):
    """Every weight of a product is in its panel, those of 16 bits within half a step, and what is left of vectors is 0."""
    plan = program.make_plan(network.spec, weights, machine, is_compact=is_compact)
    # Those with one row for each image are compact.
    for name, dense, has_one_row in (
        ("head/project/conv2d/conv2d", plan.head.project, False),
        ("classifier_head/head/conv2d/conv2d", plan.head.hidden, True),
        ("classifier_head/classifier/conv2d/conv2d_1", plan.head.classifier, True),
        ("b1/l0/bneck/expansion/conv2d/conv2d", plan.layers[1].expansion, False),
        ("b2/l0/bneck/se/se_expand/conv2d/conv2d_2", plan.layers[2].gates, True),
    ):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        kernel = kernel.reshape(kernel.shape[-2:])
        outputs = kernel.shape[1]
        matrix, biases = unpacked(plan, dense)
        assert matrix.shape == (len(kernel), dense.outputs * plan.lanes)
        assert dense.is_int16 == (is_compact and has_one_row)
        step = np.abs(kernel).max(axis=0) / 32767 if dense.is_int16 else 0.0
        assert (np.abs(matrix[:, :outputs] - kernel) <= 0.51 * step).all()
        assert not matrix[:, outputs:].any()
        np.testing.assert_array_equal(biases[:outputs], bias)
        assert not biases[outputs:].any()


def test_panels_take_every_vector_once(network, weights, machine):
    """The groups of panels of a product follow each other, up to its last vector."""
    plan = program.make_plan(network.spec, weights, machine)
    for dense in products(plan):
        end = 0
        for group in dense.groups:
            assert group.first == end
            end += group.vectors * group.panels
        assert end == dense.outputs


def test_skip_paths_have_the_panels_of_what_they_are_added_to(
    network, weights, machine
):
    """A projection and that of its skip path, which are computed together, are divided in the same way."""
    plan = program.make_plan(network.spec, weights, machine)
    pairs = [(one.projection, one.skip) for one in plan.layers if one.skip is not None]
    assert pairs
    for projection, skip in pairs:
        ways = [
            [(group.first, group.vectors, group.panels) for group in dense.groups]
            for dense in (projection, skip)
        ]
        assert ways[0] == ways[1]


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 3), (9, 8), (40, 33), (172, 172), (7, 500)]
)
def test_tiles_fit(network, weights, machine, size):
    """A tile has a row at least, no more than an image has, and its numbers stay in registers."""
    plan = program.make_plan(
        attrs.evolve(network.spec, frame_size=size), weights, machine
    )
    pixels = {id(plan.head.project): plan.head.size}
    for layer in plan.layers:
        pixels[id(layer.expansion)] = layer.size
        pixels[id(layer.projection)] = layer.result_size
    for dense in products(plan):
        height, width = pixels.get(id(dense), (0, 0))
        for group in dense.groups:
            assert min(1, height) <= group.rows <= height * width
            sums = group.rows * group.vectors
            assert sums + group.vectors + 1 <= machine.registers


# What machine code is made for.


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "swish"},
        {"gate": "sigmoid"},
        {"padding": "pytorch"},
        {"frame_size": (40, 34)},
        {"positional_encoding": False},
    ],
)
def test_text_tells_networks_apart(network, weights, change):
    """Networks that need other code have other texts."""
    other = attrs.evolve(network.spec, **change)
    texts = {
        program.make_plan(one, weights, MACHINES[0]).text
        for one in (network.spec, other)
    }
    assert len(texts) == 2


def test_text_tells_machines_apart(network, weights):
    """So do CPUs with other vectors and registers, and weights of other precision."""
    machines = [*MACHINES, Machine(16, 16), Machine(8, 32)]
    texts = {
        program.make_plan(network.spec, weights, one, is_compact=is_compact).text
        for one in machines
        for is_compact in (False, True)
    }
    assert len(texts) == 2 * len(machines)


def test_text_does_not_depend_on_weights(network, weights):
    """Networks that differ by their weights alone share machine code."""
    others = {name: value + np.float32(0.5) for name, value in weights.items()}
    plans = [
        program.make_plan(network.spec, one, MACHINES[0]) for one in (weights, others)
    ]
    assert plans[0].text == plans[1].text
    assert not np.array_equal(plans[0].blob, plans[1].blob)


# Where tensors lie.


@pytest.mark.parametrize("images", [1, 3, 8])
def test_rooms_hold_their_tensors(network, weights, machine, images):
    """Each room is large enough for the largest tensor that it is for, with all images of a call."""
    plan = program.make_plan(network.spec, weights, machine)
    rooms = Rooms.of(plan, images)
    needed = {
        "stem": plan.stem.planes * np.prod(plan.stem.result_size),
        "logits": plan.head.classifier.outputs * images,
        "pooled_means": 2 * plan.head.project.outputs * images,
        "hidden": plan.head.hidden.outputs * images,
        "expanded": plan.head.project.outputs * np.prod(plan.head.size) * images,
    }
    for layer in plan.layers:
        count = 1 if plan.is_one_by_one(layer) else images
        incoming, expanded, outgoing = layer.planes
        result = np.prod(layer.result_size) * count
        for name, vectors in {
            "expanded": expanded * np.prod(layer.size) * count,
            "filtered": expanded * result,
            "pooled": incoming * result if layer.skip else 0,
            "parts": expanded * layer.parts * count,
            "squeezed": 2 * expanded * count,
            "reduced": layer.reduce.outputs * count,
            "gates": expanded * count,
            "turn": outgoing * result,
        }.items():
            needed[name] = max(needed.get(name, 0), vectors)
    # "between" takes the result of the last layer that takes images one by one alone.
    last = [layer for layer in plan.layers if plan.is_one_by_one(layer)][-1]
    needed["between"] = last.planes[2] * np.prod(last.result_size) * images
    ends = sorted([*starts_of(rooms), rooms.size])
    for name, vectors in needed.items():
        starts = rooms.turns if name == "turn" else [getattr(rooms, name)]
        for start in starts:
            (end,) = ends[ends.index(start) + 1 :][:1]
            assert end - start >= vectors * plan.lanes, name


def starts_of(rooms: Rooms) -> list[int]:
    """Return where all rooms begin."""
    places = attrs.asdict(rooms)
    for name in ("images", "size", "turns"):
        del places[name]
    return [*places.values(), *rooms.turns]


@pytest.mark.parametrize("images", [1, 3, 8])
def test_rooms_do_not_overlap(network, weights, machine, images):
    """Each tensor of a call has a room of its own in the arena, aligned to vectors."""
    rooms = Rooms.of(program.make_plan(network.spec, weights, machine), images)
    starts = starts_of(rooms)
    assert len(set(starts)) == len(starts)
    assert all(0 <= start < rooms.size and start % 16 == 0 for start in starts)


def test_storage_has_a_frame_more_for_each_layer(network, weights):
    """A storage has a frame more for each layer than the states of a stream, a second set of sums, and little more."""
    plan = program.make_plan(
        network.spec, weights, Machine(8, 16)
    )  # 8 divides all channels
    states = network.init_states(1, network.spec.frame_size)
    numbers = sum(
        value.size // value.shape[1] * (value.shape[1] + 1)
        if name.endswith("stream_buffer")
        else 2 * value.size
        for name, value in states.items()
        if name != "state/frame_count"
    )
    assert numbers <= plan.storage_numbers < 1.25 * numbers
