"""Output of ``movinet-lite watch``: a table in a terminal, text lines, or JSON."""

from __future__ import annotations

import collections
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from movinet_lite.cli.output import print_json
from movinet_lite.live import Clip
from movinet_lite.live.camera import CameraStatus
from movinet_lite.live.watched_event import WatchedEvent, utc_text
from movinet_lite.live.watching import WatchStatus

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

__all__ = ["View", "make_view"]

_STATES: Final = {
    "live": "green",
    "connecting": "yellow",
    "stalled": "red",
    "waiting": "red",
    "closed": "dim",
}
"""The states of a source, and their colours."""

_BAR: Final = 10
"""Width of the bar of a score of 1, in characters."""

_NARROW: Final = 100
"""Width of a terminal below which the table has no bars and no last event, so that labels can be read."""

_DRAWS_PER_S: Final = 4


class View(Protocol):
    """Displays events and cameras. `clip` is called from another thread."""

    def event(self, event: WatchedEvent) -> None:
        """Show a changed event."""

    def clip(self, clip: Clip) -> None:
        """Show a written or failed clip."""

    def look(self, status: WatchStatus) -> None:
        """Show the status of the cameras."""

    def say(self, text: str) -> None:
        """Show a message that is not a result."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exception: object) -> None:
        """End."""


def make_view(*, as_json: bool) -> View:
    """Return the view for the output: JSON if requested, a table in a terminal, lines otherwise."""
    if as_json:
        return JsonView()
    if sys.stdout.isatty():
        return TableView()
    return LinesView()


class _Changes:
    """Detects changes of camera states and overload."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._overloaded = False

    def cameras(self, status: WatchStatus) -> list[CameraStatus]:
        changed = [one for one in status.cameras if self._is_new(one)]
        self._states.update((one.name, one.source.state) for one in changed)
        return changed

    def _is_new(self, camera: CameraStatus) -> bool:
        """Return whether a camera's state should be reported; retries of a lost camera are not."""
        before = self._states.get(camera.name)
        again = before is not None and camera.source.state == "connecting"
        return camera.source.state != before and not again

    def overload(self, status: WatchStatus) -> bool:
        changed = self._overloaded != status.overloaded
        self._overloaded = status.overloaded
        return changed


class _Lines:
    """Base of views that print lines."""

    def __init__(self) -> None:
        self._changes = _Changes()
        self._printing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class JsonView(_Lines):
    """Prints one JSON object per line; its *kind* is event, clip, camera or load."""

    def event(self, event: WatchedEvent) -> None:
        """Print an event."""
        self._print(kind="event", **event.to_dict())

    def clip(self, clip: Clip) -> None:
        """Print a written clip."""
        self._print(
            kind="clip",
            clip_id=clip.clip_id,
            source=clip.source,
            label=clip.label,
            path=str(clip.path) if clip.num_bytes else None,
            error=clip.error,
        )

    def look(self, status: WatchStatus) -> None:
        """Print changes."""
        for camera in self._changes.cameras(status):
            self._print(
                kind="camera",
                source=camera.name,
                state=camera.source.state,
                since=utc_text(camera.source.since),
                reconnects=camera.source.reconnects,
                error=camera.source.last_error,
            )
        if self._changes.overload(status):
            load = status.load
            self._print(
                kind="load",
                overloaded=load.overloaded,
                rate=round(load.rate, 3),
                needed=round(load.needed, 3),
            )

    def say(self, text: str) -> None:
        """Print a message to standard error."""
        print(text, file=sys.stderr, flush=True)

    def _print(self, **values: Any) -> None:
        with self._printing:
            print_json(**values)


class LinesView(_Lines):
    """Prints one line per event; everything else goes to standard error."""

    def event(self, event: WatchedEvent) -> None:
        """Print an event."""
        with self._printing:
            print(
                f"{event.started_at.astimezone():%Y-%m-%d} {event_line(event)}",
                flush=True,
            )

    def clip(self, clip: Clip) -> None:
        """Print a written clip to standard error."""
        self.say(_clip_line(clip))

    def look(self, status: WatchStatus) -> None:
        """Print changes to standard error."""
        for camera in self._changes.cameras(status):
            error = camera.source.last_error
            why = f" ({error})" if error and camera.source.state != "live" else ""
            self.say(f"{camera.name}: {camera.source.state}{why}")
        if self._changes.overload(status):
            self.say(load_line(status))

    def say(self, text: str) -> None:
        """Print a message to standard error."""
        with self._printing:
            print(text, file=sys.stderr, flush=True)


class TableView:
    """Draws a table of cameras below the events."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console()
        self._live: Live | None = None
        self._notes: collections.deque[Any] = collections.deque()

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            refresh_per_second=_DRAWS_PER_S,
            auto_refresh=False,
            transient=False,
            redirect_stdout=False,
        )
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print_notes()

    def event(self, event: WatchedEvent) -> None:
        """Print an event above the table."""
        from rich.text import Text

        style = "bold" if event.event.state == "confirmed" else "none"
        self._notes.append(Text(event_line(event), style=style))

    def clip(self, clip: Clip) -> None:
        """Print a written clip above the table."""
        self.say(_clip_line(clip))

    def look(self, status: WatchStatus) -> None:
        """Draw the table."""
        self._print_notes()
        if self._live is not None:
            drawn = draw_status(status, width=self._console.width)
            self._live.update(drawn, refresh=True)

    def say(self, text: str) -> None:
        """Print a message above the table."""
        from rich.text import Text

        self._notes.append(Text(text, style="dim"))

    def _print_notes(self) -> None:
        while self._notes:
            self._console.print(self._notes.popleft())


def event_line(event: WatchedEvent) -> str:
    """Return an event on one line: time, camera, label and state."""
    found = event.event
    shown = _local(event.ended_at or event.started_at)
    what = f"{event.source}  {found.label}"
    if found.state == "ended":
        length = f"{found.duration_s or 0.0:.1f} s"
        return f"{shown}  {what}  ended after {length}, mean {found.mean:.2f}"
    return f"{shown}  {what}  {found.state}, score {found.peak:.2f}"


def load_line(status: WatchStatus) -> str:
    """Return a line on the load of the machine."""
    load = status.load
    if not load.overloaded:
        return f"the machine keeps up: the model takes {load.needed:.0%} of its time"
    if load.rate == 1.0:
        return f"overloaded: decoding is {load.late_s:.1f} s late"
    late = f", decoding is {load.late_s:.1f} s late" if load.late_s > 1.0 else ""
    return (
        f"overloaded: all frame rates are reduced to {load.rate:.0%} "
        f"(the model would take {load.needed:.0%} of its time{late})"
    )


def draw_status(status: WatchStatus, *, width: int) -> RenderableType:
    """Return the table of cameras, followed by the load, for a terminal of *width* characters."""
    from rich.console import Group
    from rich.text import Text

    style = "bold red" if status.overloaded else "dim"
    table = _table(status, is_narrow=width < _NARROW)
    return Group(table, Text(load_line(status), style=style))


def _table(status: WatchStatus, *, is_narrow: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("camera", no_wrap=True, style="bold", ratio=3, max_width=24)
    table.add_column("state", no_wrap=True)
    table.add_column("fps", justify="right", no_wrap=True)
    table.add_column("lag", justify="right", no_wrap=True)
    table.add_column("label", no_wrap=True, ratio=4, overflow="ellipsis")
    table.add_column("score", no_wrap=True, min_width=4 if is_narrow else _BAR + 5)
    table.add_column("events", justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("last", no_wrap=True, ratio=4, overflow="ellipsis")
    for camera in status.cameras:
        table.add_row(*_cells(camera, is_narrow=is_narrow))
    return table


def _cells(camera: CameraStatus, *, is_narrow: bool) -> list[Text]:
    from rich.text import Text

    state = camera.source.state
    style = _STATES[state]
    label, score = camera.leading or ("-", None)
    going_on = label in camera.going_on
    error = None
    if state not in ("live", "closed") and camera.source.last_error:
        error = Text(camera.source.last_error, style=style)
    shown = Text(label, style="bold green" if going_on else "none")
    bar = _BAR if not is_narrow else 0
    cells = [
        Text(camera.name),
        Text(f"\N{BLACK CIRCLE} {state}", style=style),
        Text(f"{camera.fps:.1f}"),
        Text("-" if camera.lag_s is None else f"{camera.lag_s:.1f} s"),
        (error or shown) if is_narrow else shown,
        Text("-")
        if score is None
        else _bar(score, bar, "green" if going_on else "cyan"),
        Text(str(camera.num_events)),
    ]
    last = camera.last_event
    if not is_narrow:
        seen = "-" if last is None else f"{_local(last.started_at)} {last.label}"
        cells.append(error or Text(seen, style="dim" if last is None else "none"))
    return cells


def _bar(score: float, width: int, style: str) -> Text:
    """Return a score as a number, after a bar of *width* characters for a score of 1."""
    from rich.text import Text

    full = round(score * width)
    return Text.assemble(
        ("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * full, style),
        ("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * (width - full), "bright_black"),
        f"{' ' if width else ''}{score:.2f}",
    )


def _clip_line(clip: Clip) -> str:
    if not clip.num_bytes:
        return f"{clip.source}: no clip of {clip.label}: {clip.error}"
    remark = f" ({clip.error})" if clip.error else ""
    return f"{clip.source}: the clip of {clip.label}: {clip.path}{remark}"


def _local(time: datetime) -> str:
    return f"{time.astimezone():%H:%M:%S}"
