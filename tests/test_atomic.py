"""Nothing half written is ever seen."""

import os

import pytest

from movinet_lite.atomic import new_directory, write_atomically


def test_a_file_and_its_folder_are_made(tmp_path):
    """A file in a folder that is not there yet."""
    path = tmp_path / "a" / "b.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")

    assert path.read_bytes() == b"two"
    assert [one.name for one in path.parent.iterdir()] == ["b.bin"]


def test_a_directory_is_replaced_when_the_block_is_through(tmp_path):
    """Until then the old one stands; after it nothing of the old is left."""
    path = tmp_path / "model"
    for name in ("first", "second"):
        with new_directory(path) as directory:
            (directory / name).write_text(name)
            assert not (path / name).exists()

    assert [one.name for one in path.iterdir()] == ["second"]
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    """The old directory stays as it was, and nothing else is left."""
    path = tmp_path / "model"
    with new_directory(path) as directory:
        (directory / "kept").touch()

    def fail():
        with new_directory(path) as directory:
            (directory / "half").touch()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()

    assert [one.name for one in path.iterdir()] == ["kept"]
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_a_link_stays_a_link(tmp_path):
    """What it points to is replaced."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to("v1")
    with new_directory(tmp_path / "current") as directory:
        (directory / "new").touch()
    (tmp_path / "file.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("file.bin")
    write_atomically(tmp_path / "link.bin", b"new")

    assert [one.name for one in (tmp_path / "v1").iterdir()] == ["new"]
    assert (tmp_path / "current").is_symlink()
    assert (tmp_path / "file.bin").read_bytes() == b"new"
    assert (tmp_path / "link.bin").is_symlink()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_what_is_written_has_the_permissions_that_the_process_gives(tmp_path, mask):
    """Who keeps files private, or shares them with a group, finds these like all others."""
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "file", b"x")
        with new_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask
