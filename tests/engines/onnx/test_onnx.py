"""Models in ONNX files: they compute what the network computes, and say what it is."""

import errno
import functools
import os
import sys

import attrs
import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from movinet_lite import BaseClassifier, StreamingClassifier, step_many
from movinet_lite.cli import main
from movinet_lite.engines import exported_onnx, exporting
from movinet_lite.engines.exporting import export_model
from movinet_lite.engines.loading import load_model
from movinet_lite.engines.onnx import runtime
from movinet_lite.engines.onnx.streams import OnnxStreamModel
from movinet_lite.errors import MissingDependencyError, ModelError
from movinet_lite.network.facts import TRANSFORMER_WINDOW, TransformerFacts
from movinet_lite.network.files import save_network
from movinet_lite.network.model import build_movinet
from movinet_lite.network.onnx_file import FACTS_KEY, NEXT
from movinet_lite.network.onnx_graph import export_onnx
from movinet_lite.network.states import to_published_states
from tests.networks import (
    LABELS,
    SIZE,
    assert_same_logits,
    moving_clips,
    randomise,
    small_network,
    tiny_variant,
)
from tests.networks_table import TINY

TOLERANCE = 1e-4
TRANSFORMER = TransformerFacts(
    embed_dim=12, depth=2, num_heads=3, mlp_dim=20, causal=True
)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def network():
    """A stream network in which every weight shows."""
    return small_network("stream", labels=LABELS, frame_size=SIZE, fps=7.5)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    """The network as fine-tuning would write it."""
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_network(network, path)
    return path


@pytest.fixture(scope="module")
def file(weights, tmp_path_factory):
    """The network as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_model(weights, path).difference < TOLERANCE
    return path


@pytest.fixture
def classifier(file):
    """A session over the file, as published."""
    return StreamingClassifier.load(file, horizon_s=None, threads=1)


def test_two_hundred_steps_stay_those_of_the_network(network, classifier):
    """Frame by frame, the logits are the network's, to the end of a long stream."""
    clip = moving_clips(frames=200)

    logits = np.stack([classifier.step(frame).logits for frame in clip[0]])

    assert_same_logits(logits, network.call_by_frame(clip)[0], TOLERANCE)


def test_a_file_says_what_the_model_was_trained_on(classifier):
    """Labels, frame size and frame rate travel with the file."""
    info = classifier.info

    assert (info.engine, info.labels, info.frame_size, info.fps) == (
        "onnx",
        LABELS,
        SIZE,
        7.5,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"gate": "keras2_hard_sigmoid"},
        {"gate": "sigmoid", "activation": "swish"},
        {"positional_encoding": True},
        {"padding": "pytorch"},
        {"transformer": TRANSFORMER},
    ],
)
def test_every_kind_of_stream_network_is_written_right(options, tmp_path):
    """Gates, activations and the positional encoding compute the same as in the network."""
    network = small_network("stream", frame_size=SIZE, labels=LABELS, **options)
    export_onnx(network, tmp_path / "model.onnx")
    frames = TRANSFORMER_WINDOW + 3 if "transformer" in options else 5
    clip = moving_clips(frames=frames)

    model = load_model(tmp_path / "model.onnx", "stream")
    logits, states = model.step(clip[0], model.init_states(SIZE))

    assert_same_logits(logits, network.call_by_frame(clip)[0], TOLERANCE)
    expected = to_published_states(
        network.states_after(clip),
        TINY,
        positional_encoding=network.spec.positional_encoding,
    )
    assert states.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(states[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "pytorch"},
        {"transformer": TRANSFORMER, "activation": "hard_swish"},
        {"transformer": attrs.evolve(TRANSFORMER, causal=False)},
    ],
)
def test_a_base_model_takes_clips_of_any_length(options, tmp_path):
    """One file serves every length, and agrees with the network, whatever its head, padding and direction in time."""
    network = small_network("base", labels=LABELS, frame_size=SIZE, **options)
    export_onnx(network, tmp_path / "model.onnx")
    classifier = BaseClassifier.load(tmp_path / "model.onnx")

    for frames in (1, 4, 9):
        clip = moving_clips(frames=frames)
        logits = classifier.predict(clip[0]).logits
        assert_same_logits(logits, np.asarray(network(clip))[0], TOLERANCE)


def test_a_frame_size_may_be_chosen(network, weights, tmp_path):
    """A file for other frames computes what the network computes on them."""
    export_model(weights, tmp_path / "small.onnx", frame_size=(24, 31))
    clip = moving_clips(frames=3, size=(24, 31))

    model = load_model(tmp_path / "small.onnx", "stream")
    logits, _ = model.step(clip[0], model.init_states((24, 31)))

    assert_same_logits(logits, network.call_by_frame(clip)[0], TOLERANCE)


def test_states_are_the_published_ones_on_every_engine(classifier, weights):
    """States read from ONNX Runtime go on in LiteRT, and the other way round."""
    clip = moving_clips(frames=6)[0]
    other = StreamingClassifier.load(weights, horizon_s=None)
    for session in (classifier, other):
        for frame in clip[:3]:
            session.step(frame)

    assert list(classifier.states) == list(other.states)
    for name, value in classifier.states.items():
        np.testing.assert_allclose(value, other.states[name], atol=1e-4, err_msg=name)
    classifier.states, other.states = other.states, classifier.states
    for frame in clip[3:]:
        expected = other.step(frame).logits
        assert_same_logits(classifier.step(frame).logits, expected, TOLERANCE)


def test_streams_of_any_age_share_a_call(classifier):
    """Streams that join late, stay away and come back get the logits of streams stepped alone."""
    clip = moving_clips(frames=8)[0]
    sessions = [classifier.new_session() for _ in range(3)]
    alone = [classifier.new_session() for _ in range(3)]

    for turn in ((0, 1, 2), (0, 1, 2), (0, 2), (2, 0), (1, 0, 2)):
        predictions = step_many([sessions[i] for i in turn], [clip[i] for i in turn])
        for place, prediction in zip(turn, predictions, strict=True):
            expected = alone[place].step(clip[place]).logits
            assert_same_logits(prediction.logits, expected, TOLERANCE)


def test_a_step_leaves_the_states_it_was_given(classifier):
    """The engine's step is pure: the same states give the same logits again."""
    model, frames = classifier.model, moving_clips(frames=2)[0]
    _, states = model.step(frames, model.init_states(SIZE))

    first, _ = model.step(frames, states)
    again, _ = model.step(frames, states)

    np.testing.assert_array_equal(first, again)


def test_other_forms_run_with_onnx_runtime(weights, network, tmp_path, monkeypatch):
    """engine='onnx' exports a model once, and finds it in the cache from then on."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    clip = moving_clips(frames=2)

    loaded = load_model(weights, "stream", engine="onnx")
    logits, _ = loaded.step(clip[0], loaded.init_states(SIZE))

    assert_same_logits(logits, network.call_by_frame(clip)[0], TOLERANCE)
    monkeypatch.setitem(sys.modules, "movinet_lite.network.onnx_graph", None)
    assert load_model(weights, "stream", engine="onnx").info.labels == LABELS


def test_the_command_line_exports_and_streams(weights, tmp_path, capsys):
    """A path that ends in .onnx says the form."""
    target = tmp_path / "model.onnx"

    assert main(["export", str(target), "--model", str(weights)]) == 0

    assert "logits within" in capsys.readouterr().out
    assert onnx.load(target).graph.input[0].name == "image"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "litert"}, "only ONNX Runtime runs an .onnx file"),
        ({"provider": "cuda"}, r"'cuda' must be part of .*pip install onnxruntime-gpu"),
        ({"provider": "npu"}, "provider must be one of cpu, cuda"),
    ],
)
def test_what_cannot_run_a_file_is_said(file, options, message):
    """Another engine, a provider that is not installed, and one that does not exist are errors that say what to do."""
    with pytest.raises(ModelError, match=message):
        load_model(file, "stream", **options)


def test_providers_and_devices_have_their_names_in_onnx_runtime():
    """A provider that this machine cannot run is at least one that ONNX Runtime knows, and so is its device."""
    for target in runtime._TARGETS.values():
        assert target.name in onnxruntime.get_all_providers()
        value = np.zeros(1, np.float32)
        if target.device != "cpu":
            with pytest.raises(RuntimeError, match=r"(?i)cuda|dml|allocator|device"):
                onnxruntime.OrtValue.ortvalue_from_numpy(value, target.device)


def _pretend_to_have_cuda(monkeypatch, create):
    """Let ONNX Runtime seem to have a provider, and call *create* for a session with it."""
    real = onnxruntime.InferenceSession

    def session(path, options, providers, **others):
        if providers == ["CPUExecutionProvider"]:
            return real(path, options, providers=providers, **others)
        return create(functools.partial(real, path, options, **others))

    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)


def test_a_provider_that_does_not_start_is_an_error(file, monkeypatch):
    """Whether ONNX Runtime raises or goes on with the CPU, the error names the provider and what it says."""

    def fall_back(create):
        return create(providers=["CPUExecutionProvider"])

    def fail(_):
        raise RuntimeError("no library")

    for create, message in (
        (fall_back, "'cuda' must start with the model; .* fell back to CPUExecutionP"),
        (fail, "'cuda' must start with the model; ONNX Runtime says: no library"),
    ):
        _pretend_to_have_cuda(monkeypatch, create)
        with pytest.raises(ModelError, match=message):
            StreamingClassifier.load(file, provider="cuda")


def test_a_provider_that_fails_later_is_an_error(tmp_path, monkeypatch, capsys):
    """ONNX Runtime would run the clip again on the CPU, and print that it does."""
    network = small_network("base", labels=LABELS, frame_size=SIZE)
    export_onnx(network, tmp_path / "model.onnx")
    classifier = BaseClassifier.load(tmp_path / "model.onnx")

    session = classifier.model._open.session
    real = session._sess

    class Failing:
        def run(self, *_):
            raise EPFail("out of memory")

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr(session, "_sess", Failing())

    with pytest.raises(ModelError, match=r"must be able to run .* out of memory"):
        classifier.predict(moving_clips(frames=2)[0])
    assert capsys.readouterr().out == ""


class Recording:
    """A binding of ONNX Runtime that notes what is bound where; tensors of any device are on the CPU."""

    def __init__(self, session, calls):
        self._real, self._calls = session.io_binding(), calls

    def bind_cpu_input(self, name, value):
        """Note an input that is copied to the device."""
        self._calls.append(("copied in", name))
        self._real.bind_cpu_input(name, value)

    def bind_ortvalue_input(self, name, value):
        """Note an input that stays where it is."""
        self._calls.append(("bound", name, value.data_ptr()))
        self._real.bind_ortvalue_input(name, value)

    def bind_output(self, name, device):
        """Note the device that an output is allocated on."""
        self._calls.append(("allocated", name, device))
        self._real.bind_output(name, "cpu")

    def __getattr__(self, name):
        """Give the rest of the real one."""
        return getattr(self._real, name)


class Device:
    """A session of ONNX Runtime as if its provider had a device."""

    def __init__(self, session, calls):
        self._real, self._calls = session, calls

    def io_binding(self):
        """Return a binding that notes what is bound."""
        return Recording(self._real, self._calls)

    def run_with_iobinding(self, binding):
        """Run the real one."""
        self._real.run_with_iobinding(binding._real)

    def __getattr__(self, name):
        """Give the rest of the real one."""
        return getattr(self._real, name)


@pytest.mark.parametrize("streams", [1, 2])
def test_states_stay_on_the_device(file, classifier, monkeypatch, streams):
    """From the second frame on only frames go to the device, and only logits come back; states are bound as they are."""
    calls = []
    opened = runtime.open_session(file, "stream")
    opened = attrs.evolve(opened, session=Device(opened.session, calls), device="cuda")
    real = onnxruntime.OrtValue.ortvalue_from_numpy
    to_numpy = onnxruntime.OrtValue.numpy

    def to_device(value, device):
        calls.append(("state copied in", device))
        return real(value, "cpu")

    def fetch(value):
        calls.append(("fetched", value.shape()))
        return to_numpy(value)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", to_device)
    monkeypatch.setattr(onnxruntime.OrtValue, "numpy", fetch)
    model = OnnxStreamModel(opened, classifier.info)
    sessions = [StreamingClassifier(model, horizon_s=None) for _ in range(streams)]
    clip = moving_clips(frames=4)[0]

    def step(frame):
        if streams == 1:
            return [sessions[0].step(frame)]
        return step_many(sessions, [frame] * streams)

    step(clip[0])
    assert ("state copied in", "cuda") in calls
    assert ("state copied in", "cpu") not in calls
    states = {call[1] for call in calls if call[0] == "bound"}
    given = {}
    for frame in clip[1:]:
        calls.clear()
        found = step(frame)[-1]
        bound = {call[1]: call[2] for call in calls if call[0] == "bound"}
        assert bound.keys() == states
        for name, pointer in given.items():
            assert bound[name] == pointer, name
        given = {
            name: tensor.data_ptr()
            for name, tensor in sessions[0]._place.states_to_step().tensors.items()
        }
        assert [call for call in calls if call[0] not in {"bound", "allocated"}] == [
            ("copied in", "image"),
            ("fetched", [streams, len(LABELS)]),
        ]
        assert {call[1:] for call in calls if call[0] == "allocated"} == {
            ("logits", "cpu"),
            *((NEXT + name, "cuda") for name in states),
        }
    monkeypatch.undo()
    expected = [classifier.step(frame) for frame in clip][-1]
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_a_provider_is_for_onnx_runtime(weights):
    """A provider without ONNX Runtime is refused, since it would be ignored."""
    with pytest.raises(ModelError, match=r"use engine='onnx', or an \.onnx file"):
        load_model(weights, "stream", provider="cpu")


def test_a_stream_model_is_no_base_model(file):
    """A file of the other mode is refused in the words of every other form."""
    with pytest.raises(ModelError, match="StreamingClassifier"):
        BaseClassifier.load(file)


def test_files_of_others_and_damaged_ones_are_refused(file, tmp_path):
    """What is no ONNX file, or none of this library, gets one clear error."""
    (tmp_path / "text.onnx").write_text("no model")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(file.read_bytes()[:5000])
    other = onnx.load(file)
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "other.onnx")
    onnx.helper.set_model_props(other, {FACTS_KEY: '{"format": 99}'})
    onnx.save(other, tmp_path / "later.onnx")

    for name, message in (
        ("text", "must be a file that ONNX Runtime can load"),
        ("cut", "must be a file that ONNX Runtime can load"),
        ("other", "must be a file that this library exported"),
        ("later", "must be of format 1; it is of format 99"),
        ("none", "there is no file or folder at this path"),
    ):
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / f"{name}.onnx", "stream")


def test_a_missing_package_is_named(file, monkeypatch):
    """Without ONNX Runtime the error says what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingDependencyError, match=r"movinet-lite\[onnx\]"):
        load_model(file, "stream")


def test_a_full_disk_is_said_with_the_path(weights, tmp_path, monkeypatch):
    """What the system refuses is one error that names the file, and nothing is left."""

    def fill(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(exporting, "_write", fill)
    path = tmp_path / "full" / "model.onnx"

    with pytest.raises(
        ModelError, match=r"model\.onnx: the file must be writable; No space"
    ):
        export_model(weights, path)

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_before_anything_takes_long(
    package, weights, tmp_path, monkeypatch
):
    """An export does not look for its model, and an engine does not open it, if the result could not be written or run."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "movinet_lite.network.onnx", raising=False)
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    message = rf"'{package}', .*movinet-lite\[onnx\]"

    with pytest.raises(MissingDependencyError, match=message):
        export_model("there is no such model", tmp_path / "model.onnx")
    monkeypatch.setattr(exported_onnx, "open_to_compile", pytest.fail)
    with pytest.raises(MissingDependencyError, match=message):
        load_model(weights, "stream", engine="onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a0", "a3"])
@pytest.mark.parametrize("mode", ["stream", "base"])
def test_published_variants_are_written_right(name, mode, tmp_path):
    """A0, and A3 with its positional encoding, at their own frame size."""
    network = build_movinet(name, mode, 600, labels=[str(i) for i in range(600)])
    randomise(network, 0)
    for weight_name, weight in network.named_weights.items():
        if weight_name.endswith("scale"):
            weight.assign(np.full(weight.shape, 0.2, np.float32))
    export_onnx(network, tmp_path / "model.onnx")
    clip = moving_clips(frames=4, size=network.spec.frame_size)

    model = load_model(tmp_path / "model.onnx", mode)

    if mode == "stream":
        logits, _ = model.step(clip[0], model.init_states(network.spec.frame_size))
        expected = network.call_by_frame(clip)[0]
    else:
        logits, expected = model.predict(clip), network(clip)
    assert_same_logits(logits, expected, TOLERANCE)
