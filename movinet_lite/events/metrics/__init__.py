"""Metrics that compare events with annotations.

==========================  =================================================================================
function                    metric
==========================  =================================================================================
`event_f1`                  events whose onset and offset are within a collar of the annotation, as in sed_eval
`segment_f1`                segments of equal length in which a label is active, as in sed_eval
`temporal_map`              mean average precision at thresholds of temporal IoU, as in ActivityNet
`frame_map`                 mean average precision of the scores of single frames
`detection_delay`           time from an onset to the first detection by a live system
`false_alarms`              events per hour that overlap no annotation
==========================  =================================================================================

Each function accepts the annotations and events of every video, by name, and returns a report: overall, by label, and
with a confidence interval by bootstrap over the videos.
"""

from movinet_lite.events.metrics.alarms import FalseAlarmReport, false_alarms
from movinet_lite.events.metrics.bootstrap import (
    BootstrappedReport,
    Interval,
    bootstrap,
)
from movinet_lite.events.metrics.counts import Counts, F1Report
from movinet_lite.events.metrics.delay import DelayReport, detection_delay
from movinet_lite.events.metrics.event_based import event_f1
from movinet_lite.events.metrics.frame_map import FrameMapReport, frame_map
from movinet_lite.events.metrics.segment_based import segment_f1
from movinet_lite.events.metrics.temporal_map import TemporalMapReport, temporal_map

__all__ = [
    "BootstrappedReport",
    "Counts",
    "DelayReport",
    "F1Report",
    "FalseAlarmReport",
    "FrameMapReport",
    "Interval",
    "TemporalMapReport",
    "bootstrap",
    "detection_delay",
    "event_f1",
    "false_alarms",
    "frame_map",
    "segment_f1",
    "temporal_map",
]
