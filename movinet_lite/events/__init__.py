"""Turns scores over time into events, and evaluates them.

===============  ======================================================================================
module           what it holds
===============  ======================================================================================
`event`          `Event`, and `Annotation` for what really happened
`detector`       `EventDetector` and `find_events`: thresholds, durations, gaps, for streams and recordings
`hysteresis`     the detector's states, label by label
`scored`         `ScoredVideo`: scores over time as arrays
`settings`       the settings of a detector, and their TOML file
`files`          text files, read and written whole
`formats`        events and annotations as JSON lines, CSV, WebVTT, SRT, Audacity labels, ActivityNet JSON
`metrics`        how well events agree with annotations
`evaluation`     `evaluate_events`: all of the metrics, for one detector on annotated videos
`tuning`         `tune_events`: choose a detector's settings on annotated videos
===============  ======================================================================================
"""

from movinet_lite.events.detector import EventDetector, find_events
from movinet_lite.events.evaluation import EventEvaluation, evaluate_events
from movinet_lite.events.event import Annotation, Event, EventState
from movinet_lite.events.formats import (
    FORMATS,
    events_to_text,
    read_annotations,
    read_events,
    write_events,
)
from movinet_lite.events.scored import ScoredVideo
from movinet_lite.events.tuning import TuningResult, tune_events

__all__ = [
    "FORMATS",
    "Annotation",
    "Event",
    "EventDetector",
    "EventEvaluation",
    "EventState",
    "ScoredVideo",
    "TuningResult",
    "evaluate_events",
    "events_to_text",
    "find_events",
    "read_annotations",
    "read_events",
    "tune_events",
    "write_events",
]
