"""Downloads: what comes is complete, and what goes wrong has a reason."""

import contextlib
import hashlib
import io
import itertools
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPMessage
from types import SimpleNamespace

import pytest

from movinet_lite.errors import ModelError
from movinet_lite.hub import downloads
from movinet_lite.hub.downloads import download
from tests.model_server import Reply, serve_models

BODY = bytes(range(256)) * 1000


@pytest.fixture
def server(monkeypatch):
    """A server, and no long pauses between attempts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", (0.01, 0.01))
    with serve_models() as server:
        yield server


def test_download_gives_every_byte_and_the_checksum(server, tmp_path):
    """The file holds what the server sent, what stood there before is gone, and size and checksum are told."""
    server.replies["/a"] = Reply(BODY)
    (tmp_path / "a").write_bytes(BODY * 2)
    found = download(f"{server.address}/a?b=c", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert found.num_bytes == len(BODY)
    assert found.sha256 == hashlib.sha256(BODY).hexdigest()
    assert server.requests == ["/a?b=c"]


def test_length_need_not_be_told(server, tmp_path):
    """A server that does not say how much will come is taken at its word when it ends."""
    server.replies["/a"] = Reply(BODY, headers={"Content-Length": ""})
    download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_redirect_is_followed(server, tmp_path):
    """A server may send us elsewhere, as tfhub.dev does."""
    server.replies["/a"] = Reply(status=302, headers={"Location": "/b?c"})
    server.replies["/b"] = Reply(BODY)
    download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.requests == ["/a", "/b?c"]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/a", "infinite loop"),
        ("file:///etc/hostname", "not allowed"),
        ("ftp://127.0.0.1/a", "not allowed"),
        ("data:text/plain,a", "not allowed"),
    ],
)
def test_redirect_in_vain_is_an_error(location, words, server, tmp_path):
    """Redirects in a circle end, and no server can send us to a file of this machine."""
    server.replies["/a"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(ModelError, match=f"/a: the redirect failed: .*{words}"):
        download(f"{server.address}/a", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("https://x/a", "https://y/b", True),
        ("http://x/a", "https://y/b", True),
        ("http://x/a", "http://y/b", True),
        ("https://x/a", "http://y/b", False),
    ],
)
def test_redirect_never_gives_up_encryption(before, after, allowed):
    """From https a redirect leads to https only."""

    def redirect() -> urllib.request.Request | None:
        return downloads._OnlyHttp().redirect_request(
            urllib.request.Request(before),
            io.BytesIO(),
            302,
            "Found",
            HTTPMessage(),
            after,
        )

    if allowed:
        request = redirect()
        assert request is not None
        assert request.full_url == after
    else:
        with pytest.raises(urllib.error.HTTPError, match="is not allowed") as caught:
            redirect()
        caught.value.close()


@pytest.mark.parametrize(
    ("status", "words", "attempts"),
    [
        (401, r"401 \(Unauthorized\); the model may need a login, or a licence", 1),
        (403, r"403 \(Forbidden\); the model may need a login, or a licence", 1),
        (404, r"404 \(Not Found\)$", 1),
        (410, r"410 \(Gone\)$", 1),
        (429, r"429 \(Too Many Requests\)$", 3),
        (500, r"500 \(Internal Server Error\)$", 3),
        (503, r"503 \(Service Unavailable\)$", 3),
        (599, r"599 \(unknown status\)$", 1),
    ],
)
def test_status_is_told_and_passing_ones_are_tried_again(
    status, words, attempts, server, tmp_path
):
    """The message says what the server answered; only what may pass is asked again, three times in all."""
    server.replies["/a"] = Reply(b"sorry", status=status)
    with pytest.raises(
        ModelError, match=f"/a: the server responded with status {words}"
    ) as caught:
        download(f"{server.address}/a", tmp_path / "a")
    assert caught.value.source == f"{server.address}/a"
    assert len(server.requests) == attempts


def test_trouble_that_passes_goes_unnoticed(server, tmp_path):
    """A server that is busy once, then cuts the connection, and then works, gives the whole file."""
    replies = {1: Reply(status=503), 2: Reply(BODY, cut_after=1000), 3: Reply(BODY)}
    server.replies["/a"] = replies.__getitem__
    download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.requests) == 3


def test_truncated_download_is_an_error(server, tmp_path):
    """Less than the server promised is never taken for a file."""
    server.replies["/a"] = Reply(BODY, cut_after=1000)
    with pytest.raises(ModelError, match="incomplete: received 1000 of 256000 bytes"):
        download(f"{server.address}/a", tmp_path / "a")
    assert len(server.requests) == 3


def test_broken_chunk_is_an_error(server, tmp_path):
    """A chunked answer that ends within a chunk is never taken for a file."""
    chunked = {"Content-Length": "", "Transfer-Encoding": "chunked"}
    server.replies["/a"] = Reply(b"fffff\r\nabc", headers=chunked)
    with pytest.raises(ModelError, match="the connection was lost"):
        download(f"{server.address}/a", tmp_path / "a")
    assert len(server.requests) == 3


def test_silent_server_is_given_up(server, tmp_path, monkeypatch):
    """A server that stops sending is waited for until the time is up."""
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.05)
    server.replies["/a"] = Reply(BODY, pause_s=30)
    with pytest.raises(ModelError, match=r"the server sent nothing for 0\.05 seconds"):
        download(f"{server.address}/a", tmp_path / "a")
    assert len(server.requests) == 3


def test_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    """A server that takes the connection and says nothing is waited for until the time is up."""
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", ())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(ModelError, match=r"did not respond within 0\.05 seconds"):
            download(address, tmp_path / "a")


def test_server_that_never_ends_its_headers_is_given_up(tmp_path, monkeypatch):
    """A server that sends one byte of its headers after the other is waited for until the time is up."""
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", ())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            while not over.wait(0.01):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=[server], daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        with pytest.raises(ModelError, match=r"did not respond within 0\.3 seconds"):
            download(address, tmp_path / "a")
        over.set()
        thread.join(10)


def test_server_that_sends_too_slowly_is_given_up(server, tmp_path, monkeypatch):
    """A server that sends less than the lowest rate is not waited for to the end, and asked three times in all."""
    clock = itertools.count(0, 40)
    fake = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=time.sleep)
    monkeypatch.setattr(downloads, "time", fake)
    monkeypatch.setattr(downloads, "MIN_BYTES_PER_S", 1e6)
    server.replies["/a"] = Reply(BODY)
    with pytest.raises(
        ModelError, match=r"at least 1e\+06 bytes per second; it sent \d+ .* 40 seconds"
    ):
        download(f"{server.address}/a", tmp_path / "a")
    assert len(server.requests) == 3


def test_server_at_the_lowest_rate_is_waited_for(server, tmp_path, monkeypatch):
    """A slow server that keeps the lowest rate gives its file."""
    clock = itertools.count(0, 40)
    fake = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=time.sleep)
    monkeypatch.setattr(downloads, "time", fake)
    monkeypatch.setattr(downloads, "MIN_BYTES_PER_S", 0.01)
    server.replies["/a"] = Reply(BODY)
    download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_what_stands_beside_a_redirect_is_not_read(server, tmp_path):
    """A redirect is followed at once, though its own page has no end."""
    page = Reply(b"x" * 1000, 302, {"Location": "/b", "Content-Length": str(1 << 40)})
    server.replies |= {"/a": page, "/b": Reply(BODY)}
    download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), 3),
        (TimeoutError(), 3),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), 3),
        (ConnectionRefusedError(111, "Connection refused"), 1),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), 1),
    ],
)
def test_trouble_in_connecting_is_tried_again_where_it_may_pass(
    failure, attempts, tmp_path, monkeypatch
):
    """A connection that is cut or late while it is made is tried three times; a refusal is final."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", (0.0, 0.0))
    tried = []

    def connect(*_args: object, **_options: object) -> None:
        tried.append(1)
        raise failure

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ModelError, match="no connection"):
        download("http://127.0.0.1/a", tmp_path / "a")
    assert len(tried) == attempts


def test_refused_connection_is_told_at_once(tmp_path, monkeypatch):
    """Where no server runs, the message says that there was no connection, without trying again."""
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", (1000,))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
    with pytest.raises(ModelError, match=r"/a: no connection \(.*refused"):
        download(address, tmp_path / "a")


def test_unknown_host_is_told_at_once(tmp_path, monkeypatch):
    """Where the host's name cannot be found, the message asks for the network."""
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", (1000,))
    monkeypatch.setenv("NO_PROXY", "*")

    def find_no_host(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_no_host)
    with pytest.raises(
        ModelError, match=r"name cannot be resolved \(Name or .*network\?"
    ):
        download("http://models.invalid/a", tmp_path / "a")


def test_connecting_takes_no_longer_than_the_limit(tmp_path, monkeypatch):
    """Where connecting takes too long, the message says how long it was tried."""
    monkeypatch.setenv("NO_PROXY", "*")

    def connect(*_args: object, **_options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", ())
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ModelError, match="no connection within 30 seconds"):
        download("http://127.0.0.1/a", tmp_path / "a")


@pytest.mark.parametrize("address", ["http://127.0.0.1:port/a", "http://127.0.0.1/ä b"])
def test_what_is_no_address_is_told(address, tmp_path, monkeypatch):
    """An address that cannot be asked for is an error that says so."""
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(ModelError, match="this is not a valid URL"):
        download(address, tmp_path / "a")


@pytest.mark.parametrize("told", [True, False])
def test_endless_download_is_stopped(told, server, tmp_path, monkeypatch):
    """More than any model needs is not taken, told beforehand or not, and not asked for again."""
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 100_000)
    server.replies["/a"] = Reply(BODY, headers={} if told else {"Content-Length": ""})
    with pytest.raises(ModelError, match="at most 100000 bytes; this is larger"):
        download(f"{server.address}/a", tmp_path / "a")
    assert (tmp_path / "a").stat().st_size <= (0 if told else 100_000)
    assert len(server.requests) == 1


def test_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    """``HTTPS_PROXY`` is asked for the connection, and its refusal is told."""
    monkeypatch.setenv("HTTPS_PROXY", server.address)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ModelError, match=r"no connection \(Tunnel .*502"):
        download("https://models.invalid/a", tmp_path / "a")
    assert server.requests == ["CONNECT models.invalid:443"]


def test_error_of_the_disk_comes_through(server, tmp_path):
    """What is wrong with the place to write to is no fault of the server, and is not tried again."""
    server.replies["/a"] = Reply(BODY)
    with pytest.raises(FileNotFoundError):
        download(f"{server.address}/a", tmp_path / "missing" / "a")
    assert len(server.requests) == 1


@pytest.mark.parametrize("progress", [True, False])
def test_bar_is_drawn_on_standard_error_only_if_wanted(
    progress, server, tmp_path, capsys, monkeypatch
):
    """Progress never reaches standard output, and nothing is drawn unasked."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.replies["/a"] = Reply(BODY)
    download(f"{server.address}/a", tmp_path / "a", progress=progress)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("127.0.0.1" in printed.err) == progress
