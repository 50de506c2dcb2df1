"""The window that plays frames: over a stand-in for tkinter and for the clock, and once on a real screen without a monitor."""

import inspect
import os
import shutil
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

from movinet_lite import ArrayError, MoViNetError
from movinet_lite.show import window
from movinet_lite.show.window import Window


class FakeTk:
    """A root window of tkinter; a call that it does not know is an error."""

    def __init__(self):
        self.bindings = {}
        self.num_destroyed = 0

    def withdraw(self):
        """Hide the window."""

    def deiconify(self):
        """Let the window be seen."""

    def title(self, string):
        """Take the title."""

    def resizable(self, width, height):
        """Take whether the size may change."""

    def update(self):
        """Handle what has happened; the window must still be there."""
        assert not self.num_destroyed

    def destroy(self):
        """Count how often the window was destroyed."""
        self.num_destroyed += 1

    def protocol(self, name, func):
        """Remember what the close button does."""
        self.bindings[name] = func

    def bind(self, sequence, func):
        """Remember what a key does."""
        self.bindings[sequence] = lambda: func(None)

    def winfo_screenheight(self):
        """Return the height of the screen."""
        return 600

    def winfo_screenwidth(self):
        """Return the width of the screen."""
        return 1000


class Screen:
    """The images shown, each with the time on the clock, and the window they are shown in."""

    def __init__(self):
        self.now_s = 100.0
        self.shown = []
        self.root = FakeTk()

    def sleep(self, seconds):
        """Let time pass."""
        self.now_s += seconds


@pytest.fixture
def screen(monkeypatch):
    """A screen that takes the place of the real one."""
    screen = Screen()
    tkinter: Any = types.ModuleType("tkinter")

    class Label:
        def __init__(self, master, *, borderwidth, background):
            assert (borderwidth, background) == (0, "black")
            assert master is screen.root

        def pack(self):
            pass

        def configure(self, image):
            screen.shown.append((screen.now_s, image))

    tkinter.Tk = lambda: screen.root
    tkinter.TclError = RuntimeError
    tkinter.Label = Label
    tkinter.PhotoImage = lambda master, data, format: data  # noqa: A006, ARG005
    monkeypatch.setitem(sys.modules, "tkinter", tkinter)
    clock = types.SimpleNamespace(monotonic=lambda: screen.now_s, sleep=screen.sleep)
    monkeypatch.setattr(window, "time", clock)
    return screen


def frame_of(level, size=(480, 640)):
    """Return a frame of one grey."""
    return np.full((*size, 3), level, np.uint8)


def test_frames_appear_at_their_times(screen):
    """Frames are shown in the rhythm of their times, whatever time the first has; a late one at once."""
    with Window("title") as shown:
        for time_s in (2.0, 2.5, 3.5):
            shown.show(frame_of(0), time_s)
        screen.now_s += 5
        shown.show(frame_of(0), 4.0)

    times_s = [time_s - 100 for time_s, _ in screen.shown]
    np.testing.assert_allclose(times_s, [0, 0.5, 1.5, 6.5], atol=1e-9)


def test_another_video_begins_afresh(screen):
    """A time before the last one starts the clock anew."""
    with Window("title") as shown:
        shown.show(frame_of(0), 9.0)
        screen.now_s += 3
        shown.show(frame_of(0), 0.0)
        shown.show(frame_of(0), 1.0)

    times_s = [time_s - 103 for time_s, _ in screen.shown[1:]]
    np.testing.assert_allclose(times_s, [0, 1], atol=1e-9)


def test_what_is_shown_is_the_frame(screen):
    """A frame of a fitting size is shown pixel by pixel."""
    frame = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)
    with Window("title") as shown:
        shown.show(frame, 0.0)

    assert screen.shown[0][1] == b"P6 600 500 255 " + frame.tobytes()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((172, 172), (480, 480)),
        ((2160, 3840), (506, 900)),
        ((1920, 1080), (540, 304)),
        ((10, 100), (90, 900)),
    ],
    ids=str,
)
def test_frames_fit_the_screen(screen, size, expected):
    """A small frame grows, a large one shrinks to the screen, both in their shape."""
    with Window("title") as shown:
        shown.show(frame_of(77, size), 0.0)

    height, width = expected
    assert screen.shown[0][1] == b"P6 %d %d 255 " % (width, height) + bytes(
        [77] * height * width * 3
    )


@pytest.mark.parametrize("way", ["WM_DELETE_WINDOW", "<q>", "<Escape>"])
def test_a_closed_window_shows_nothing_more(screen, way):
    """After the close button, q or Escape the window is gone, and showing does nothing."""
    with Window("title") as shown:
        shown.show(frame_of(0), 0.0)
        was_open = shown.is_open
        screen.root.bindings[way]()
        shown.show(frame_of(0), 50.0)

    assert (was_open, shown.is_open) == (True, False)
    assert len(screen.shown) == 1
    assert screen.now_s == 100.0
    assert screen.root.num_destroyed == 1


def test_without_a_screen_there_is_one_error(screen, monkeypatch):
    """On a machine without a screen the error says so, and what to do."""
    del screen

    def fail():
        raise RuntimeError("no display name")

    monkeypatch.setattr(sys.modules["tkinter"], "Tk", fail)

    with pytest.raises(MoViNetError, match=r"no display name\); write a file instead"):
        Window("title")


def test_without_tkinter_there_is_one_error(monkeypatch):
    """A Python without tkinter is told how to get it."""
    monkeypatch.setitem(sys.modules, "tkinter", None)

    with pytest.raises(MoViNetError, match=r"requires tkinter.*python3-tk"):
        Window("title")


@pytest.mark.usefixtures("screen")
def test_what_is_no_frame_is_refused():
    """A clip is no frame."""
    with Window("title") as shown, pytest.raises(ArrayError, match="frame must be"):
        shown.show(np.zeros((2, 8, 8, 3), np.uint8), 0.0)


def test_the_stand_in_has_what_tkinter_has():
    """Every method of the stand-in is one of tkinter's, and takes arguments of the same names."""
    tkinter = pytest.importorskip("tkinter")
    for name, method in vars(FakeTk).items():
        if name.startswith("_"):
            continue
        real = inspect.signature(getattr(tkinter.Tk, name)).parameters
        assert list(inspect.signature(method).parameters) <= list(real), name


@pytest.fixture
def framebuffer(monkeypatch, tmp_path):
    """The file that holds the pixels of a screen without a monitor, on which windows open."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (xvfb on Debian and Ubuntu)")
    pytest.importorskip("tkinter")
    number, given = os.pipe()
    server = subprocess.Popen(
        [
            *("Xvfb", "-screen", "0", "1000x600x24", "-nolisten", "tcp"),
            *("-displayfd", str(given), "-fbdir", str(tmp_path)),
        ],
        pass_fds=[given],
        stderr=subprocess.DEVNULL,
    )
    os.close(given)
    try:
        with os.fdopen(number) as lines:
            display = lines.readline().strip()
        assert display, "Xvfb did not start"
        monkeypatch.setenv("DISPLAY", f":{display}")
        yield tmp_path / "Xvfb_screen0"
    finally:
        server.kill()
        server.wait()


_ON_A_REAL_SCREEN = """
import struct, sys, tkinter
from pathlib import Path
import numpy as np
from movinet_lite.show.window import Window

def pixels():
    # The file is of the format XWD: a header, the colours of a palette, rows of blue, green, red and a byte of nothing.
    data = Path(sys.argv[1]).read_bytes()
    header = struct.unpack(">25I", data[:100])
    size, width, height, bytes_per_line, num_colours = (header[i] for i in (0, 4, 5, 12, 19))
    rows = np.frombuffer(data, np.uint8, height * bytes_per_line, size + 12 * num_colours)
    return rows.reshape(height, -1, 4)[:, :width, 2::-1]

frame = np.random.default_rng(0).integers(1, 256, (500, 600, 3), np.uint8)
for way in ("close button", "<q>", "<Escape>"):
    with Window("title") as shown:
        shown.show(np.zeros_like(frame), 0.0)
        shown.show(frame, 0.01)
        root = tkinter.Frame().winfo_toplevel()
        top, left = root.winfo_rooty(), root.winfo_rootx()
        np.testing.assert_array_equal(pixels()[top : top + 500, left : left + 600], frame)
        if way == "close button":
            root.tk.eval(root.protocol("WM_DELETE_WINDOW"))
        else:
            root.focus_force()
            root.update()
            root.event_generate(way)
        assert not shown.is_open, way
        shown.show(frame, 0.02)
    print("closed by", way)
"""


def test_a_real_window_shows_frames_and_closes(framebuffer):
    """With the real tkinter the frame's own pixels are on the screen, and button and keys close the window."""
    # In a process of its own: Tk ends the process that it lives in when its screen goes.
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_REAL_SCREEN, str(framebuffer)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"closed by {way}" for way in ("close button", "<q>", "<Escape>")
    ]
