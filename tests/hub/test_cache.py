"""The cache folder: its place, its locks, and entries that are all there or not at all."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from movinet_lite.hub import cache, cache_folder, cached_models, clear_cache
from movinet_lite.hub.cache import (
    compiled_folder,
    locked,
    models_folder,
    new_folder,
    read_note,
    write_note,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))


def make_entry(entry: Path, **facts: object) -> Path:
    """Put an entry with one file of 5 bytes into the cache."""
    with locked(entry), new_folder(entry) as folder:
        (folder / "saved_model.pb").write_bytes(b"12345")
        write_note(folder, **facts)
    return entry


def names(folder: Path) -> list[str]:
    """Return the names in *folder* but those of locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def start_python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Run *code* in another process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


class WouldWaitError(Exception):
    """Someone else holds the lock."""


def refuse_to_wait(_seconds):
    """Stand for the pause between two tries of a lock."""
    raise WouldWaitError


HOLD_LOCK = """
import sys, time
from pathlib import Path
from movinet_lite.hub.cache import locked, new_folder
entry = Path(sys.argv[1])
with locked(entry), new_folder(entry) as folder:
    (folder / "half").write_bytes(b"1")
    print("holding", flush=True)
    time.sleep(60)
"""


def test_cache_folder_is_the_one_the_environment_names(monkeypatch, tmp_path):
    """``MOVINET_LITE_CACHE`` decides, a ``~`` in it is the home folder, and an empty one counts for nothing."""
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MOVINET_LITE_CACHE", "~/models here")
    assert cache_folder() == tmp_path / "models here"
    monkeypatch.setenv("MOVINET_LITE_CACHE", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder().name == "movinet-lite"
    assert tmp_path in cache_folder().parents


def test_asking_for_folders_makes_none():
    """Looking into an empty cache leaves no trace on the disk."""
    assert models_folder().parent == compiled_folder().parent == cache_folder()
    assert cached_models() == ()
    assert clear_cache() == ()
    assert not cache_folder().exists()


def test_entry_appears_when_it_is_complete():
    """Nobody sees an entry under its name before all of it is written."""
    entry = models_folder() / "a"
    with locked(entry), new_folder(entry) as folder:
        (folder / "file").write_text("x")
        assert not entry.exists()
        assert folder.parent == entry.parent
        assert cached_models() == ()
    assert (entry / "file").read_text() == "x"
    assert names(entry.parent) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_entry_leaves_nothing(error):
    """An error, or Ctrl-C, while an entry is made takes what was written with it."""
    entry = models_folder() / "a"

    def fail() -> None:
        with locked(entry), new_folder(entry) as folder:
            (folder / "file").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert names(entry.parent) == []


def test_failed_entry_keeps_what_was_there():
    """An error while an entry is made again leaves the old one as it was."""
    entry = make_entry(models_folder() / "a")
    with pytest.raises(ValueError, match="no"), locked(entry), new_folder(entry):
        raise ValueError("no")
    assert (entry / "saved_model.pb").read_bytes() == b"12345"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_new_folder_replaces_what_stands_there(kind, tmp_path):
    """What stands at the place gives way, be it a folder, a file or a link, and nothing behind a link is touched."""
    entry = models_folder() / "a"
    entry.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    if kind == "folder":
        entry.mkdir()
        (entry / "old").touch()
    elif kind == "file":
        entry.touch()
    else:
        entry.symlink_to(elsewhere)
    make_entry(entry)
    assert names(entry) == ["movinet_lite_cache.json", "saved_model.pb"]
    assert names(entry.parent) == ["a"]
    assert (elsewhere / "precious").exists()


def test_lock_lets_one_thread_in_at_a_time(tmp_path):
    """Of many threads at one lock each waits for the others."""
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        with locked(tmp_path / "a"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.005)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_lock_of_a_killed_process_is_free(monkeypatch):
    """A process killed while it held a lock and half an entry stands in nobody's way, and its half goes."""
    monkeypatch.setattr(cache, "LOCK_POLL_S", 0.01)
    entry = models_folder() / "a"
    process = start_python(HOLD_LOCK, entry)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    with monkeypatch.context() as patch:
        patch.setattr(cache.time, "sleep", refuse_to_wait)
        with pytest.raises(WouldWaitError), locked(entry):
            pytest.fail("the other process holds no lock")
    process.kill()
    process.communicate()
    assert len(names(entry.parent)) == 1, "the killed process left its half"
    make_entry(entry)
    assert names(entry.parent) == ["a"]


FORK_UNDER_LOCK = """
import os, signal, sys, time
from pathlib import Path
from movinet_lite.hub.cache import locked
with locked(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        time.sleep(6)
        os._exit(0)
try:
    signal.alarm(3)
    with locked(Path(sys.argv[1])):
        print("free")
finally:
    os.kill(child, signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_forked_process_keeps_no_lock(tmp_path):
    """A process forked under a lock, such as a data loader's, does not hold it after its parent let go."""
    process = start_python(FORK_UNDER_LOCK, tmp_path / "a")
    assert process.communicate(timeout=20)[0] == "free\n"


def test_leftovers_of_other_entries_stay():
    """Making one entry never touches what belongs to another whose name begins alike."""
    models = models_folder()
    models.mkdir(parents=True)
    (models / ".a.b.01234567.tmp").mkdir()
    make_entry(models / "a")
    assert names(models) == [".a.b.01234567.tmp", "a"]


def test_cached_models_tell_where_they_came_from():
    """Each model is listed by name with its size, address, checksum and time; one put there by hand too."""
    make_entry(models_folder() / "b", address="http://x/b", sha256="12ab", num_bytes=3)
    by_hand = models_folder() / "a"
    by_hand.mkdir()
    (by_hand / "saved_model.pb").write_bytes(b"123")
    make_entry(compiled_folder() / "c")

    first, second = cached_models()

    assert (first.path, first.num_bytes) == (by_hand, 3)
    assert (first.address, first.sha256, first.fetched) == (None, None, None)
    assert second.path == models_folder() / "b"
    assert second.num_bytes == 5 + (second.path / cache.NOTE_NAME).stat().st_size
    assert (second.address, second.sha256) == ("http://x/b", "12ab")
    assert second.fetched is not None
    assert second.fetched.endswith("Z")
    note = read_note(second.path)
    assert note is not None
    assert note["num_bytes"] == 3


@pytest.mark.parametrize("text", ["", "[1]", "{", "\ud800", '{"address": 3}'])
def test_damaged_note_does_no_harm(text):
    """A note that is no JSON object, or holds something else than text, counts as unknown."""
    entry = make_entry(models_folder() / "a")
    (entry / cache.NOTE_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    (found,) = cached_models()
    assert found.address is None


def test_clearing_removes_what_the_library_put_there():
    """Models fetched, models compiled and leftovers go; folders without the library's note stay."""
    make_entry(models_folder() / "a", address="http://x/a")
    make_entry(compiled_folder() / "b")
    (models_folder() / ".a.01234567.tmp").mkdir()
    by_hand = models_folder() / "by hand"
    by_hand.mkdir()
    (cache_folder() / "photographs").mkdir()

    removed = clear_cache()

    assert [entry.path.name for entry in removed] == ["a", "b"]
    assert removed[0].address == "http://x/a"
    assert removed[0].num_bytes > 5
    assert names(models_folder()) == ["by hand"]
    assert names(compiled_folder()) == []
    assert (cache_folder() / "photographs").exists()


def test_clearing_waits_for_an_entry_being_made():
    """An entry that another thread is making is not torn from under it."""
    entry = make_entry(models_folder() / "a")
    with locked(entry), new_folder(entry) as folder:
        write_note(folder)
        thread = threading.Thread(target=clear_cache)
        thread.start()
        thread.join(timeout=0.2)
        assert folder.exists()
        assert entry.exists()
        assert thread.is_alive()
    thread.join()
    assert names(entry.parent) == []
