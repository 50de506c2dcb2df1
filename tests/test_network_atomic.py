"""Nothing half written is ever seen."""

import pytest

from movinet_lite.network.atomic import new_directory, write_atomically


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
