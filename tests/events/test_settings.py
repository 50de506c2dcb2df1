"""The TOML file of a detector: written and read back, and what is wrong with a bad one."""

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movinet_lite import DataError, EventDetector
from movinet_lite.events.settings import DetectorSettings
from tests.events.streams import detectors
from tests.strategies import label_lists


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detectors(), label_lists(), st.booleans())
def test_a_saved_detector_is_loaded_as_it_was(tmp_path, detector, labels, named):
    """Every setting comes back to the last bit, with labels of any characters."""
    path = tmp_path / "events.toml"
    chosen = attrs.evolve(
        detector.settings,
        labels=labels if named else None,
        thresholds={labels[0]: (0.7, 1 / 3)} if named else {},
    )
    EventDetector.from_settings(chosen).save(path)

    assert EventDetector.load(path).settings == chosen


def test_the_file_is_made_to_be_read(tmp_path):
    """The file says what it is, and names settings as the detector does; what is left out has its default."""
    path = tmp_path / "events.toml"
    EventDetector(enter=0.5, thresholds={'say "hi"\x7f': (0.5, 0.25)}).save(path)

    assert path.read_text("utf-8").splitlines() == [
        "# Settings of an event detector. Times are in seconds.",
        "[event_detector]",
        "enter = 0.5",
        "leave = 0.35",
        "min_duration_s = 0.5",
        "max_gap_s = 0.5",
        "smooth_s = 0.0",
        "pad_s = 0.0",
        "cooldown_s = 0.0",
        "delay_s = 0.0",
        "",
        "# Thresholds of single labels: enter, leave.",
        "[event_detector.thresholds]",
        '"say \\"hi\\"\\u007f" = [0.5, 0.25]',
    ]
    path.write_text("[event_detector]\nenter = 1\n")
    assert EventDetector.load(path).settings == DetectorSettings(enter=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enter = \nleave = 1", r"must be TOML; .*line 1"),
        ("", r"one table \[event_detector\]; got nothing"),
        ("enter = 0.5", r"one table \[event_detector\]; got enter"),
        ("[event_detector]\n[other]", r"got event_detector, other"),
        (
            "[event_detector]\nentre = 0.5",
            r"must be one of enter, leave, .*; got entre",
        ),
        ("[event_detector]\nenter = true", "enter must be a number; got True"),
        ("[event_detector]\nenter = nan", "above 0 and up to 1"),
        ("[event_detector]\nlabels = 'yoga'", "must be a list of names; got 'yoga'"),
        ("[event_detector]\nlabels = [1]", "label 1, 1, is of type int"),
        ("[event_detector]\nlabels = []", "at least one label"),
        ("[event_detector]\nthresholds = 1", "table of label = .*; got 1"),
        (
            "[event_detector.thresholds]\nyoga = [0.2, 0.4]",
            "leave of 'yoga' must be above 0",
        ),
        ("[event_detector.thresholds]\nyoga = 0.2", "a pair of numbers"),
    ],
)
def test_a_bad_file_is_one_error(tmp_path, text, message):
    """A file that is not TOML, or holds a setting that is not possible, is an error that names file and fault."""
    path = tmp_path / "events.toml"
    path.write_text(text)

    with pytest.raises(DataError, match=r"events\.toml: .*" + message):
        EventDetector.load(path)


def test_a_file_that_cannot_be_read_or_written(tmp_path):
    """A file that is missing or not UTF-8, or a folder in its place, is an error with its path."""
    with pytest.raises(DataError, match=r"none\.toml: .*readable; got 'No such"):
        EventDetector.load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"bytes\.toml: .*UTF-8"):
        EventDetector.load(tmp_path / "bytes.toml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"folder: .*writable"):
        EventDetector().save(tmp_path / "folder")
