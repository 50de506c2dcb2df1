"""The hub: each way to a model, each way in which it fails, and many processes at once."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from movinet_lite import demo
from movinet_lite.errors import ModelError, VariantError
from movinet_lite.hub import (
    available_models,
    cached_models,
    clear_cache,
    download_model,
    downloads,
    find_model,
    resolve_model,
    resolve_weights,
)
from movinet_lite.hub.cache import locked, models_folder
from movinet_lite.hub.handles import find_remotes
from tests.model_server import (
    TINY_MODEL,
    Reply,
    make_archive,
    make_archive_of,
    serve_models,
)

TFHUB_A0 = "/tensorflow/movinet/a0/base/kinetics-600/classification/3"
KAGGLE_HANDLE = "google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3"
KAGGLE_A0 = f"/api/v1/models/{KAGGLE_HANDLE}/download"
LITE_A0 = (
    "/tensorflow/lite-model/movinet/a0/stream/kinetics-600/classification/tflite/int8/1"
)
TFLITE = b"\x1c\0\0\0TFL3 and so on"
ARCHIVE = make_archive()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MOVINET_LITE_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "RETRY_PAUSES_S", (0.01, 0.01))


@pytest.fixture
def server(monkeypatch):
    """A server that stands for tfhub.dev and Kaggle."""
    with serve_models() as server:
        monkeypatch.setenv("MOVINET_LITE_HUB", server.address)
        yield server


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the model's files below *folder*: name to contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "movinet_lite_cache.json"
    }


def visible() -> list[str]:
    """Return what stands in the models' folder of the cache, but for the empty files of locks."""
    folder = models_folder()
    if not folder.exists():
        return []
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def write_model(folder: Path) -> Path:
    """Write files that look like a SavedModel."""
    for name, contents in TINY_MODEL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    return folder


# Where models come from


def test_name_is_downloaded_once(server):
    """A name gives the folder of the model's files, and the second time nothing is asked for."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    first = resolve_model("a0", "base")
    second = resolve_model("A0", "base")
    assert first == second
    assert files_of(first) == dict(TINY_MODEL)
    assert server.requests == [f"{TFHUB_A0}?tf-hub-format=compressed"]
    assert visible() == [first.name]


def test_note_tells_where_a_model_came_from(server):
    """The cache knows the address, the size, the checksum and the time of what was downloaded."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    note = json.loads((folder / "movinet_lite_cache.json").read_text())
    assert note["address"] == f"{server.address}{TFHUB_A0}?tf-hub-format=compressed"
    assert note["num_bytes"] == len(ARCHIVE)
    assert len(note["sha256"]) == 64
    (listed,) = cached_models()
    assert (listed.path, listed.sha256) == (folder, note["sha256"])
    assert clear_cache() == (listed,)
    assert not folder.exists()


def test_what_a_model_says_of_itself_survives_the_cache(server):
    """The note of the cache does not take the place of the facts that lie beside a SavedModel of ours."""
    facts = b'{"variant": "a0"}'
    files = {**TINY_MODEL, "movinet_lite.json": facts}
    server.replies["/ours.tar.gz"] = Reply(make_archive(files))
    folder = resolve_model(f"{server.address}/ours.tar.gz", "stream")
    assert (folder / "movinet_lite.json").read_bytes() == facts
    assert cached_models()[0].address is not None


def test_address_and_name_share_a_model(server):
    """The address on tfhub.dev that a name stands for finds the same entry of the cache."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    assert resolve_model("a0", "base") == resolve_model(
        f"https://tfhub.dev{TFHUB_A0}", "base"
    )
    assert len(server.requests) == 1


def test_name_falls_back_to_kaggle(server):
    """What tfhub.dev does not give is asked for on Kaggle, and then found without asking tfhub.dev again."""
    server.replies[KAGGLE_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    assert files_of(folder) == dict(TINY_MODEL)
    assert resolve_model("a0", "base") == folder
    assert resolve_model(KAGGLE_HANDLE, "base") == folder
    assert server.requests == [f"{TFHUB_A0}?tf-hub-format=compressed", KAGGLE_A0]


def test_modes_are_different_models(server):
    """The base and the stream model of a name are kept apart."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    server.replies[TFHUB_A0.replace("base", "stream")] = Reply(
        make_archive({"saved_model.pb": b"s"})
    )
    assert files_of(resolve_model("a0", "base")) == dict(TINY_MODEL)
    assert files_of(resolve_model("a0", "stream")) == {"saved_model.pb": b"s"}


def test_lite_model_is_a_file(server):
    """A lite-model on tfhub.dev gives a ``.tflite`` file."""
    server.replies[LITE_A0] = Reply(TFLITE)
    path = resolve_model(f"https://tfhub.dev{LITE_A0}", "stream")
    assert path.suffix == ".tflite"
    assert path.read_bytes() == TFLITE
    assert resolve_model(f"https://tfhub.dev{LITE_A0}", "stream") == path
    assert server.requests == [f"{LITE_A0}?lite-format=tflite"]


def test_kaggle_tflite_handle_gives_the_file_in_its_archive(server):
    """Kaggle packs a TFLite file into an archive; the file in it is what comes back."""
    handle = "google/movinet/tfLite/a0-stream-kinetics-600-classification-tflite-int8/1"
    server.replies[f"/api/v1/models/{handle}/download"] = Reply(
        make_archive({"1.tflite": TFLITE})
    )
    path = resolve_model(handle, "stream")
    assert (path.name, path.read_bytes()) == ("1.tflite", TFLITE)


@pytest.mark.parametrize("name", ["/a0.tar.gz", "/a0.tgz", "/download?id=7"])
def test_other_address_is_downloaded(name, server):
    """An archive may lie anywhere, under any name, with its files in a folder of their own."""
    packed = make_archive(
        {f"movinet_a0/{key}": data for key, data in TINY_MODEL.items()}
    )
    server.replies[name.split("?")[0]] = Reply(packed)
    folder = resolve_model(server.address + name, "base")
    assert folder.name == "movinet_a0"
    assert files_of(folder) == dict(TINY_MODEL)
    assert resolve_model(server.address + name, "base") == folder
    assert server.requests == [name]


def test_redirect_leads_to_the_model(server):
    """A hub may forward to where it keeps its files."""
    server.replies[TFHUB_A0] = Reply(
        status=301, headers={"Location": "/store/1.tar.gz?sig"}
    )
    server.replies["/store/1.tar.gz"] = Reply(ARCHIVE)
    assert files_of(resolve_model("a0", "base")) == dict(TINY_MODEL)


def test_downloaded_saved_model_loads_in_tensorflow(server, tmp_path):
    """A real SavedModel comes out of the cache as it went into the archive, and computes."""
    import tensorflow as tf

    doubler = tf.Module()
    doubler.factor = tf.Variable(2.0)
    doubler.double = tf.function(
        lambda x: doubler.factor * x, input_signature=[tf.TensorSpec([])]
    )
    tf.saved_model.save(doubler, str(tmp_path / "doubler"))
    server.replies[TFHUB_A0] = Reply(make_archive_of(tmp_path / "doubler"))
    loaded = tf.saved_model.load(str(resolve_model("a0", "base")))
    assert float(loaded.double(tf.constant(21.0))) == 42.0


# Paths


def test_local_models_are_found(tmp_path, monkeypatch):
    """A SavedModel's folder, a TFLite file, and what fine-tuning wrote are used where they lie."""
    saved_model = write_model(tmp_path / "saved model")
    tflite = tmp_path / "a0.tflite"
    tflite.write_bytes(TFLITE)
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "model.safetensors").touch()
    lite = tmp_path / "lite"
    lite.mkdir()
    (lite / "a0.tflite").write_bytes(TFLITE)
    (lite / "._a0.tflite").touch()

    for path in (saved_model, tflite, weights):
        assert resolve_model(path, "stream") == path
        assert resolve_model(str(path), "stream", offline=True) == path
    assert resolve_model(lite, "stream") == lite / "a0.tflite"
    assert resolve_model(tuned, "stream") == tuned / "model.safetensors"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert resolve_model("tuned", "stream") == Path("tuned/model.safetensors")
    assert resolve_model("~/tuned", "stream") == tuned / "model.safetensors"


def test_of_several_networks_one_must_be_named(tmp_path):
    """A folder with two networks is refused, with their names; a folder inside it is not looked into."""
    for name in ("first.safetensors", "second.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "training.safetensors").touch()
    with pytest.raises(
        ModelError,
        match=r"contains several, .*: first\.safetensors, second\.safetensors",
    ):
        resolve_model(tmp_path, "stream")


def test_the_demo_lies_in_the_package(tmp_path, monkeypatch):
    """Its name gives the compiled model, or the weights to train; a folder of that name is reached by a path."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "demo")
    for name in ("MODEL", "WEIGHTS"):
        path = tmp_path / f"{name}.file"
        path.touch()
        monkeypatch.setattr(demo, name, path)
    assert resolve_model("demo", "stream", offline=True) == demo.MODEL
    assert resolve_weights("Demo", "stream", offline=True) == demo.WEIGHTS
    assert resolve_model("./demo", "stream") == Path("demo")
    assert resolve_weights(Path("demo"), "base") == Path("demo")


def test_the_demo_is_a_stream_model(tmp_path, monkeypatch):
    """Whoever asks for it as a base model, or where a file was lost, is told."""
    with pytest.raises(
        ModelError, match=r"demo: .* this one is a stream model.*Streaming"
    ):
        resolve_model("demo", "base")
    with pytest.raises(ModelError, match="this one is a stream model"):
        resolve_weights("demo", "base")
    monkeypatch.setattr(demo, "MODEL", tmp_path / "lost.tflite")
    with pytest.raises(ModelError, match=r"lost\.tflite does not exist \(reinstall"):
        resolve_model("demo", "stream")


def test_name_comes_before_a_folder_of_that_name(server, tmp_path, monkeypatch):
    """A folder called a0 does not hide the model, and is reached by a path."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "a0")
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    assert resolve_model("./a0", "base") == Path("a0")
    assert resolve_model(Path("a0"), "base") == Path("a0")
    assert server.requests == []
    assert resolve_model("a0", "base").parent == models_folder()


def test_folder_that_looks_like_a_handle_is_a_folder(tmp_path, monkeypatch):
    """A path that exists is used, even if it could be a Kaggle handle."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / KAGGLE_HANDLE)
    assert resolve_model(KAGGLE_HANDLE, "base") == Path(KAGGLE_HANDLE)


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("missing/", None, "there is no file or folder at this path"),
        ("missing.tflite", None, "there is no file or folder at this path"),
        ("empty/", {}, "this folder contains none of them$"),
        ("outer/", {"inner/saved_model.pb": b""}, "did you mean .*inner"),
        (
            "two/",
            {"a/saved_model.pb": b"", "b/saved_model.pb": b""},
            "contains none of them$",
        ),
        (
            "lite/",
            {"a.tflite": b"", "b.tflite": b""},
            "pass the path of one: a.tflite, b.tfl",
        ),
        ("a.tflite", b"", "this is an empty file, though the name ends in .tflite"),
        (
            "a.tflite",
            b"<!DOCTYPE html>",
            "this is a web page, .*the name ends in .tflite",
        ),
        (
            "a.tflite",
            b"version https://git-lfs",
            "this is another kind of file, .*Git LFS",
        ),
        ("saved_model.pb", b"", "pass the folder"),
        ("a0.tar.gz", b"\x1f\x8b", "this is an archive, unpack it and pass the folder"),
        ("a0.zip", b"PK\3\4", "this is an archive, unpack it"),
        ("a0.keras", b"PK\3\4", "got the file 'a0.keras'"),
        ("a.fewshot", b"x", "pass the model that its classes were taught on"),
    ],
)
def test_path_without_a_model_is_an_error(name, contents, words, tmp_path):
    """The message says what a model looks like, and what is wrong with what is there."""
    path = tmp_path / name
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    elif contents is not None:
        path.mkdir()
        for inner, data in contents.items():
            (path / inner).parent.mkdir(exist_ok=True)
            (path / inner).write_bytes(data)
    with pytest.raises(ModelError, match=words) as caught:
        resolve_model(f"{tmp_path}/{name}", "base")
    assert (
        "a folder with saved_model.pb and variables/, a .tflite or .onnx file"
        in str(caught.value)
    )
    assert str(caught.value).startswith(f"{tmp_path}/{name}: ")


def test_unknown_name_or_mode_is_an_error(tmp_path, monkeypatch):
    """A name or a mode that does not exist is told with those that do; the empty name is not the folder we are in."""
    monkeypatch.chdir(write_model(tmp_path / "here"))
    with pytest.raises(VariantError, match="one of demo, a0, a1, a2, a3, a4, a5"):
        resolve_model("b0", "base")
    with pytest.raises(VariantError, match="one of demo, a0"):
        resolve_model("", "base")
    with pytest.raises(
        VariantError, match="must be 'base' or 'stream'; got 'streaming'"
    ):
        resolve_model("a0", "streaming")  # type: ignore[arg-type]


def test_base_model_for_a_stream_is_refused_without_a_download(server):
    """A handle of the wrong mode costs no download."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    with pytest.raises(ModelError, match="a stream model is needed here"):
        resolve_model(f"https://tfhub.dev{TFHUB_A0}", "stream")
    assert server.requests == []


def test_find_model_looks_at_one_folder(tmp_path):
    """Only what lies in the folder itself counts."""
    assert find_model(tmp_path) is None
    inner = write_model(tmp_path / "inner")
    assert find_model(tmp_path) is None
    assert find_model(inner) == inner


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(status=404), r"the server responded with status 404 \(Not Found\)"),
        (Reply(status=403), r"403 \(Forbidden\); the model may need a login"),
        (Reply(status=500), r"500 \(Internal Server Error\)"),
        (Reply(ARCHIVE, cut_after=50), r"incomplete: received 50 of \d+ bytes"),
        (
            Reply(ARCHIVE[:50], headers={"Content-Length": ""}),
            "the archive is damaged or truncated",
        ),
        (
            Reply(ARCHIVE[:-3], headers={"Content-Length": ""}),
            "the archive is damaged or truncated",
        ),
        (
            Reply(b"  <!DOCTYPE html><title>Log in"),
            "this is a web page, which may require a login",
        ),
        (Reply(b"\xef\xbb\xbf<HTML>"), "this is a web page"),
        (Reply(b""), "this is an empty file"),
        (Reply(b"PK\3\4 and so on"), "this is a zip archive"),
        (
            Reply(b"something"),
            "must be a .tar.gz, .tflite, .safetensors or .pt file; this is another kind of file",
        ),
        (
            Reply(make_archive({"readme": b""})),
            "the download contains none of them, or several",
        ),
        (
            Reply(make_archive({"a.tflite": b"", "b.tflite": b""})),
            "none of them, or several",
        ),
        (
            Reply(make_archive({"../a": b""})),
            "must unpack inside its folder; got .*'../a'",
        ),
        (Reply(status=302, headers={"Location": "/model.tgz"}), "the redirect failed"),
        (
            Reply(status=302, headers={"Location": "file:///etc/passwd"}),
            "the redirect failed",
        ),
    ],
)
def test_failed_download_says_why_and_what_to_do(reply, words, server):
    """The message has the address, the reason and the way by hand; nothing stays in the cache; a retry works."""
    server.replies["/model.tgz"] = reply
    address = f"{server.address}/model.tgz"
    with pytest.raises(ModelError, match=words) as caught:
        resolve_model(address, "base")
    message = str(caught.value)
    (remote,) = find_remotes(address, "base")
    assert message.startswith(f"{address}: the model could not be downloaded; tried:")
    assert f"\n  {address}: " in message
    assert (
        f"to download it by hand: open {address} in a browser, unpack the model"
        in message
    )
    assert message.endswith(f"and pass its path, or move it to {remote.folder}")
    assert visible() == []
    server.replies["/model.tgz"] = Reply(ARCHIVE)
    assert files_of(resolve_model(address, "base")) == dict(TINY_MODEL)


def test_link_in_an_archive_is_refused(server, tmp_path):
    """A link in a downloaded archive is refused, and what it points at is untouched."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("variables")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("variables/attack"))
    server.replies["/model.tgz"] = Reply(buffer.getvalue())
    with pytest.raises(ModelError, match="got a symbolic link named 'variables'"):
        resolve_model(f"{server.address}/model.tgz", "base")
    assert not (tmp_path / "attack").exists()
    assert visible() == []


def test_failed_name_lists_every_address(server):
    """For a name the message has each address with its reason, and the page that a person can open."""
    server.replies[KAGGLE_A0] = Reply(
        b"<html>Log in", headers={"Content-Type": "text/html"}
    )
    with pytest.raises(
        ModelError, match="the model could not be downloaded; tried:"
    ) as caught:
        resolve_model("a0", "base")
    first, tfhub, kaggle, by_hand = str(caught.value).splitlines()
    assert first.startswith("a0: ")
    assert tfhub.startswith(f"  {server.address}{TFHUB_A0}?tf-hub-format=compressed: ")
    assert "404" in tfhub
    assert kaggle.startswith(f"  {server.address}{KAGGLE_A0}: ")
    assert "login" in kaggle
    assert f"open https://www.kaggle.com/models/{KAGGLE_HANDLE} in a browser" in by_hand
    assert visible() == []


@pytest.mark.parametrize("remote", [0, -1])
def test_model_put_by_hand_where_the_message_says_is_found(remote, server):
    """Unpacking a model into its folder of the cache is as good as the download."""
    folder = find_remotes("a0", "base")[remote].folder
    write_model(folder)
    assert resolve_model("a0", "base", offline=True) == folder
    assert server.requests == []


def test_folder_of_someone_else_is_not_overwritten(server):
    """A folder in the cache with neither a model nor our note is left alone, and the message names it."""
    server.replies["/model.tgz"] = Reply(ARCHIVE)
    (remote,) = find_remotes(f"{server.address}/model.tgz", "base")
    remote.folder.mkdir(parents=True)
    (remote.folder / "precious").touch()
    with pytest.raises(
        ModelError, match="contains no model, and was not created by this lib"
    ) as caught:
        resolve_model(remote.address, "base")
    assert str(remote.folder) in str(caught.value)
    assert (remote.folder / "precious").exists()
    (remote.folder / "precious").unlink()
    assert files_of(resolve_model(remote.address, "base")) == dict(TINY_MODEL)


def test_damaged_entry_is_downloaded_again(server):
    """An entry of ours that lost its model is replaced."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    (folder / "saved_model.pb").unlink()
    assert files_of(resolve_model("a0", "base")) == dict(TINY_MODEL)
    assert len(server.requests) == 2


def test_full_disk_is_told(server, monkeypatch):
    """No space left says so, with the folder and the way to another one; nothing half-written stays."""
    server.replies["/model.tgz"] = Reply(ARCHIVE)
    real_open = Path.open

    def open_on_full_disk(path, mode="r", *args, **options):
        file = real_open(path, mode, *args, **options)
        if mode in {"wb", "xb"}:

            def write(_data: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            file.write = write
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(ModelError, match="No space left on device") as caught:
            resolve_model(f"{server.address}/model.tgz", "base")
    message = str(caught.value)
    assert f"the cache folder {models_folder()} cannot be written" in message
    assert f"while fetching {server.address}/model.tgz" in message
    assert "MOVINET_LITE_CACHE; to download it by hand: open" in message
    assert visible() == []
    assert len(server.requests) == 1


def test_cache_that_cannot_be_made_is_told(server, tmp_path, monkeypatch):
    """A cache folder that is a file is an error that names it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        ModelError, match=r"the cache folder .*file.models cannot be written"
    ):
        resolve_model(f"{server.address}/model.tgz", "base")
    assert server.requests == []


# Offline


@pytest.mark.parametrize("said", ["1", "true", "yes", "argument"])
def test_offline_never_touches_the_network(said, server, monkeypatch):
    """What is cached is used; what is not is an error that says so; the server hears nothing."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    server.requests.clear()
    offline = said == "argument"
    if not offline:
        monkeypatch.setenv("MOVINET_LITE_OFFLINE", said)
    assert resolve_model("a0", "base", offline=offline) == folder
    for source in ("a1", KAGGLE_HANDLE, f"{server.address}/model.tgz"):
        with pytest.raises(
            ModelError, match="not in the cache, and is not downloaded in offline mode"
        ) as caught:
            resolve_model(source, "base", offline=offline)
        assert "to download it by hand: open" in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("said", ["", "0", "false", "No"])
def test_offline_can_be_said_no_to(said, server, monkeypatch):
    """An empty or a negative ``MOVINET_LITE_OFFLINE`` lets downloads through."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    monkeypatch.setenv("MOVINET_LITE_OFFLINE", said)
    assert resolve_model("a0", "base").is_dir()


def test_cached_model_is_used_without_a_lock(server):
    """A model in the cache is there for all, also while another process holds its lock, and nothing is written."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    with locked(folder):
        assert resolve_model("a0", "base") == folder
    (lock,) = models_folder().glob(".*.lock")
    lock.unlink()
    resolve_model("a0", "base")
    assert list(models_folder().iterdir()) == [folder]


# The package of Kaggle


class _Kagglehub:
    """A stand-in for the package `kagglehub`, which runs in a process of its own."""

    def __init__(self, folder, answer):
        self._module = folder / "kagglehub.py"
        self._asked = folder / "asked.txt"
        self.do(f"return {str(answer)!r}")

    def do(self, line):
        """Let its download end with this line of Python."""
        self._module.write_text(
            f"""
import pathlib, sys

def model_download(handle):
    with pathlib.Path({str(self._asked)!r}).open("a") as file:
        print(handle, file=file)
    print("Warning: Looks like you're using an outdated version")
    print("100%|####|", file=sys.stderr)
    {line}
"""
        )

    @property
    def asked(self):
        """The handles that it was asked for."""
        return self._asked.read_text().splitlines() if self._asked.exists() else []


@pytest.fixture
def kagglehub(monkeypatch, tmp_path):
    """A stand-in for the package `kagglehub`; it gives a model from its own folder."""
    monkeypatch.delenv("MOVINET_LITE_HUB", raising=False)
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return _Kagglehub(folder, write_model(tmp_path / "kagglehub's own"))


def test_kaggle_handle_goes_through_kagglehub(kagglehub, tmp_path, capfd):
    """Where `kagglehub` is installed it fetches the model, which is copied to our cache, and prints nothing."""
    folder = resolve_model(KAGGLE_HANDLE, "base")
    assert files_of(folder) == dict(TINY_MODEL)
    assert folder.parent == models_folder()
    assert resolve_model(KAGGLE_HANDLE, "base", offline=True) == folder
    assert kagglehub.asked == [KAGGLE_HANDLE]
    assert capfd.readouterr() == ("", "")
    (listed,) = cached_models()
    assert listed.address == f"https://www.kaggle.com/models/{KAGGLE_HANDLE}"
    assert (tmp_path / "kagglehub's own").is_dir()


def test_progress_of_kagglehub_goes_to_standard_error(kagglehub, capfd):
    """With progress wanted, what `kagglehub` prints is on standard error alone."""
    resolve_model(KAGGLE_HANDLE, "base", progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "100%" in printed.err
    assert kagglehub.asked


def test_name_goes_through_kagglehub_after_tfhub(kagglehub, monkeypatch):
    """For a name tfhub.dev comes first; where it fails `kagglehub` is next."""
    with serve_models() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        monkeypatch.setenv("NO_PROXY", "")
        folder = resolve_model("a0", "base")
    assert files_of(folder) == dict(TINY_MODEL)
    assert proxy.requests == ["CONNECT tfhub.dev:443"]
    assert kagglehub.asked == [KAGGLE_HANDLE]


@pytest.mark.parametrize("broken", ["raises", "missing"])
def test_kaggle_is_asked_without_kagglehub_too(broken, kagglehub, monkeypatch):
    """Where `kagglehub` fails or is missing, Kaggle is asked directly, and the message has both reasons."""
    kagglehub.do("raise RuntimeError('403 Client Error.\\n\\nno permission')")
    words = (
        r"kagglehub, google/.*: it returned no model: 403 Client Error. no permission"
    )
    if broken == "missing":
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        words = r"kagglehub, google/.*pip install 'movinet-lite\[kaggle\]'"
    with serve_models() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(ModelError, match=words) as caught:
            resolve_model(KAGGLE_HANDLE, "base")
    assert f"https://www.kaggle.com{KAGGLE_A0}: no connection" in str(caught.value)
    assert proxy.requests == ["CONNECT www.kaggle.com:443"]


def test_kagglehub_may_give_a_single_file(kagglehub, tmp_path):
    """A handle whose model is one file gives that file."""
    file = tmp_path / "a0.tflite"
    file.write_bytes(TFLITE)
    kagglehub.do(f"return {str(file)!r}")
    handle = "google/movinet/tfLite/a0-stream-kinetics-600-classification-tflite-int8/1"
    assert resolve_model(handle, "stream").read_bytes() == TFLITE


def test_mirror_keeps_kagglehub_out(kagglehub, server):
    """With a mirror nobody else is asked, `kagglehub` neither."""
    server.replies[KAGGLE_A0] = Reply(ARCHIVE)
    resolve_model("a0", "base")
    assert kagglehub.asked == []


# Many at once

RESOLVE = """
import sys
from movinet_lite.hub import resolve_model
print(resolve_model(sys.argv[1], "base"))
"""


def start_resolving(source: str) -> "subprocess.Popen[str]":
    """Resolve *source* in another process, which prints the path."""
    return subprocess.Popen(
        [sys.executable, "-c", RESOLVE, source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_one_download(server):
    """Of two processes that want one model at once, one downloads it and both get it."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE, pause_s=1)
    processes = [start_resolving("a0") for _ in range(2)]
    printed = {process.communicate(timeout=30) for process in processes}
    assert [process.returncode for process in processes] == [0, 0], printed
    ((path, errors),) = printed
    assert errors == ""
    assert files_of(Path(path.strip())) == dict(TINY_MODEL)
    assert len(server.requests) == 1
    assert visible() == [Path(path.strip()).name]


def test_many_threads_share_one_download(server):
    """Of many threads that want one model at once, one downloads it and all get it."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE, pause_s=0.1)
    with ThreadPoolExecutor(5) as pool:
        found = set(pool.map(lambda _: resolve_model("a0", "base"), range(5)))
    assert len(found) == 1
    assert len(server.requests) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_download_leaves_nothing_behind(server):
    """After a process is killed within its download, the next one gets the model, and the remains are gone."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE, pause_s=60)
    process = start_resolving("a0")
    server.wait_for_requests(1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert all(re.fullmatch(r"\..*\.tmp", name) for name in visible())
    assert cached_models() == ()
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = resolve_model("a0", "base")
    assert files_of(folder) == dict(TINY_MODEL)
    assert visible() == [folder.name]


def test_hub_loads_nothing_heavy():
    """Finding a cached or a local model needs neither TensorFlow nor an http client."""
    heavy = {
        "tensorflow",
        "requests",
        "kagglehub",
        "rich",
        "platformdirs",
        "urllib.request",
    }
    code = f"import sys, movinet_lite.hub.resolving; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_checkpoint_is_found_by_prefix_index_or_folder(tmp_path, monkeypatch):
    """Of several in a folder TensorFlow's note says which is the latest, whatever the folder was called then."""
    for name in ("ckpt-1.index", "ckpt-2.index", "ckpt-2.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"x")
    latest = tmp_path / "ckpt-2.index"
    assert resolve_model(tmp_path / "ckpt-2", "stream") == latest
    assert resolve_model(str(latest), "stream") == latest
    monkeypatch.chdir(tmp_path)
    assert resolve_model("ckpt-2", "stream") == Path("ckpt-2.index")
    with pytest.raises(ModelError, match="contains none of them"):
        resolve_model(tmp_path, "stream")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/old/run/ckpt-2"\n')
    assert resolve_model(tmp_path, "stream") == latest


def test_the_variables_of_a_saved_model_are_no_checkpoint(tmp_path):
    """A SavedModel that has lost its graph is not taken for one."""
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "variables.index").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "variables"):
        with pytest.raises(ModelError, match="this folder contains none of them"):
            resolve_model(path, "stream")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("~nosuchuser/x", r"this path cannot be read \(Could not determine home"),
        (Path("~nosuchuser/x"), r"this path cannot be read \(Could not determine home"),
        ("./" + "n" * 300, r"this path cannot be read|no file or folder at this path"),
        (Path("n" * 300), r"this path cannot be read|no file or folder at this path"),
        ("./a\0b", r"this path cannot be read|no file or folder at this path"),
    ],
)
def test_path_that_cannot_be_one_is_an_error_of_the_model(source, words):
    """A user that does not exist, a name too long or a null byte gives the library's own error."""
    with pytest.raises(ModelError, match=words):
        resolve_model(source, "stream")


def test_long_name_is_an_unknown_name():
    """A text of 300 letters is a name that no model has."""
    with pytest.raises(VariantError, match="a model must be one of demo, a0"):
        resolve_model("n" * 300, "stream")


@pytest.mark.parametrize("source", [5, None, b"a0"])
def test_what_is_no_text_is_refused(source):
    """A source of another type is an error that shows it."""
    with pytest.raises(ModelError, match=f"or a path; got {source!r}"):
        resolve_model(source, "stream")


def test_cache_of_an_unknown_user_is_told(monkeypatch):
    """A cache in the home folder of nobody is an error that names the variable."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", "~nosuchuser/cache")
    with pytest.raises(ModelError, match="MOVINET_LITE_CACHE must be a folder"):
        resolve_model("a0", "stream", offline=True)


def test_downloaded_model_is_found_without_a_network(server):
    """What `download_model` fetched is used from then on, offline."""
    server.replies[TFHUB_A0] = Reply(ARCHIVE)
    folder = download_model("a0", "base")
    assert files_of(folder) == dict(TINY_MODEL)
    assert resolve_model("a0", "base", offline=True) == folder
    assert len(server.requests) == 1


def test_every_available_name_is_known(server):
    """Each name that `available_models` lists is asked for; none is an unknown one."""
    assert download_model("demo") == demo.MODEL
    for name in available_models():
        if name != "demo":
            with pytest.raises(ModelError, match=f"^{name}: .*offline mode"):
                resolve_model(name, "stream", offline=True)
    assert server.requests == []
