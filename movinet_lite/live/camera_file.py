"""Reads the cameras to watch from a TOML file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeGuard, cast

import attrs

from movinet_lite.arrays import as_number
from movinet_lite.errors import ArrayError, DataError, LabelsError
from movinet_lite.events.files import read_text
from movinet_lite.events.settings import DELAY_S, DetectorSettings, load_settings
from movinet_lite.video.redaction import redact

__all__ = [
    "CameraFile",
    "CameraSettings",
    "ClipSettings",
    "PageSettings",
    "read_camera_file",
]

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(\w*)\})")
"""``${NAME}``, or ``$$`` for a dollar sign."""

_EVENTS: Final = (*(field.name for field in attrs.fields(DetectorSettings)), "settings")
_CAMERA: Final = ("source", "fps", "transport", "timeout_s", "events")
_TOP: Final = (
    "model",
    "labels",
    "fps",
    "horizon_s",
    "events",
    "clips",
    "serve",
    "cameras",
)
_NUMBERS: Final = ("fps", "horizon_s", "timeout_s", "pre_s", "post_s", "max_gb")
_FILE: Final = "the file"
_TEXTS: Final = (
    "model",
    "transport",
    "folder",
    "address",
    "token",
    "settings",
)


def _shown(value: object) -> str:
    """Return a value for a message, without the credentials of addresses in it."""
    return redact(repr(value))


def _is_source(value: object) -> TypeGuard[str | int]:
    """Return whether *value* can be a source: some text, or the number of a camera."""
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@attrs.frozen(kw_only=True)
class CameraSettings:
    """A camera in the file.

    Attributes:
        name: How it is called.
        source: Its address, the number of a camera, or a path: with its password, so `repr` leaves it out.
        detector: What finds its events.
        fps: How many frames a second the model is given; `None` for the file's.
        transport: How RTSP is carried.
        timeout_s: After how many seconds without a frame it reconnects.
    """

    name: str
    source: str | int = attrs.field(repr=False)
    detector: DetectorSettings
    fps: float | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: float = 10.0


@attrs.frozen(kw_only=True)
class ClipSettings:
    """The settings of clips of events.

    Attributes:
        folder: The folder.
        pre_s: Seconds of video before an event.
        post_s: Seconds of video after an event.
        max_gb: Maximum size of all clips, in gigabytes; then the oldest are deleted.
    """

    folder: Path
    pre_s: float = 5.0
    post_s: float = 5.0
    max_gb: float = 10.0


@attrs.frozen(kw_only=True)
class PageSettings:
    """The settings of the page.

    Attributes:
        address: ``[HOST:]PORT``.
        token: The access token; `None` for none.
    """

    address: str
    token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class CameraFile:
    """The content of a camera file; missing settings are `None`.

    Attributes:
        cameras: The cameras, in the order of the file.
        detector: The default settings of the event detectors.
        model: The model.
        labels: The file of the model's labels.
        fps: Frame rate of each camera for the model, in frames per second.
        horizon_s: The horizon of the streams, in seconds.
        clips: The settings of clips.
        page: The settings of the page.
    """

    cameras: tuple[CameraSettings, ...]
    detector: DetectorSettings
    model: str | None = attrs.field(default=None, repr=_shown)
    labels: Path | None = None
    fps: float | None = None
    horizon_s: float | None = None
    clips: ClipSettings | None = None
    page: PageSettings | None = None


def read_camera_file(
    path: str | Path, *, environment: Mapping[str, str] | None = None
) -> CameraFile:
    """Return the content of the TOML file at *path*.

    ``${NAME}`` in a text stands for an environment variable, ``$$`` for a dollar sign. Paths of other files are relative
    to the folder of this one.

    Args:
        path: The file.
        environment: The variables; `None` for those of the process.

    Raises:
        DataError: If the file cannot be read or is not TOML, a key is unknown, a value invalid, or a variable not set.
    """
    path = Path(path)
    try:
        document = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the file must be TOML; {error}", path) from error
    reader = _Reader(path, os.environ if environment is None else environment)
    try:
        return reader.read(document)
    except (ArrayError, LabelsError) as error:
        raise DataError(error.message, path) from error


class _Reader:
    """Reads one file; every error message names it."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = environment

    def read(self, document: dict[str, Any]) -> CameraFile:
        top = self._table(document, _TOP, "")
        events = self._table(top.get("events", {}), _EVENTS, "events")
        cameras = top.get("cameras", {})
        if not isinstance(cameras, dict):
            raise self._error(
                f"cameras must be tables such as [cameras.door]; got {_shown(cameras)}"
            )
        labels = top.get("labels")
        return CameraFile(
            cameras=tuple(
                self._camera(str(name), table, events)
                for name, table in cameras.items()
            ),
            detector=self._detector(events, "events"),
            model=top.get("model"),
            labels=None if labels is None else self._beside(labels),
            fps=top.get("fps"),
            horizon_s=top.get("horizon_s"),
            clips=self._clips(top["clips"]) if "clips" in top else None,
            page=self._page(top["serve"]) if "serve" in top else None,
        )

    def _camera(self, name: str, given: Any, events: dict[str, Any]) -> CameraSettings:
        self._check_name(name)
        where = f"cameras.{name}"
        table = self._table(given, _CAMERA, where)
        source = table.get("source")
        if not _is_source(source):
            raise self._error(
                f"[{where}] must have a source: an address, a path, or the number of a camera; got {_shown(source)}"
            )
        transport = table.get("transport", "tcp")
        if transport not in ("tcp", "udp"):
            raise self._error(
                f"transport of [{where}] must be 'tcp' or 'udp'; got {_shown(transport)}"
            )
        own = self._table(table.get("events", {}), _EVENTS, f"{where}.events")
        return CameraSettings(
            name=name,
            source=source,
            detector=self._detector({**events, **own}, f"{where}.events"),
            fps=table.get("fps"),
            transport=cast("Literal['tcp', 'udp']", transport),
            timeout_s=table.get("timeout_s", 10.0),
        )

    def _check_name(self, name: str) -> None:
        """Check a name, which is shown in terminals, in addresses of the page and in names of clips."""
        if not (name.strip() and name.isprintable() and redact(name) == name):
            raise self._error(
                f"the name of a camera must be a line of text without credentials; got {_shown(name)}"
            )

    def _detector(self, table: dict[str, Any], where: str) -> DetectorSettings:
        """Return the settings in *table*, which override those of the file that it names."""
        given = {name: value for name, value in table.items() if name != "settings"}
        try:
            if "settings" not in table:
                return DetectorSettings(**{"delay_s": DELAY_S, **given})
            base = load_settings(self._beside(table["settings"]))
            if "enter" in given:
                given.setdefault("leave", None)  # that of the file belongs to its enter
            return attrs.evolve(base, **given)
        except (ArrayError, LabelsError) as error:
            raise self._error(f"[{where}]: {error.message}") from error

    def _clips(self, given: Any) -> ClipSettings:
        table = self._table(given, ("folder", "pre_s", "post_s", "max_gb"), "clips")
        if "folder" not in table:
            raise self._error("[clips] must have a folder; got none")
        return ClipSettings(**{**table, "folder": self._beside(table["folder"])})

    def _page(self, given: Any) -> PageSettings:
        table = self._table(given, ("address", "token"), "serve")
        if "address" not in table:
            raise self._error(
                "[serve] must have an address, such as '127.0.0.1:8080'; got none"
            )
        return PageSettings(**table)

    def _table(self, given: Any, known: Iterable[str], where: str) -> dict[str, Any]:
        """Return the table *given* with variables expanded, or raise an error for unknown keys and invalid values."""
        known = tuple(known)
        if not isinstance(given, dict):
            raise self._error(f"[{where}] must be a table; got {_shown(given)}")
        table = {}
        for key, value in given.items():
            of = f"[{where}]" if where else _FILE
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                if not where and key in _EVENTS:
                    hint = (
                        f" ({key} belongs in [events]; give a file of settings with "
                        "'settings' there, or with --settings)"
                    )
                raise self._error(
                    f"a key of {of} must be one of {', '.join(known)}; got {key!r}{hint}"
                )
            table[key] = self._value(key, value, of)
        return table

    def _value(self, key: str, raw: Any, of: str) -> Any:
        """Return a value with its variables expanded; error messages show it without, since they may be secrets."""
        if key in _NUMBERS:
            self._check_number(key, raw, of)
        is_text = key in _TEXTS or (key == "labels" and of == _FILE)
        value = raw
        if isinstance(raw, str) and (is_text or key == "source"):
            value = self._filled(raw, f"{key} of {of}")
        if is_text and not (isinstance(value, str) and value):
            got = type(raw).__name__ if key == "token" else _shown(raw)
            raise self._error(f"{key} of {of} must be text; got {got}")
        return value

    def _check_number(self, key: str, value: Any, of: str) -> None:
        may_be_0 = key in ("pre_s", "post_s")
        number = float("nan") if isinstance(value, bool) else as_number(value)
        if not 0 <= number < float("inf") or (number == 0 and not may_be_0):
            rule = "a number of at least 0" if may_be_0 else "a number above 0"
            raise self._error(f"{key} of {of} must be {rule}; got {_shown(value)}")

    def _filled(self, text: str, where: str) -> str:
        """Return *text* with the values of its environment variables."""

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return "$"
            if name not in self._environment:
                raise self._error(
                    f"{where} requires the environment variable {name!r}, which is not set"
                )
            return self._environment[name]

        return _VARIABLE.sub(fill, text)

    def _beside(self, name: str) -> Path:
        return self._path.parent / Path(name).expanduser()

    def _error(self, message: str) -> DataError:
        return DataError(redact(message), self._path)
