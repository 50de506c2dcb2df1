"""A file's frames are read ahead in a thread, which never outlives them, and give the same answers."""

import gc
import inspect
import itertools
import subprocess
import sys
import threading
import traceback
from fractions import Fraction
from queue import SimpleQueue

import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.errors import ArrayError, VideoError
from movinet_lite.testing import FakeClipModel, FakeStreamModel
from movinet_lite.video import FrameScaler, ahead, read_frames
from movinet_lite.video.reading import FrameReader
from tests.video_files import (
    needs_proc,
    num_open_files,
    write_numbered,
    write_pictures,
)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Each test ends with as many threads as it began."""
    before = threading.active_count()
    yield
    if threading.active_count() != before:
        gc.collect()  # an iterator that a test left to itself may be in a cycle; with TensorFlow loaded this takes long
    assert threading.active_count() == before


def num_decoding():
    """Return how many threads decode."""
    return sum(
        thread.name == "movinet-lite-decoding" for thread in threading.enumerate()
    )


@pytest.fixture
def video(tmp_path):
    """A file of 240 frames, 60 a second: more than are read ahead."""
    return write_numbered(tmp_path / "clip.mp4", 240, rate=60)


@pytest.fixture
def session():
    """A session that takes every frame of `video`."""
    return StreamingClassifier(FakeStreamModel(frame_size=(16, 24)), fps=60)


FITS = ["stretch", "crop", "pad"]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(90, 122), (12, 200), (16, 24)])
@pytest.mark.parametrize("turn", [None, (90, False, False), (180, True, False)])
def test_frames_are_scaled_as_a_session_would(tmp_path, fit, size, turn):
    """The frames are, to the bit, those of `read_frames`, scaled, whatever their shape and rotation."""
    noise = np.random.default_rng(1).integers(0, 256, (4, *size, 3), np.uint8)
    path = write_pictures(
        tmp_path / "clip.mp4", list(noise), [0, 1, 2, 3, 4], Fraction(1, 5), turn=turn
    )
    session = StreamingClassifier(FakeStreamModel(frame_size=(16, 24)), fit=fit)
    scaler = FrameScaler((16, 24), fit)
    room = np.empty((16, 24, 3), np.float32)

    with session.read_video(path) as frames:
        prepared = list(frames)

    read = list(read_frames(path, fps=5))
    assert len(prepared) == len(read) == 4
    for frame, original in zip(prepared, read, strict=True):
        assert (frame.time_s, frame.index) == (original.time_s, original.index)
        assert frame.pixels.flags.writeable
        np.testing.assert_array_equal(
            frame.pixels / np.float32(255), scaler.scale_into(original.pixels, room)
        )


@pytest.mark.parametrize("fit", FITS)
def test_fast_frames_differ_little(tmp_path, fit):
    """With quality="fast" frames have the same size and place, and nearly the same colours."""
    ramp = np.linspace(0, 255, 90)[:, None, None] * np.ones((90, 122, 3))
    path = write_pictures(
        tmp_path / "clip.mp4", [ramp.astype(np.uint8)] * 2, [0, 1, 2], Fraction(1, 5)
    )
    session = StreamingClassifier(FakeStreamModel(frame_size=(16, 24)), fit=fit)

    exact = list(session.read_video(path))
    fast = list(session.read_video(path, quality="fast"))

    for one, two in zip(exact, fast, strict=True):
        assert np.abs(one.pixels.astype(int) - two.pixels).max() <= 4


def test_impossible_options_are_refused(video, session):
    """An unknown quality and an impossible number of threads are told at once."""
    with pytest.raises(
        ArrayError, match="quality must be one of exact, fast; got 'ok'"
    ):
        session.read_video(video, quality="ok")
    with pytest.raises(ArrayError, match="threads must be a whole number, at least 1"):
        session.predict_video(video, decode_threads=0)


def test_the_answers_are_those_of_plain_reading(video, session):
    """Clip and stream classifiers answer as for the frames of `read_frames`."""
    frames = list(read_frames(video, fps=60))
    clips = BaseClassifier(FakeClipModel(frame_size=(16, 24)), fps=60)

    stream = session.predict_video(video, decode_threads=1)

    expected = list(session.new_session().run(frames))
    assert len(stream) == 240
    for one, two in zip(stream, expected, strict=True):
        np.testing.assert_array_equal(one.logits, two.logits)
        assert one.time_s == two.time_s
    np.testing.assert_array_equal(
        clips.predict_video(video).logits, clips.predict_long(frames).logits
    )


def test_few_frames_wait(video, session, monkeypatch):
    """However slow the user is, no more than a fixed number of frames are read ahead."""
    taken, waiting = [], threading.Event()
    read = FrameReader.__next__

    def counting(self):
        taken.append(None)
        if len(taken) == 1 + ahead._NUM_AHEAD:
            waiting.set()
        return read(self)

    monkeypatch.setattr(FrameReader, "__next__", counting)
    with session.read_video(video) as frames:
        next(frames)
        assert waiting.wait(10)
        assert len(taken) <= 1 + ahead._NUM_AHEAD
        assert len(list(itertools.islice(frames, 100))) == 100


def test_leaving_early_ends_the_thread(video, session):
    """A break, a close and dropping it all end the thread and close the file."""
    with session.read_video(video) as frames:
        next(frames)
        assert num_decoding() == 1
    assert num_decoding() == 0
    with pytest.raises(VideoError, match="the reader is closed"):
        next(frames)

    frames = session.read_video(video)
    predictions = session.new_session().run(frames)
    next(predictions)
    predictions.close()
    frames.close()
    frames.close()
    assert num_decoding() == 0

    session.read_video(video).close()  # never begun
    assert num_decoding() == 0


@needs_proc
def test_dropping_it_ends_a_thread_that_decodes(video, session, monkeypatch):
    """The thread ends after the frame that it decodes, and the file is closed."""
    before = num_open_files()
    read, num_read = FrameReader.__next__, 0
    has_begun, may_go_on = threading.Event(), threading.Event()

    def held_back(self):
        nonlocal num_read
        num_read += 1
        if num_read == 3:
            has_begun.set()
            assert may_go_on.wait(10)
        return read(self)

    monkeypatch.setattr(FrameReader, "__next__", held_back)
    frames = session.read_video(video)
    next(frames)
    thread = frames._thread
    assert has_begun.wait(10)
    del frames
    may_go_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert num_read == 3
    assert num_open_files() == before


@needs_proc
def test_dropping_it_ends_a_thread_that_waits(video, session):
    """Nobody takes its frames, so that it waits for room: it ends, and the file is closed."""
    before = num_open_files()
    waits = threading.Event()

    class RoomForTwo(SimpleQueue):
        num_asked = 0

        def get(self):
            self.num_asked += 1
            if self.num_asked == 3:
                waits.set()
            return super().get()

    frames = session.read_video(video)
    frames._shared.room = RoomForTwo()
    frames._shared.room.put(None)  # and one more for the frame that is taken
    next(frames)
    thread = frames._thread
    assert waits.wait(10)
    del frames
    thread.join(10)
    assert not thread.is_alive()
    assert num_open_files() == before


@needs_proc
def test_dropping_it_without_a_thread_closes_the_file(video, session):
    """At once."""
    before = num_open_files()
    frames = session.read_video(video)
    assert num_open_files() == before + 1
    del frames
    assert num_open_files() == before


@pytest.mark.parametrize("num_taken", [0, 1, 5])
@pytest.mark.parametrize("is_ahead", [False, True])
def test_no_function_of_ours_runs_when_frames_are_dropped(video, is_ahead, num_taken):
    """Python would print and lose a Ctrl-C that comes while a finaliser runs."""
    reader = read_frames(video, fps=7)
    frames = ahead.FramesAhead(reader) if is_ahead else reader
    del reader
    for _ in range(num_taken):
        next(frames)
    thread = frames._thread if is_ahead else None
    called = []

    def watch(frame, event, _argument):
        # A generator is ended by an exception; Python looks for signals in no place of those.
        if event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR:
            called.append(frame.f_code.co_qualname)

    sys.setprofile(watch)
    del frames
    sys.setprofile(None)
    assert called == []
    if thread:
        thread.join(10)
        assert not thread.is_alive()


def test_a_program_may_end_while_frames_are_read(video):
    """Frames that nobody takes to their end leave no trace in the output of the program."""
    code = (
        "import sys\n"
        "from movinet_lite.video.ahead import FramesAhead\n"
        "from movinet_lite.video.reading import read_frames\n"
        "frames = FramesAhead(read_frames(sys.argv[1]))\n"
        "print(next(frames).index)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(video)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_an_end_stays_an_end(video, session):
    """After the last frame there is none, however often one asks, and the thread is gone."""
    frames = session.read_video(video)

    assert len(list(frames)) == 240
    assert list(frames) == []
    assert num_decoding() == 0


@pytest.mark.parametrize(
    "error", [RuntimeError("the disk fell down"), KeyboardInterrupt()]
)
def test_errors_come_where_the_frame_would(video, session, monkeypatch, error):
    """An error of the thread is raised to the user as it is, after the frames before it, with its traceback."""
    read = FrameReader.__next__

    def failing(self):
        if self._num_given == 40:
            raise error
        return read(self)

    monkeypatch.setattr(FrameReader, "__next__", failing)
    frames = session.read_video(video)
    given = list(itertools.islice(frames, 40))

    with pytest.raises(type(error)) as caught:
        next(frames)

    assert len(given) == 40
    assert caught.value is error
    assert "failing" in [each.name for each in traceback.extract_tb(caught.tb)]
    assert num_decoding() == 0


def test_a_damaged_video_is_told_after_its_frames(video, session):
    """What is left of a file gives its predictions, and then the error of `read_frames`."""
    data = video.read_bytes()
    video.write_bytes(data[: len(data) * 3 // 4])
    predictions = []

    with pytest.raises(VideoError, match="damaged or truncated") as caught:
        predictions.extend(session.run(session.read_video(video)))

    assert f"; {len(predictions)} frames were read" in str(caught.value)
    assert len(predictions) > 60


def test_ctrl_c_while_the_model_computes_ends_the_thread(video, session, monkeypatch):
    """Where the user of the frames is interrupted, the file is closed and no thread is left."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeStreamModel, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.predict_video(video)

    assert num_decoding() == 0
