"""Many cameras through one model: what one of them does costs no other."""

import json
import logging
import threading

import attrs
import numpy as np
import pytest

from movinet_lite import EventDetector, StreamingClassifier, write_video
from movinet_lite.errors import ArrayError, LabelsError, ModelError, SessionError
from movinet_lite.events.settings import HORIZON_S
from movinet_lite.live import ClipRecorder
from movinet_lite.live.model import load_for_cameras
from movinet_lite.live.watching import Watcher, watch
from movinet_lite.testing import LABELS, FakeStreamModel
from tests.live.pushed_source import PushedSource, picture

DETECTOR = EventDetector(
    enter=0.25, leave=0.2, min_duration_s=0.3, labels=["red", "green"]
)
"""Scores of the fake model are 0.35 for the colour of all frames so far."""

WAIT_S = 10.0


@pytest.fixture
def classifier():
    """A session over a model that sees colours."""
    return StreamingClassifier(FakeStreamModel())


@pytest.fixture
def watcher(classifier):
    """A watcher without cameras."""
    with Watcher(classifier, detector=DETECTOR) as watcher:
        yield watcher


def summary(events):
    """What a reader wants of events, source by source."""
    return sorted(
        (one.source, one.label, one.event.state, round(one.event.start_s, 3))
        for one in events
    )


def ended(name, colours, **options):
    """A source whose frames are all there."""
    source = PushedSource(name)
    source.push_all(colours, **options)
    source.end()
    return source


def wait_for(condition):
    """Wait until *condition* holds."""
    done = threading.Event()
    for _ in range(int(WAIT_S / 0.005)):
        if condition():
            return
        done.wait(0.005)
    raise AssertionError("it never came to pass")


def test_watch_gives_the_events_of_every_source(classifier):
    """Events of all sources come, with the same id when they are confirmed and when they have ended."""
    sources = [
        ended("door", ["red"] * 10),
        ended("yard", ["blue"] * 3 + ["green"] * 12),
    ]
    events = list(watch(sources, classifier, detector=DETECTOR))

    assert summary(events) == [
        ("door", "red", "confirmed", 0.0),
        ("door", "red", "ended", 0.0),
        ("yard", "green", "confirmed", 1.4),
        ("yard", "green", "ended", 1.4),
    ]
    assert len({one.id for one in events}) == 2


@pytest.fixture
def loaded(monkeypatch):
    """What `StreamingClassifier.load` was given; it gives the fake."""
    calls = []

    def load(source, **options):
        calls.append((source, options))
        return StreamingClassifier(FakeStreamModel())

    monkeypatch.setattr(StreamingClassifier, "load", load)
    return calls


@pytest.mark.parametrize(
    ("model", "num_cameras", "streams"),
    [
        ("a0", 3, {"streams": 3}),
        ("a0", 10, {"streams": 8}),
        ("own.safetensors", 2, {"streams": 2}),
        ("demo", 3, {}),
        ("own.tflite", 3, {}),
        ("own.onnx", 3, {}),
    ],
)
def test_a_model_is_loaded_for_as_many_streams_as_sources(
    loaded, model, num_cameras, streams
):
    """One call steps all cameras, up to eight, where the library compiles the model; others are not asked to."""
    sources = [ended(f"camera {i}", ["red"] * 10) for i in range(num_cameras)]
    events = list(watch(sources, model=model, detector=DETECTOR))

    assert loaded == [(model, {"horizon_s": HORIZON_S, **streams})]
    assert len({one.source for one in events}) == num_cameras


def test_cameras_may_be_added_beyond_those_that_a_model_was_loaded_for(loaded):
    """A watcher loads its model for the cameras it is told of, and takes more."""
    with Watcher("a0", detector=DETECTOR, num_cameras=2) as watcher:
        for i in range(11):
            watcher.add(ended(f"camera {i}", ["red"] * 10))
        events = list(watcher)

    assert loaded[0][1]["streams"] == 2
    assert len({one.source for one in events}) == 11


@pytest.mark.parametrize(
    ("base", "streams"), [("a0", {"streams": 3}), ("a0.tflite", {}), ("demo", {})]
)
def test_taught_classes_are_loaded_as_the_model_below_them(
    loaded, monkeypatch, base, streams
):
    """Whether several streams are stepped in one call is a question of the model that the classes were taught on."""
    monkeypatch.setattr("movinet_lite.live.model.few_shot_base", lambda _: base)
    load_for_cameras("mine.fewshot", 3)

    assert loaded == [("mine.fewshot", {"horizon_s": HORIZON_S, **streams})]


def test_a_model_for_another_engine_is_not_asked_to_step_several_streams(loaded):
    """The command line's options go before the loader's own, and an engine that cannot is not asked."""
    load_for_cameras("a0", 3, engine="tensorflow", horizon_s=None)

    assert loaded == [("a0", {"engine": "tensorflow", "horizon_s": None})]


def test_events_are_those_of_a_stream_alone(classifier):
    """Each camera gets exactly the predictions that its frames give a session of its own."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 20, 8, 6, 3), np.uint8)
    seen = {}
    sources = []
    for name, clip in zip("abc", frames, strict=True):
        source = PushedSource(name)
        for i, pixels in enumerate(clip):
            source.push(pixels, i / 5)
        source.end()
        sources.append(source)

    def note(name, _frame, prediction):
        seen.setdefault(name, []).append(prediction.logits)

    list(watch(sources, classifier, on_prediction=note))

    for name, clip in zip("abc", frames, strict=True):
        alone = [one.logits for one in classifier.new_session().run(list(clip))]
        np.testing.assert_allclose(seen[name], alone, rtol=0, atol=1e-6)


def test_times_by_the_clock_on_the_wall(classifier):
    """An event's wall-clock time is that of its source's beginning plus its place in the stream."""
    source = ended("door", ["blue"] * 5 + ["red"] * 10)
    first, last = watch([source], classifier, detector=DETECTOR)

    since = (first.started_at - source.started_at).total_seconds()
    assert since == pytest.approx(first.event.start_s, abs=1e-6)
    assert first.ended_at is None
    assert (last.ended_at - last.started_at).total_seconds() == pytest.approx(
        last.event.duration_s, abs=1e-5
    )
    line = json.loads(json.dumps(last.to_dict()))
    assert (line["source"], line["label"], line["state"]) == ("door", "red", "ended")
    assert line["started_at"].endswith("Z")


def test_snapshots_on_request(classifier):
    """With snapshots an event carries the frame of its highest score; without, none."""
    colours = ["blue"] * 2 + ["red"] * 10 + ["blue"] * 20
    *_, last = watch(
        [ended("door", colours)], classifier, detector=DETECTOR, snapshots=True
    )
    assert last.event.state == "ended"
    assert last.snapshot[0, 0].tolist() == [255, 0, 0]
    assert last.snapshot_jpeg()[:2] == b"\xff\xd8"

    *_, last = watch([ended("door", colours)], classifier, detector=DETECTOR)
    with pytest.raises(SessionError, match="snapshots=True"):
        last.snapshot_jpeg()


def test_a_camera_that_sends_nothing_holds_nobody_up(watcher):
    """While one source is silent, the other's events come."""
    silent, source = PushedSource("silent"), PushedSource("door")
    watcher.add(silent)
    watcher.add(source)
    source.push_all(["red"] * 10)

    event = watcher.take(WAIT_S)

    assert (event.source, event.label) == ("door", "red")


def test_cameras_are_served_in_turn(classifier):
    """A camera with a long backlog does not come before one that has waited longer."""
    order = []
    greedy, modest = PushedSource("greedy"), PushedSource("modest")
    greedy.push_all(["red"] * 50)
    modest.push_all(["red"] * 10)
    greedy.end()
    modest.end()
    list(
        watch([greedy, modest], classifier, on_prediction=lambda n, *_: order.append(n))
    )

    turns = order[order.index("modest") :][:20]
    assert turns.count("modest") == 10


def test_a_frame_that_cannot_be_used_costs_that_frame(classifier, caplog):
    """A frame of a wrong kind is left out and counted; its camera and the others go on."""
    source = PushedSource("door")
    source.push_all(["red"] * 5)
    source.push(np.zeros((8, 6), np.uint8), 1.0)
    source.push_all(["red"] * 5, start_s=1.2)
    source.end()
    with Watcher(classifier, detector=DETECTOR) as watcher:
        watcher.add(source)
        watcher.add(ended("yard", ["green"] * 11))
        events = list(watcher)
        door, yard = watcher.status().cameras

    assert (door.num_frames, door.num_unusable) == (10, 1)
    assert (yard.num_frames, yard.num_unusable) == (11, 0)
    assert ("door", "red", "ended", 0.0) in summary(events)
    assert "door: a frame cannot be used" in caplog.text


class FailingModel(FakeStreamModel):
    """A model that fails at all-black frames."""

    def step(self, frames, states):
        """Return what the fake model does, or fail."""
        if not frames.any():
            raise RuntimeError("the accelerator fell off")
        return super().step(frames, states)


def test_a_model_that_fails_costs_one_stream_its_history(caplog):
    """Where the model fails, that stream starts anew and is logged; the others keep their states."""
    source = PushedSource("door")
    source.push_all(["red"] * 5)
    source.push(np.zeros((8, 6, 3), np.uint8), 1.0)
    source.push_all(["red"] * 5, start_s=1.2)
    source.end()
    seen = {}

    def note(name, _frame, prediction):
        seen.setdefault(name, []).append(prediction.frames_seen)

    classifier = StreamingClassifier(FailingModel())
    list(watch([source, ended("yard", ["green"] * 11)], classifier, on_prediction=note))

    assert seen["door"] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert seen["yard"] == list(range(1, 12))
    assert "the accelerator fell off" in caplog.text


def test_a_gap_ends_events_and_starts_the_stream_anew(classifier):
    """After five seconds without a frame the model has forgotten what was before."""
    source = PushedSource("door")
    source.push_all(["red"] * 10)
    source.push_all(["red"] * 10, start_s=7.0)
    source.end()
    seen = []
    events = list(
        watch(
            [source],
            classifier,
            detector=DETECTOR,
            on_prediction=lambda _n, _f, one: seen.append(one.frames_seen),
        )
    )

    assert seen == [*range(1, 11), *range(1, 11)]
    assert summary(events) == [
        ("door", "red", "confirmed", 0.0),
        ("door", "red", "confirmed", 7.0),
        ("door", "red", "ended", 0.0),
        ("door", "red", "ended", 7.0),
    ]


def test_a_slow_camera_has_no_gap_between_its_frames(classifier):
    """One frame in two seconds is a slow stream, not one that is lost after each."""
    source = PushedSource("door")
    source.push_all(["red"] * 5, fps=0.4)
    source.end()
    seen = []
    list(
        watch(
            [source],
            classifier,
            fps=0.4,
            on_prediction=lambda _n, _f, one: seen.append(one.frames_seen),
        )
    )

    assert seen == [1, 2, 3, 4, 5]


def test_a_lost_camera_ends_its_events(classifier):
    """An event does not go on for ever at a camera that sends no more."""
    with Watcher(classifier, detector=DETECTOR, max_gap_s=0.6) as watcher:
        source = PushedSource("door")
        watcher.add(source)
        source.push_all(["red"] * 10)
        states = [watcher.take(WAIT_S).event.state for _ in range(2)]

    assert states == ["confirmed", "ended"]


def test_another_resolution_starts_the_stream_anew(classifier):
    """Frames of another size are no error."""
    source = PushedSource("door")
    source.push_all(["red"] * 5)
    for i in range(5):
        source.push(picture("red", (16, 12)), 1.0 + i / 5)
    source.end()
    seen = []
    with Watcher(
        classifier, on_prediction=lambda _n, _f, one: seen.append(one.frames_seen)
    ) as watcher:
        watcher.add(source)
        list(watcher)
        (door,) = watcher.status().cameras

    assert seen == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert door.num_unusable == 0


def test_a_clock_that_runs_back_is_no_error(classifier):
    """A source whose time begins again is a new stream."""
    source = PushedSource("door")
    source.push_all(["red"] * 10, start_s=100.0)
    source.push_all(["red"] * 10, start_s=0.0)
    source.end()
    events = list(watch([source], classifier, detector=DETECTOR))

    assert [one.event.state for one in events].count("ended") == 2


def test_cameras_come_and_go(watcher):
    """A camera may be added and removed while others are watched; its events end as it goes."""
    door, yard = PushedSource("door"), PushedSource("yard")
    watcher.add(door)
    door.push_all(["red"] * 10)
    assert watcher.take(WAIT_S).source == "door"

    name = watcher.add(yard, detector=EventDetector(enter=0.25, labels=["green"]))
    yard.push_all(["green"] * 10)
    assert (name, watcher.take(WAIT_S).source) == ("yard", "yard")

    watcher.remove("door")
    last = watcher.take(WAIT_S)
    assert (last.source, last.event.state) == ("door", "ended")
    assert [one.name for one in watcher.status().cameras] == ["yard"]
    assert not door.closed  # it was opened by someone else
    with pytest.raises(SessionError, match="got 'door' \\(there are: yard\\)"):
        watcher.remove("door")


def test_a_name_that_is_taken_gets_a_number(watcher):
    """Two sources of one name are told apart."""
    names = [watcher.add(PushedSource("door")) for _ in range(3)]

    assert names == ["door", "door 2", "door 3"]


def test_each_camera_has_its_own_thresholds(watcher):
    """A camera's own detector decides for it alone."""
    strict = EventDetector(enter=0.9, labels=["red"])
    door, yard = PushedSource("door"), PushedSource("yard")
    watcher.add(door, detector=strict)
    watcher.add(yard)
    for source in (door, yard):
        source.push_all(["red"] * 10)
        source.end()

    assert {one.source for one in watcher} == {"yard"}


def test_the_status_tells_how_a_camera_is(watcher):
    """State, leading label, events that go on and counts."""
    source = PushedSource("door", age_s=2.0)
    watcher.add(source)
    source.push_all(["red"] * 10)
    watcher.take(WAIT_S)
    wait_for(lambda: watcher.status().cameras[0].num_frames == 10)
    (door,) = watcher.status().cameras

    assert (door.name, door.source.state, door.full_fps) == ("door", "live", 5.0)
    assert door.leading[0] == "red"
    assert (door.going_on, door.num_events) == (("red",), 1)
    assert door.last_event.label == "red"
    assert 0.0 <= door.lag_s < 5.0
    assert not watcher.status().overloaded


def test_a_source_that_has_ended_has_no_rate(watcher):
    """The frame rate of a file that is over is 0, not one that falls slowly."""
    watcher.add(ended("door", ["red"] * 20))
    list(watcher)

    assert watcher.status().cameras[0].fps == 0.0


def test_the_rate_falls_evenly(classifier):
    """Where the machine cannot keep up, every camera is given the same share of its frames."""
    watcher = Watcher(classifier)
    sources = [PushedSource(name) for name in "abc"]
    for source in sources:
        source.push_all(["red"] * 40)
        source.end()
    watcher._pace.load = attrs.evolve(watcher._pace.load, rate=0.5)
    watcher._pace.update = lambda *_, **__: False
    with watcher:
        for source in sources:
            watcher.add(source)
        list(watcher)
        status = watcher.status()

    assert status.overloaded
    assert {one.num_frames for one in status.cameras} == {21}


def test_events_that_nobody_takes_do_not_fill_the_memory(classifier, monkeypatch):
    """The oldest events go, and the status counts them."""
    monkeypatch.setattr("movinet_lite.live.event_queue._MAX_EVENTS", 3)
    with Watcher(classifier, detector=DETECTOR) as watcher:
        for name in "abcde":
            watcher.add(ended(name, ["red"] * 10))
        wait_for(lambda: watcher._events._done)

        assert watcher.status().num_lost_events == 7
        assert len(list(watcher)) == 3


def test_closing_ends_what_goes_on_and_every_thread(classifier):
    """After `close` the events that went on have ended, iterating stops, and no thread is left."""
    before = set(threading.enumerate())
    watcher = Watcher(classifier, detector=DETECTOR)
    source = PushedSource("door")
    watcher.add(source)
    source.push_all(["red"] * 10)
    watcher.take(WAIT_S)
    watcher.close()
    watcher.close()

    assert [one.event.state for one in watcher] == ["ended"]
    assert watcher.is_over
    assert set(threading.enumerate()) == before
    with pytest.raises(SessionError, match="closed"):
        watcher.add(PushedSource("yard"))


def test_a_watcher_without_cameras_closes():
    """A watcher that never had a camera can be closed, and gives no events."""
    watcher = Watcher(StreamingClassifier(FakeStreamModel()))
    watcher.close()

    assert list(watcher) == []


def test_a_listener_that_fails_is_logged(classifier, caplog):
    """An error in *on_prediction* ends nothing."""

    def fail(*_):
        raise ValueError("no room for the picture")

    source = ended("door", ["red"] * 10)
    with caplog.at_level(logging.ERROR):
        events = list(
            watch([source], classifier, detector=DETECTOR, on_prediction=fail)
        )

    assert len(events) == 2
    assert "no room for the picture" in caplog.text


def test_streams_look_back_no_further_than_a_clip_does():
    """The horizon of the given classifier holds for every camera."""
    session = StreamingClassifier(FakeStreamModel(), horizon_s=2.0)
    seen = []
    source = ended("door", ["red"] * 100)
    list(
        watch(
            [source],
            session,
            on_prediction=lambda _n, _f, one: seen.append(one.frames_seen),
        )
    )

    assert len(seen) == 100
    assert max(seen) < 50


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fps": 0.0}, ArrayError, "fps"),
        ({"max_gap_s": -1.0}, ArrayError, "max_gap_s"),
        ({"model": "a0", "num_cameras": 0}, ArrayError, "num_cameras"),
        ({"detector": EventDetector(labels=["rad"])}, LabelsError, "red"),
    ],
)
def test_options_that_cannot_work(classifier, options, error, message):
    """Options are refused before anything is opened."""
    with pytest.raises(error, match=message):
        Watcher(**{"model": classifier, **options})


def test_a_model_without_a_rate_needs_one():
    """A model that does not know its frame rate needs *fps*."""
    classifier = StreamingClassifier(FakeStreamModel(fps=None), horizon_s=None)
    with Watcher(classifier) as watcher, pytest.raises(ModelError, match="fps=5"):
        watcher.add(PushedSource("door"))


def test_watching_nothing_is_refused(classifier):
    """No source at all is a mistake."""
    with pytest.raises(ArrayError, match="at least one source"):
        watch([], classifier)


def test_a_failure_of_the_loop_reaches_who_iterates(classifier):
    """What should never fail is raised where the events are taken, not lost in a thread."""

    class Broken(PushedSource):
        def take(self, _timeout_s=0.0):
            raise MemoryError("no memory")

    with pytest.raises(MemoryError, match="no memory"):
        list(watch([Broken()], classifier))


def test_labels_are_those_of_the_fake():
    """The detector of these tests names labels of the model."""
    assert set(DETECTOR.settings.labels) <= set(LABELS)


class WithoutPicture(PushedSource):
    """A source whose pictures cannot be made."""

    def snapshot(self):
        """Fail."""
        raise MemoryError("no room for a picture")


def test_a_frame_that_cannot_be_used_costs_no_event_and_no_other_camera(
    classifier, caplog
):
    """A picture that cannot be made, and a time that is no number, are logged; every camera goes on."""
    blind, timeless = WithoutPicture("blind"), PushedSource("timeless")
    blind.push_all(["red"] * 10)
    timeless.push_all(["red"] * 2)
    timeless.push("red", float("nan"))
    timeless.push_all(["red"] * 10, start_s=0.6)
    for source in (blind, timeless):
        source.end()
    sources = [blind, timeless, ended("yard", ["red"] * 10)]

    events = list(watch(sources, classifier, detector=DETECTOR, snapshots=True))

    ends = {source for source, _, state, _ in summary(events) if state == "ended"}
    assert ends == {"blind", "timeless", "yard"}
    assert "blind: no picture of an event: no room for a picture" in caplog.text
    assert "timeless: a frame cannot be used: times must be numbers" in caplog.text


def test_names_can_be_shown(watcher):
    """What cannot be printed, such as a line break or undecodable bytes of a file name, is replaced in a name."""
    assert (
        watcher.add(PushedSource("a\n\udcff\x1b[31m ü")) == "a\ufffd\ufffd\ufffd[31m ü"
    )
    assert watcher.add(PushedSource("door"), name="front\ndoor") == "front\ufffddoor"


def test_clips_have_the_name_of_their_camera(classifier, tmp_path):
    """Two cameras with the same file have different names, and so do their clips."""
    video = tmp_path / "red.mp4"
    write_video(video, [picture("red", (16, 16))] * 10, fps=10)
    clips = []
    with (
        ClipRecorder(tmp_path / "clips", on_clip=clips.append) as recorder,
        Watcher(classifier, detector=DETECTOR, recorder=recorder) as watcher,
    ):
        names = {watcher.add(video), watcher.add(video)}
        events = list(watcher)

    assert names == {"red.mp4", "red.mp4 2"}
    assert {event.source for event in events} == names
    assert {clip.source for clip in clips} == names
