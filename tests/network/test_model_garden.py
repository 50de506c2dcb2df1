"""The network computes what exports of the Model Garden compute; A2 to A5 are compared by `tests.model_garden.parity`.

An export is a folder ``<variant>_<mode>_<naming>_<seed>`` with a SavedModel and what it computed. Names ``hub`` are those
of the models on TF Hub, with their gate, and ``garden`` those of today's Model Garden, with its gate.
"""

import functools
from typing import Any

import attrs
import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.engines.tensorflow.saved_models import TensorFlowStreamModel
from movinet_lite.network.agreement import largest_difference, probe_clip
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.model import Movinet
from movinet_lite.network.probes import SavedModelRun
from movinet_lite.network.state_names import canonical_state_name
from movinet_lite.network.states import (
    from_published_states,
    to_published_states,
)
from movinet_lite.network.weights import import_weights
from tests.model_garden.parity import main
from tests.networks import join_streams, step_through

pytestmark = pytest.mark.oracle

STREAMS = [
    "a0_stream_hub_7",
    "a0_stream_garden_8",
    "a1_stream_hub_7",
    "a1_stream_garden_8",
]
BASES = ["a0_base_hub_7", "a0_base_garden_8", "a1_base_hub_7", "a1_base_garden_8"]
STREAMS_OF_ANOTHER_SEED = ["a0_stream_hub_9", "a1_stream_hub_9"]
BASES_OF_ANOTHER_SEED = ["a0_base_hub_9", "a1_base_hub_9"]
ALL = STREAMS + BASES + STREAMS_OF_ANOTHER_SEED + BASES_OF_ANOTHER_SEED
TOLERANCE = 1e-4
SEEN = {"hub": ("A", "keras2_hard_sigmoid"), "garden": ("C", "hard_sigmoid")}


@attrs.frozen(eq=False)
class Export:
    """An export, what it computed, and the network with its weights."""

    model: object
    run: SavedModelRun
    network: Movinet
    generation: str
    difference: float
    reference: dict[str, Any]

    @staticmethod
    def assert_same(found, expected):
        """Assert that logits agree to 1e-4 of the largest."""
        assert largest_difference(np.asarray(found), np.asarray(expected)) <= TOLERANCE


@pytest.fixture(scope="module")
def export(oracle_export):
    """Return a function from an export's name to it; each is read once."""

    @functools.cache
    def read(name):
        folder = oracle_export(name)
        model = tf.saved_model.load(str(folder / "saved_model"))
        imported = import_weights(folder / "saved_model", loaded=model)
        with np.load(folder / "reference.npz") as file:
            reference = dict(file)
        return Export(
            model,
            SavedModelRun(model),
            imported.network,
            imported.generation,
            imported.difference,
            reference,
        )

    return read


@pytest.mark.parametrize("name", ALL)
def test_an_export_is_recognised(export, name):
    """Variant, mode, generation, classes and gate are found out, and the logits on the importer's clip agree."""
    found = export(name)
    variant, mode, naming, _ = name.split("_")
    generation, gate = SEEN[naming]
    spec = found.network.spec

    assert (spec.variant, spec.mode, spec.num_classes) == (variant, mode, 600)
    assert found.generation == generation
    assert spec.gate == (gate if mode == "stream" else "sigmoid")
    assert found.difference <= TOLERANCE


@pytest.mark.parametrize("name", ALL)
def test_a_clip_in_one_call(export, name):
    """The logits that the Model Garden gave for the whole clip."""
    found = export(name)

    found.assert_same(
        found.network(found.reference["video"]), found.reference["clip_logits"]
    )


@pytest.mark.parametrize("name", ["a0_stream_hub_7", "a0_base_hub_7"])
def test_features_are_those_of_the_model_garden(export, name):
    """Its classifier makes its own logits of our hidden features; its states hold the sum of our pooled ones."""
    found = export(name)
    network, video = found.network, found.reference["video"]
    if network.spec.mode == "stream":
        start = network.init_states(1, video.shape[2:4])
        _, _, features = network.step_with_features(video, start)
        expected = found.reference["frame_logits"]
        total = found.reference["state:state/head/pool_buffer"].reshape(1, -1)
        pooled = np.asarray(features["pooled"])[0, -1:]
        found.assert_same(pooled, total / video.shape[1])
        hidden = np.asarray(features["hidden"])[0]
    else:
        _, features = network.call_with_features(video)
        expected = found.reference["clip_logits"]
        hidden = np.asarray(features["hidden"])

    variables = {
        variable.name: variable.numpy()
        for variable in found.model.weights_list
        if "/classifier/" in variable.name
    }
    (kernel,) = (value for key, value in variables.items() if "kernel" in key)
    (bias,) = (value for key, value in variables.items() if "bias" in key)
    found.assert_same(hidden @ kernel.reshape(kernel.shape[-2:]) + bias, expected)


@pytest.mark.parametrize("name", STREAMS + STREAMS_OF_ANOTHER_SEED)
@pytest.mark.parametrize("pieces", [1, 3, 5])
def test_every_frame_of_a_stream(export, name, pieces):
    """The logits that the Model Garden gave frame by frame, however the clip is cut into calls."""
    found = export(name)

    logits, _ = step_through(found.network, found.reference["video"], pieces)

    found.assert_same(logits[0], found.reference["frame_logits"])


@pytest.mark.parametrize("name", STREAMS)
def test_states_after_the_last_frame(export, name):
    """The states that the Model Garden kept, name by name."""
    found = export(name)
    expected = {
        canonical_state_name(key.removeprefix("state:")): value
        for key, value in found.reference.items()
        if key.startswith("state:")
    }

    _, states = step_through(found.network, found.reference["video"])
    states = to_published_states(
        states, found.network.variant, positional_encoding=False
    )

    assert states.keys() == expected.keys()
    for key, value in expected.items():
        assert states[key].shape == value.shape
        assert states[key].dtype == value.dtype
        assert largest_difference(states[key], value) <= TOLERANCE


@pytest.mark.parametrize("name", STREAMS + BASES)
def test_odd_frame_sizes(export, name):
    """150 x 131 pixels: not square, and halved with a rest."""
    found = export(name)
    clip = probe_clip(6, 150, 131)

    found.assert_same(found.network(clip), found.run.logits(clip))


@pytest.mark.parametrize("name", STREAMS)
def test_streams_of_different_age_in_one_batch(export, name):
    """Each row is what the export gives that stream alone, after 0, 2 and 5 frames."""
    found = export(name)
    clips = np.concatenate([probe_clip(6), probe_clip(6)[:, ::-1], 1 - probe_clip(6)])
    states, nexts, expected = [], [], []
    for clip, age in zip(clips, (0, 2, 5), strict=True):
        state = found.network.init_states(1, clip.shape[1:3])
        if age:
            _, state = step_through(found.network, clip[np.newaxis, :age], states=state)
        states.append(state)
        nexts.append(clip[age : age + 1])
        expected.append(found.run.frame_logits(clip[np.newaxis, : age + 1])[-1])

    logits, _ = found.network.step(np.stack(nexts), join_streams(states))

    found.assert_same(logits[:, 0], np.stack(expected))


@pytest.mark.parametrize("name", BASES)
def test_clips_in_one_batch(export, name):
    """Each row is what the export gives that clip alone."""
    found = export(name)
    clips = np.concatenate([probe_clip(6), probe_clip(6)[:, ::-1], 1 - probe_clip(6)])

    expected = np.concatenate([found.run.logits(clip[np.newaxis]) for clip in clips])

    found.assert_same(found.network(clips), expected)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_changes_between_export_and_network(export, name):
    """Four frames in the export, three in the network, the rest in the export: the logits go on."""
    found = export(name)
    video, expected = found.reference["video"], found.reference["frame_logits"]
    engine = TensorFlowStreamModel(found.model, source=name)

    _, states = engine.step(video[0, :4], engine.init_states(video.shape[2:4]))
    own = from_published_states(states)
    logits, own = found.network.step(video[:, 4:7], own)
    found.assert_same(logits[0], expected[4:7])

    published = to_published_states(
        own, found.network.variant, positional_encoding=False
    )
    back = {key: published[canonical_state_name(key)] for key in states}
    logits, _ = engine.step(video[0, 7:], back)
    found.assert_same(logits, expected[7:])


def test_our_export_speaks_as_the_published_one(export, tmp_path):
    """The same signatures with the same arguments and outputs, and the same logits."""
    found = export("a0_stream_hub_7")
    export_saved_model(found.network, tmp_path / "ours")
    ours = tf.saved_model.load(str(tmp_path / "ours"))

    assert ours.signatures.keys() == found.model.signatures.keys()
    for name, theirs in found.model.signatures.items():
        mine = ours.signatures[name]
        for side in ("structured_input_signature", "structured_outputs"):
            described = []
            for signature in (mine, theirs):
                value = getattr(signature, side)
                specs = value[1] if side.endswith("signature") else value
                described.append({key: spec.dtype for key, spec in specs.items()})
            assert described[0] == described[1]
    video = found.reference["video"]
    found.assert_same(
        SavedModelRun(ours).frame_logits(video), found.reference["frame_logits"]
    )


def test_the_parity_command_prints_a_row_an_export(oracle_export):
    """The figures in the documentation come from it."""
    folder = oracle_export("a0_base_garden_8").parent
    lines = []

    main(
        [str(folder), "a0_base_garden_8", "--frames", "6", "--size", "64"],
        write=lines.append,
    )

    assert lines[0].startswith("| export | gate | rounding |")
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells[:2] == ["a0_base_garden_8", "sigmoid"]
    assert all(float(cell) <= 1e-4 for cell in cells[2:] if cell)
