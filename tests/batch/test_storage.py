"""Videos in remote storage are processed as files are."""

import json
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from movinet_lite.batch import Job, find_videos, run
from movinet_lite.batch.one_video import process_video
from movinet_lite.demo import CLIP
from movinet_lite.errors import DataError
from tests.batch import models

JOB = Job(model=models.told)


@pytest.fixture
def bucket():
    """Return the name of a folder of fsspec's storage in memory, with a video, a broken one and a text."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name, contents in _contents().items():
        memory.pipe(f"/bucket/{name}", contents)
    yield "memory://bucket/"
    memory.rm("/bucket", recursive=True)


def _contents():
    return {
        "a b.mp4": CLIP.read_bytes(),
        "deep/c.mp4": b"no video",
        "notes.md": b"no video either",
    }


def _row(path):
    return {**process_video(models.told(), str(path), JOB), "seconds": None}


def test_a_folder_or_pattern_of_remote_storage_is_listed(bucket):
    """Videos are found below a folder or by a pattern, and named by their addresses."""
    pytest.importorskip("fsspec")

    assert find_videos(bucket) == [
        "memory:///bucket/a b.mp4",
        "memory:///bucket/deep/c.mp4",
    ]
    assert find_videos(f"{bucket}*.mp4") == ["memory:///bucket/a b.mp4"]
    with pytest.raises(DataError, match="matches none"):
        find_videos(f"{bucket}*.avi")


def test_the_row_of_a_remote_video_is_that_of_a_file(bucket, tmp_path, monkeypatch):
    """Only the path differs, and no copy is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    row = _row(f"{bucket}a b.mp4")

    assert row == {**_row(CLIP), "path": f"{bucket}a b.mp4"}
    assert row["predictions"]
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_a_remote_video_is_its_error(bucket):
    """A missing or broken one, or an address of nobody, is the error of its own row."""
    assert _row(f"{bucket}none.mp4")["error"] == "there is no such file"
    assert "cannot be opened as a video" in _row(f"{bucket}deep/c.mp4")["error"]
    assert "nowhere" in _row("nowhere://bucket/a.mp4")["error"]


def test_an_address_of_a_local_file_is_not_copied(tmp_path, monkeypatch):
    """A ``file://`` address is read where it is."""
    pytest.importorskip("fsspec")
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    video = tmp_path / "a b.mp4"
    video.symlink_to(CLIP)

    row = _row(f"file://{video}")

    assert row["error"] is None
    assert row["size"] == CLIP.stat().st_size


class _Storage(BaseHTTPRequestHandler):
    """As much of S3 as reading a bucket takes."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        """Say how large an object is."""
        self._answer(with_body=False)

    def do_GET(self):
        """Send an object, a part of it, or a list of the bucket."""
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        asked = urlsplit(self.path)
        bucket, _, name = unquote(asked.path)[1:].partition("/")
        if bucket != "bucket":
            return self._send(404, b"", with_body)
        if not name:
            prefix = parse_qs(asked.query).get("prefix", [""])[0]
            return self._send(200, _listed(prefix), with_body)
        if name not in _contents():
            return self._send(404, b"", with_body)
        contents = _contents()[name]
        part = self.headers.get("Range")
        if part is None:
            return self._send(200, contents, with_body)
        first, _, last = part.removeprefix("bytes=").partition("-")
        end = min(int(last or len(contents)) + 1, len(contents))
        given = f"bytes {first}-{end - 1}/{len(contents)}"
        self._send(206, contents[int(first) : end], with_body, given)
        return None

    def _send(self, status, body, with_body, content_range=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def _listed(prefix):
    found = "".join(
        f"<Contents><Key>{escape(name)}</Key><Size>{len(contents)}</Size>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for name, contents in _contents().items()
        if name.startswith(prefix)
    )
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
        f"<IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    ).encode()


@contextmanager
def _serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Storage)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_workers_read_a_bucket(tmp_path, monkeypatch):
    """A batch over a folder of S3 has a row for each video, read by its workers with pyarrow or s3fs."""
    pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    output = tmp_path / "rows.jsonl"
    with _serve() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

        end = run(["s3://bucket/", "s3://bucket/none.mp4"], output, JOB, workers=1)

    rows = {
        row["path"]: row for row in map(json.loads, output.read_text().splitlines())
    }
    assert (end.num_done, end.num_errors) == (3, 2)
    assert rows["s3://bucket/a b.mp4"]["predictions"] == _row(CLIP)["predictions"]
    assert rows["s3://bucket/none.mp4"]["error"] == "there is no such file"
    assert "cannot be opened" in rows["s3://bucket/deep/c.mp4"]["error"]
