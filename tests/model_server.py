"""A web server on this machine with models to download, which misbehaves when told to."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias

import attrs

__all__ = ["ModelServer", "Reply", "make_archive", "serve_models"]

TINY_MODEL: Mapping[str, bytes] = {
    "saved_model.pb": b"not really",
    "variables/variables.index": b"an index",
}
"""Files that look like a SavedModel to whoever only looks at their names."""


def make_archive(files: Mapping[str, bytes] = TINY_MODEL) -> bytes:
    """Return a ``.tar.gz`` with *files*: name to contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return buffer.getvalue()


def make_archive_of(folder: Path) -> bytes:
    """Return a ``.tar.gz`` of what is in *folder*."""
    buffer = io.BytesIO()
    with (
        gzip.open(buffer, "wb") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        tar.add(folder, arcname=".")
    return buffer.getvalue()


@attrs.frozen
class Reply:
    """What the server answers.

    Attributes:
        body: What it sends.
        status: The HTTP status.
        headers: Further headers; ``Content-Length`` is that of *body* unless it stands here, and left out if empty.
        cut_after: How many bytes are sent before the connection is cut; `None` for all.
        pause_s: How long to be silent before the body's second half.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    cut_after: int | None = None
    pause_s: float = 0.0


Answer: TypeAlias = Reply | Callable[[int], Reply]
"""A reply, or a function from the number of this request for the path, counted from 1, to the reply."""


class ModelServer:
    """What is served where, and what was asked for.

    Attributes:
        address: ``http://127.0.0.1:port``.
        replies: Path, without what follows ``?``, to reply. Other paths are 404.
        requests: What was asked for, with what follows ``?``, in order; ``CONNECT host:port`` for a proxy's work.
    """

    def __init__(self) -> None:
        self.replies: dict[str, Answer] = {}
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def do_CONNECT(self) -> None:
                server.note(f"CONNECT {self.path}")
                self.send_error(502)

            def log_message(self, *_args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"

    def note(self, request: str) -> int:
        """Remember *request*, and return how many there were for its path."""
        path = request.split("?", maxsplit=1)[0]
        with self._lock:
            self.requests.append(request)
            return sum(other.split("?")[0] == path for other in self.requests)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Send what belongs to the handler's path."""
        number = self.note(handler.path)
        answer = self.replies.get(handler.path.split("?")[0], Reply(status=404))
        reply = answer if isinstance(answer, Reply) else answer(number)
        handler.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        for name, value in headers.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        body = reply.body[: reply.cut_after]
        half = len(body) // 2 if reply.pause_s else len(body)
        try:
            handler.wfile.write(body[:half])
            handler.wfile.flush()
            self._stopping.wait(reply.pause_s)
            handler.wfile.write(body[half:])
        except OSError:
            return  # who asked is gone

    def wait_for_requests(self, count: int) -> None:
        """Return when *count* requests have come."""
        deadline = time.monotonic() + 20
        while len(self.requests) < count:
            assert time.monotonic() < deadline, "the request never came"
            time.sleep(0.01)

    @contextmanager
    def running(self) -> Iterator[ModelServer]:
        """Serve until the end of the ``with`` block."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()


@contextmanager
def serve_models() -> Iterator[ModelServer]:
    """Run a server that knows no model yet."""
    with ModelServer().running() as server:
        yield server
