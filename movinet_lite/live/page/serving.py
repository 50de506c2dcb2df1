"""Serves the page in a thread."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from movinet_lite.arrays import VideoFrame
from movinet_lite.errors import MissingDependencyError, PageError, SessionError
from movinet_lite.live.page.access import Access, check_token, is_this_machine
from movinet_lite.live.page.contents import Contents
from movinet_lite.live.page.event_list import EventList
from movinet_lite.live.page.scores import Scores
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.live.watching import Watcher
from movinet_lite.predictions import Prediction

if TYPE_CHECKING:
    from uvicorn import Server

__all__ = ["Page"]

_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]+):)?(?P<port>\d{1,5})")

_JOIN_S: Final = 5.0


class Page:
    """A page that shows the cameras of a watcher, their scores and their events, live.

    The port is bound on creation, so that a port in use is reported before a model is loaded; `show` starts serving.

    Args:
        address: ``"[HOST:]PORT"``; the default host is 127.0.0.1. Port 0 selects a free port.
        token: The access token; `None` if the page can only be reached from this machine.

    Raises:
        MissingDependencyError: If starlette or uvicorn is not installed.
        PageError: If the address is invalid, the port is in use, or others could see the page without a token.

    Example:
        ::

            with Page("8080") as page, Watcher("a0", on_prediction=page.on_prediction, snapshots=True) as watcher:
                watcher.add(0)
                page.show(watcher)
                for event in watcher:
                    page.add(event)
    """

    def __init__(self, address: str | int, *, token: str | None = None) -> None:
        _check_packages()
        host, port = _parse(str(address))
        if token is not None:
            check_token(token)
        elif not is_this_machine(host):
            raise PageError(
                f"a page that others can reach must have a token; got none for {host} "
                "(set the environment variable MOVINET_LITE_TOKEN, or serve it on 127.0.0.1)"
            )
        self._socket = _bind(host, port)
        self._host, self._port = host, self._socket.getsockname()[1]
        self._access = Access(token)
        self._scores = Scores()
        self._events = EventList()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def link(self) -> str:
        """The address to open in a browser."""
        shown = f"[{self._host}]" if ":" in self._host else self._host
        if shown in ("0.0.0.0", "[::]"):  # noqa: S104 - no address that a browser takes
            shown = socket.gethostname()
        return f"http://{shown}:{self._port}/"

    def on_prediction(
        self, camera: str, _frame: VideoFrame, prediction: Prediction
    ) -> None:
        """Record a prediction; pass this method to `Watcher` as *on_prediction*."""
        self._scores.take(camera, time.time(), prediction)

    def add(self, event: WatchedEvent) -> None:
        """Show an event."""
        self._events.add(event)

    def show(self, watcher: Watcher, recorder: ClipRecorder | None = None) -> None:
        """Start serving the page.

        Args:
            watcher: The watcher of the cameras to show.
            recorder: The recorder of clips of its events.

        Raises:
            SessionError: If the page is served already, or closed.
        """
        if self._thread is not None or self._closing:
            raise SessionError(
                "show must be called once on an open page; the page is already shown or closed"
            )
        import uvicorn

        from movinet_lite.live.page.routes import make_app

        contents = Contents(watcher, self._scores, self._events, recorder)
        config = uvicorn.Config(
            make_app(contents, self._access, closing=lambda: self._closing),
            log_config=None,  # the process's own settings stay
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run,
            args=([self._socket],),
            name="movinet-lite page",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving. A second call does nothing."""
        self._closing = True
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _check_packages() -> None:
    try:
        import starlette
        import uvicorn  # noqa: F401 - as below
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "starlette", "serve") from error
    del starlette


def _parse(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address.strip())
    if match is None or int(match["port"]) > 65535:
        raise PageError(
            f"the address of the page must be [HOST:]PORT, such as 8080 or 0.0.0.0:8080; got {address!r}"
        )
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()
    except OSError as error:
        with contextlib.suppress(OSError):
            found.close()
        raise PageError(_why(error, host, port)) from error
    return found


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} must be free; another program uses it (use another one)"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} requires administrator rights (use one from 1024 on)"
    return (
        f"the page cannot be served at {host}, port {port}: {error.strerror or error}"
    )
