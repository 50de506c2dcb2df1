"""Downloads files over HTTP, with retries, limits and progress."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from movinet_lite.errors import ModelError, said_by

__all__ = ["Download", "download"]

MAX_DOWNLOAD_BYTES = 1 << 30
"""Maximum size of a download: 1 GiB. The largest MoViNet needs a fraction of that."""

TIMEOUT_S = 30.0
"""Timeout for the start of a response and between received data, in seconds."""

MIN_BYTES_PER_S = 1000.0
"""Minimum download rate, in bytes per second over `TIMEOUT_S`."""

RETRY_PAUSES_S = (0.5, 2.0)
"""The pauses before the second and the third attempt, in seconds."""

_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_CHUNK_BYTES = 1 << 16


@attrs.frozen
class Download:
    """A finished download.

    Attributes:
        num_bytes: Size in bytes.
        sha256: Checksum, in hexadecimal.
    """

    num_bytes: int
    sha256: str


def download(address: str, path: Path, *, progress: bool = False) -> Download:
    """Download a file.

    Proxies in the environment (``HTTPS_PROXY``, ``NO_PROXY``) are used. After transient failures, such as a busy or
    slow server, a lost connection or a timeout, the download is tried up to three times. Errors in writing *path* are
    raised unchanged.

    Args:
        address: An ``http://`` or ``https://`` URL. Redirects to such URLs are followed.
        path: The output path; an existing file is overwritten. After an error it may contain part of the file.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The size and the checksum.

    Raises:
        ModelError: If the file cannot be downloaded completely; the message gives the reason.
    """
    host = urllib.parse.urlsplit(address).netloc
    pauses_s = list(RETRY_PAUSES_S)
    with _progress_bar(host, progress=progress) as show:
        while True:
            try:
                return _download_once(address, path, show)
            except _FailedError as error:
                if not error.passing or not pauses_s:
                    raise ModelError(error.reason, address) from error
            time.sleep(pauses_s.pop(0))


class _FailedError(Exception):
    """A failed attempt, for a *reason* that is transient (*passing*) or not."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and from https never back to http."""

    def redirect_request(  # noqa: PLR0917 (urllib's own signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        is_safe = urllib.parse.urlsplit(req.full_url).scheme == "https"
        allowed = {"https"} if is_safe else {"http", "https"}
        if urllib.parse.urlsplit(newurl).scheme not in allowed:
            reason = f"redirection to {newurl!r} is not allowed"
            raise urllib.error.HTTPError(req.full_url, code, reason, headers, fp)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.close()  # or urllib would read the body of the redirect, without limit
        return request


class _Hurried(http.client.HTTPConnection):
    """A connection with a timeout for the start of the response, including its headers."""

    def getresponse(self) -> http.client.HTTPResponse:
        late = threading.Event()

        def give_up(sock: socket.socket) -> None:
            late.set()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(TIMEOUT_S, give_up, [self.sock])
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except (OSError, ValueError, http.client.HTTPException) as error:
            if late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        return response


class _HurriedOverTls(_Hurried, http.client.HTTPSConnection):
    """The same, over TLS."""


class _HurriedHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens URLs over connections with this timeout."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Hurried, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HurriedOverTls, req)


class _Pace:
    """Checks that a server sends fast enough."""

    def __init__(self) -> None:
        self._since_s = time.monotonic()
        self._num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """Add *num_bytes* just received.

        Raises:
            _FailedError: If too few bytes were received since the last check.
        """
        self._num_bytes += num_bytes
        passed_s = time.monotonic() - self._since_s
        if passed_s < TIMEOUT_S:
            return
        if self._num_bytes < MIN_BYTES_PER_S * passed_s:
            reason = (
                f"the server must send at least {MIN_BYTES_PER_S:g} bytes per second; "
                f"it sent {self._num_bytes} bytes in {passed_s:.0f} seconds"
            )
            raise _FailedError(reason, passing=True)
        self._since_s += passed_s
        self._num_bytes = 0


def _download_once(
    address: str, path: Path, show: Callable[[int, int | None], None]
) -> Download:
    digest = hashlib.sha256()
    num_bytes = 0
    with _explained(f"the server did not respond within {TIMEOUT_S:g} seconds"):
        opener = urllib.request.build_opener(_OnlyHttp, _HurriedHandler)
        request = urllib.request.Request(  # noqa: S310 (the caller checks the scheme)
            address, headers={"User-Agent": "movinet-lite"}
        )
        response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    with response, path.open("wb") as file:
        expected = _content_length(response)
        pace = _Pace()
        while True:
            with _explained(f"the server sent nothing for {TIMEOUT_S:g} seconds"):
                # Read what has arrived, not a whole chunk, which would wait for a slow server.
                chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                break
            pace.add(len(chunk))
            num_bytes += len(chunk)
            _check_size(num_bytes)
            digest.update(chunk)
            file.write(chunk)
            show(num_bytes, expected)
    if expected is not None and num_bytes != expected:
        raise _FailedError(
            f"the download is incomplete: received {num_bytes} of {expected} bytes",
            passing=True,
        )
    return Download(num_bytes=num_bytes, sha256=digest.hexdigest())


def _content_length(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    if not text.isdecimal():
        return None
    _check_size(int(text))
    return int(text)


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_DOWNLOAD_BYTES:
        raise _FailedError(
            f"a model may have at most {MAX_DOWNLOAD_BYTES} bytes; this is larger"
        )


@contextmanager
def _explained(too_late: str) -> Iterator[None]:
    """Convert network errors to a reason; *too_late* is the reason for a timeout.

    Raises:
        _FailedError: For all errors of `urllib`, `http` and `socket`.
    """
    try:
        yield
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            failed = _explain_status(error)
        raise failed from error
    except urllib.error.URLError as error:
        raise _explain_no_connection(error.reason) from error
    except TimeoutError as error:
        raise _FailedError(too_late, passing=True) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise _FailedError(f"this is not a valid URL: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = f"the connection was lost ({said_by(error)})"
        raise _FailedError(reason, passing=True) from error


def _explain_status(error: urllib.error.HTTPError) -> _FailedError:
    if 300 <= error.code < 400:
        return _FailedError(f"the redirect failed: {str(error.reason).splitlines()[0]}")
    phrase = http.client.responses.get(error.code, "unknown status")
    reason = f"the server responded with status {error.code} ({phrase})"
    if error.code in {401, 403}:
        reason += "; the model may need a login, or a licence accepted on its page"
    return _FailedError(reason, passing=error.code in _PASSING_STATUS)


def _explain_no_connection(reason: object) -> _FailedError:
    if isinstance(reason, socket.gaierror):
        return _FailedError(
            f"no connection: the host name cannot be resolved ({reason.strerror}); is there a network?"
        )
    if isinstance(reason, TimeoutError):
        return _FailedError(f"no connection within {TIMEOUT_S:g} seconds", passing=True)
    cut = isinstance(reason, (ConnectionError, ssl.SSLEOFError))
    refused = isinstance(reason, ConnectionRefusedError)
    return _FailedError(f"no connection ({reason})", passing=cut and not refused)


@contextmanager
def _progress_bar(
    title: str, *, progress: bool
) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of received and expected bytes, which draws a progress bar if *progress*."""
    if not progress:
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
