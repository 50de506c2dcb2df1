"""Tests that models on Hugging Face are found, with its real package against a server on this machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from movinet_lite.errors import MissingDependencyError, ModelError
from movinet_lite.hub import resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(16)
REPOSITORIES = {
    "some/one": {"README.md": b"# one", "model.tflite": TFLITE},
    "some/onnx": {"README.md": b"words", "a0.onnx": b"\x08\x08graph", "huge.bin": b"0"},
    "some/many": {
        "a.tflite": TFLITE,
        "b.tflite": TFLITE + b"b",
        "nested/saved_model.pb": b"graph",
        "nested/variables/variables.index": b"index",
        "nested/huge.bin": b"not needed",
    },
    "some/none": {"README.md": b"# none"},
    "some/wrong": {"page.tflite": b"<html>please log in</html>"},
}
REFUSALS = {  # path begins with, status, what the Hub calls it
    "some/gated": (403, "GatedRepo"),
    "some/private": (401, "RepoNotFound"),
}
SCRIPT = """
import json, sys
from movinet_lite.errors import MoViNetError
from movinet_lite.hub import resolve_model
for source in sys.argv[1:]:
    try:
        print(json.dumps(["path", str(resolve_model(source, "stream"))]))
    except MoViNetError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


class _Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does to the requests of its package."""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def log_message(self, *args):
        """Say nothing."""

    def _answer(self, *, with_body):
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0].removeprefix("/api/models").lstrip("/")
        repository = "/".join(path.split("/")[:2])
        rest = path.removeprefix(repository).strip("/").split("/")
        files = REPOSITORIES.get(repository)
        if files is None:
            status, code = REFUSALS.get(repository, (404, "RepoNotFound"))
            self._send(status, b"", {"X-Error-Code": code})
        elif rest[1] not in {"main", "v2", COMMIT}:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif rest[0] == "tree":
            listed = [
                {"type": "file", "path": name, "size": len(body), "oid": "0" * 40}
                for name, body in files.items()
            ]
            self._send(200, json.dumps(listed).encode(), {})
        elif (name := "/".join(rest[2:])) in files:
            body = files[name]
            tag = hashlib.sha256(body).hexdigest()
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
            self._send(200, body, headers, with_body=with_body)
        else:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            self._send(404, b"", headers)

    def _send(self, status, body, headers, *, with_body=True):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub():
    """A server that answers as Hugging Face, with what it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _resolve(hub, cache, *sources, **environment):
    """Return what each source leads to in a process of its own, which reads its environment anew."""
    pytest.importorskip("huggingface_hub")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *sources],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("HF_")},
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(root),
            "NO_PROXY": "127.0.0.1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_model_is_fetched_by_repository_file_folder_and_revision(hub, tmp_path):
    """The one model of a repository, a file or a folder of it, and a revision of it are found, and nothing else fetched."""
    found = _resolve(
        hub,
        tmp_path,
        "hf://some/one",
        "hf://some/one@v2",
        f"hf://some/one/model.tflite@{COMMIT}",
        "hf://some/many/b.tflite",
        "hf://some/many/nested",
        "hf://some/onnx",
    )

    assert [kind for kind, _ in found] == ["path"] * 6, found
    paths = [Path(path) for _, path in found]
    assert paths[0].read_bytes() == TFLITE
    assert paths[1].read_bytes() == paths[2].read_bytes() == TFLITE
    assert paths[3].read_bytes() == TFLITE + b"b"
    assert (paths[4] / "saved_model.pb").read_bytes() == b"graph"
    assert (paths[4] / "variables/variables.index").read_bytes() == b"index"
    assert paths[5].name == "a0.onnx"
    assert all(tmp_path in path.parents for path in paths)
    assert not any("huge.bin" in path or "README" in path for path in hub.asked)


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"MOVINET_LITE_OFFLINE": "1"}]
)
def test_what_is_in_its_cache_needs_no_network(hub, tmp_path, environment):
    """Offline, by its own variable or by ours, what was fetched is found, the rest is refused, and nothing is asked for."""
    sources = ("hf://some/one", "hf://some/many/a.tflite", "hf://some/many/nested")
    fetched = _resolve(hub, tmp_path, *sources)
    hub.asked.clear()

    again = _resolve(hub, tmp_path, *sources, **environment)
    (other,) = _resolve(hub, tmp_path, "hf://some/many/b.tflite", **environment)

    assert again == fetched
    assert other[0] == "ModelError"
    assert "in offline mode" in other[1]
    assert hub.asked == []


def test_what_cannot_be_fetched_is_one_clear_error(hub, tmp_path):
    """Each way to fail says what is wrong and what to do, behind the address."""
    expected = {
        "hf://some/absent": "does not exist, or it is private (log in: hf auth login)",
        "hf://some/private": "does not exist, or it is private",
        "hf://some/gated": "is restricted (accept its terms at https://huggingface.co/some/gated",
        "hf://some/one@v9": "tag or commit of some/one; there is no 'v9'",
        "hf://some/one/other.pt": "'other.pt' in some/one; it contains README.md, model.tflite",
        "hf://some/many": "(such as hf://some/many/a.tflite)",
        "hf://some/none": "some/none contains README.md",
        "hf://some/wrong": "this is a web page",
    }

    found = _resolve(hub, tmp_path, *expected)

    for (source, said), (kind, message) in zip(expected.items(), found, strict=True):
        assert kind == "ModelError", source
        assert message.startswith(f"{source}: "), message
        assert said in message


@pytest.mark.slow  # its package tries for 25 seconds
def test_a_server_out_of_reach_is_one_clear_error(hub, tmp_path):
    """Without a network, and without the model in the cache, the error says how to get it."""
    source = "hf://some/one/model.tflite"
    (found,) = _resolve(hub, tmp_path, source, HF_ENDPOINT="http://127.0.0.1:9")

    assert found[0] == "ModelError"
    assert found[1].startswith(f"{source}: the model could not be downloaded: ")
    assert "download it by hand from https://huggingface.co/some/one" in found[1]


@pytest.mark.parametrize(
    "source",
    ["hf://", "hf://name", "hf://a/b/../c", "hf://a/b@", "hf://a/b@x@y", "hf://a b/c"],
)
def test_an_address_that_cannot_be_right_is_refused(source):
    """An address of another form is refused before anything is asked for."""
    with pytest.raises(ModelError, match="must be hf://owner/name"):
        resolve_model(source, "stream")


def test_without_its_package_the_command_to_install_it_is_named(monkeypatch):
    """Who has not installed the extra reads how to."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(
        MissingDependencyError, match=r"pip install 'movinet-lite\[huggingface\]'"
    ):
        resolve_model("hf://some/one", "stream")
