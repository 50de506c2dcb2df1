import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from movinet_lite import errors
from movinet_lite.errors import (
    ArrayError,
    ClusterError,
    ConversionError,
    DataError,
    LabelsError,
    LiveSourceError,
    MissingDependencyError,
    ModelError,
    MoViNetError,
    PageError,
    SessionError,
    VariantError,
    VideoError,
    VideoNotFoundError,
    said_by,
)

EXAMPLES = [
    MoViNetError("nothing works"),
    ArrayError("frame must be RGB"),
    DataError("examples must be there"),
    DataError("examples must be there", Path("videos")),
    LabelsError("labels must be names"),
    LabelsError("labels must be names", Path("labels.txt"), 3),
    VariantError("unknown variant", "a9", ("a0", "a1")),
    VideoError("no video stream", Path("clip.mp4")),
    VideoNotFoundError("no such file", "clip.mp4"),
    LiveSourceError("no packets are stored for that time", "rtsp://cam/stream"),
    ModelError("not a SavedModel", "a0", (1, 2), {"got": 3}),
    ClusterError("it must be one that can be reached", "10.0.0.1:6379"),
    PageError("the port must be free"),
    SessionError("session is closed"),
    ConversionError("the numbers differ"),
    MissingDependencyError("matplotlib", "plot"),
]


def test_the_tree_drawn_is_the_tree_there_is():
    """The tree in the module's docstring shows every exception under its true bases."""
    drawn = {}
    parents = ["Exception"]
    for bars, name, base in re.findall(
        r"^    ([│├└─ ]*)(\w+)\((\w+)\)", str(errors.__doc__), re.MULTILINE
    ):
        depth = len(bars) // 4
        parents[depth + 1 :] = [name]
        drawn[name] = {parents[depth], base}

    classes = dict(inspect.getmembers(errors, inspect.isclass))
    there = {
        name: {base.__name__ for base in classes[name].__bases__}
        for name in errors.__all__
    }
    assert drawn == there


def test_every_exception_is_listed_and_shown_in_an_example():
    """No exception of the module is missing in its ``__all__`` or in the tests below."""
    defined = {
        name
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if member.__module__ == errors.__name__
    }

    assert defined == set(errors.__all__) == {type(one).__name__ for one in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "again",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy],  # noqa: S301
)
def test_errors_survive_pickling(error, again):
    """A pickled or copied error has the type, the text and every field of the original."""
    copied = again(error)

    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)
    assert vars(error)["message"]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_one_except_clause_catches_all(error):
    """Every error is a `MoViNetError`."""
    assert isinstance(error, MoViNetError)


@pytest.mark.parametrize(
    ("error", "builtin", "text"),
    [
        (ArrayError("rule; got"), ValueError, "rule; got"),
        (DataError("rule"), ValueError, "rule"),
        (DataError("rule", "videos"), ValueError, "videos: rule"),
        (LabelsError("rule"), ValueError, "rule"),
        (LabelsError("rule", "labels.txt"), ValueError, "labels.txt: rule"),
        (LabelsError("rule", "labels.txt", 3), ValueError, "labels.txt:3: rule"),
        (VariantError("rule", "a9", ("a0",)), ValueError, "rule"),
        (VideoError("rule", Path("clip.mp4")), OSError, "clip.mp4: rule"),
        (VideoError("rule"), OSError, "rule"),
        (VideoNotFoundError("rule", "clip.mp4"), FileNotFoundError, "clip.mp4: rule"),
        (VideoNotFoundError("rule", "clip.mp4"), VideoError, "clip.mp4: rule"),
        (ModelError("rule", "a0"), RuntimeError, "a0: rule"),
        (ModelError("rule"), RuntimeError, "rule"),
        (ClusterError("rule", "head:6379"), RuntimeError, "head:6379: rule"),
        (SessionError("rule"), RuntimeError, "rule"),
        (ConversionError("rule"), RuntimeError, "rule"),
    ],
)
def test_errors_are_the_builtin_that_fits(error, builtin, text):
    """Each error is also the built-in exception that fits, and says where before what."""
    with pytest.raises(builtin, match=f"^{re.escape(text)}$"):
        raise error


def test_fields_hold_what_the_error_is_about():
    """What an error is about can be read from its fields, and stands in its ``repr``."""
    labels = LabelsError("rule", "labels.txt", 3)
    variant = VariantError("rule", "a9", ("a0", "a1"))
    model = ModelError("rule", "a0", 600, 400)

    assert (labels.path, labels.line, labels.message) == ("labels.txt", 3, "rule")
    assert (variant.name, variant.known) == ("a9", ("a0", "a1"))
    assert (model.source, model.expected, model.received) == ("a0", 600, 400)
    assert VideoError("rule", "clip.mp4").path == "clip.mp4"
    assert repr(labels) == "LabelsError('rule', 'labels.txt', 3)"
    assert repr(variant) == "VariantError('rule', 'a9', ('a0', 'a1'))"
    assert repr(model) == "ModelError('rule', 'a0', 600, 400)"
    assert repr(VideoError("rule", "a.mp4")) == "VideoError('rule', 'a.mp4')"


def test_video_errors_have_no_error_number():
    """The text of a `VideoError` is not taken for the number of an error of the system."""
    error = VideoNotFoundError("no such file", "clip.mp4")

    assert (error.errno, error.strerror) == (None, "no such file")


def test_missing_dependency_says_what_to_install():
    """The error for a missing package names it and the command that installs it."""
    error = MissingDependencyError("matplotlib", "plot")

    assert isinstance(error, ImportError)
    assert (error.package, error.extra) == ("matplotlib", "plot")
    assert str(error) == (
        "this requires the package 'matplotlib', which is not installed; "
        "install it with: pip install 'movinet-lite[plot]'"
    )


def test_a_long_message_of_another_library_is_quoted_in_part():
    """TensorFlow quotes whole graphs."""
    said = said_by(ValueError("no such kernel " * 100))

    assert said.startswith("no such kernel no such kernel")
    assert said.endswith("...")
    assert len(said) == 300
