"""Metrics of a watcher in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from movinet_lite.live.watching import WatchStatus

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of Prometheus.

References:
    [1] https://prometheus.io/docs/instrumenting/exposition_formats/
"""

_PREFIX: Final = "movinet_lite_"


def metrics_text(status: WatchStatus, events: Mapping[tuple[str, str], int]) -> str:
    """Return the metrics of *status*.

    Args:
        status: The status of the watcher.
        events: Number of events by camera and label.
    """
    cameras = [({"camera": one.name}, one) for one in status.cameras]
    lines: list[str] = []

    def add(
        name: str,
        kind: str,
        about: str,
        samples: Iterable[tuple[Mapping[str, str], float]],
    ) -> None:
        lines.append(f"# HELP {_PREFIX}{name} {about}")
        lines.append(f"# TYPE {_PREFIX}{name} {kind}")
        lines.extend(
            f"{_PREFIX}{name}{_labels(labels)} {value:.10g}"
            for labels, value in samples
        )

    add("cameras", "gauge", "Number of watched cameras.", [({}, len(cameras))])
    add(
        "camera_up",
        "gauge",
        "Whether the camera sends frames.",
        [(of, float(one.source.state == "live")) for of, one in cameras],
    )
    add(
        "camera_fps",
        "gauge",
        "Frames per second processed by the model.",
        [(of, one.fps) for of, one in cameras],
    )
    add(
        "camera_lag_seconds",
        "gauge",
        "Age of the last frame at the time of its prediction.",
        [(of, one.lag_s) for of, one in cameras if one.lag_s is not None],
    )
    add(
        "frames_total",
        "counter",
        "Frames processed by the model.",
        [(of, one.num_frames) for of, one in cameras],
    )
    add(
        "frames_unusable_total",
        "counter",
        "Frames that could not be used.",
        [(of, one.num_unusable) for of, one in cameras],
    )
    add(
        "frames_dropped_total",
        "counter",
        "Frames that were dropped in favour of newer ones.",
        [(of, one.source.dropped) for of, one in cameras],
    )
    add(
        "reconnects_total",
        "counter",
        "Number of reconnections of the camera.",
        [(of, one.source.reconnects) for of, one in cameras],
    )
    add(
        "events_total",
        "counter",
        "Confirmed events.",
        [
            ({"camera": camera, "label": label}, count)
            for (camera, label), count in sorted(events.items())
        ],
    )
    load = status.load
    add(
        "overloaded",
        "gauge",
        "Whether the frame rates are reduced.",
        [({}, float(load.overloaded))],
    )
    add(
        "load_ratio",
        "gauge",
        "Load at full frame rates, as a share of the loop's time; above 1 is overload.",
        [({}, load.needed)],
    )
    add(
        "rate_ratio",
        "gauge",
        "Factor of the frame rates of all cameras.",
        [({}, load.rate)],
    )
    return "\n".join([*lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
