"""Archives: what a model needs is unpacked, and nothing else ever is."""

import contextlib
import gzip
import io
import random
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movinet_lite.errors import ModelError
from movinet_lite.hub.archives import unpack

MODEL = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}


def write_archive(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    """Write a ``.tar.gz`` of *members*, each a header without contents or a file's name with its contents."""
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                name, contents = member
                header = tarfile.TarInfo(name)
                header.size = len(contents)
                tar.addfile(header, io.BytesIO(contents))
    return path


def header(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a tar header that is no file's."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return all files below *folder*: name to contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a neighbour that attacks aim at."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_bytes(b"safe")
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


@pytest.fixture(autouse=True)
def _nothing_outside(tmp_path):
    """Whatever a test unpacks, nothing appears or changes beside the folder."""
    yield
    if (tmp_path / "victim").exists():
        assert contents_of(tmp_path / "victim") == {"file": b"safe"}
        beside = {path.name for path in tmp_path.iterdir()}
        assert beside <= {"victim", "inside", "archive"}


@pytest.mark.parametrize("prefix", ["", "./", "movinet/"])
def test_files_and_folders_are_unpacked(prefix, tmp_path, folder):
    """Files come out byte by byte, whether or not the archive names their folders first."""
    first = header(prefix or "./", tarfile.DIRTYPE)
    files = [(prefix + name, data) for name, data in MODEL.items()]
    unpack(write_archive(tmp_path / "archive", first, *files), folder)
    assert contents_of(folder / prefix) == MODEL


def test_permissions_are_those_of_new_files(tmp_path, folder):
    """The modes in the archive, such as set-uid or unreadable, are not taken over."""
    secret = header("a", tarfile.DIRTYPE)
    secret.mode = 0o000
    program = header("a/b", tarfile.REGTYPE)
    program.mode = 0o6777
    unpack(write_archive(tmp_path / "archive", secret, program), folder)
    (folder / "reference").touch()
    assert (folder / "a/b").stat().st_mode == (folder / "reference").stat().st_mode


@pytest.mark.parametrize(
    "name",
    [
        "../victim/file",
        "a/../../victim/file",
        "..",
        "{victim}/file",
        "/{victim}/file",
        "..\\victim\\file",
        "C:\\victim",
        "C:victim",
        "file:stream",
    ],
)
def test_name_that_leads_outside_is_refused(name, tmp_path, folder):
    """A parent, an absolute path, or what Windows takes for one, is an error that shows the name."""
    name = name.format(victim=tmp_path / "victim")
    archive = write_archive(tmp_path / "archive", (name, b"attack"))
    with pytest.raises(
        ModelError, match="must unpack inside its folder; got the name"
    ) as caught:
        unpack(archive, folder)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (b"Z", "something else"),
    ],
)
def test_only_files_and_folders_are_unpacked(kind, words, tmp_path, folder):
    """Links, devices, pipes and what is unknown are refused, and the message says which."""
    archive = write_archive(
        tmp_path / "archive", header("a", kind, "../victim/file"), ("b", b"")
    )
    with pytest.raises(
        ModelError, match=f"only files and folders; got {words} named 'a'"
    ):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


def test_link_to_a_folder_is_not_written_through(tmp_path, folder):
    """The old trick of a link to a folder outside, and then a file in it, ends at the link."""
    archive = write_archive(
        tmp_path / "archive",
        header("a", tarfile.SYMTYPE, "../victim"),
        ("a/file", b"attack"),
    )
    with pytest.raises(ModelError, match="a symbolic link"):
        unpack(archive, folder)


def test_sparse_file_is_refused(tmp_path, folder):
    """A file of holes, which a few bytes can make any size, is refused."""
    member = tarfile.TarInfo("a")
    member.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "a",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.map": "0,0",
    }
    archive = write_archive(tmp_path / "archive", member)
    with pytest.raises(ModelError, match="a sparse file named 'a'"):
        unpack(archive, folder)


@pytest.mark.parametrize(
    "members",
    [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [("a", b"1"), ("a/b/c", b"2")],
        [("a/b", b"1"), ("a", b"2")],
        [("a", b"1"), header("a", tarfile.DIRTYPE)],
    ],
)
def test_name_that_comes_twice_is_refused(members, tmp_path, folder):
    """No entry overwrites another, as a file or as a folder."""
    archive = write_archive(tmp_path / "archive", *members)
    with pytest.raises(ModelError, match="must contain each name only once"):
        unpack(archive, folder)


def test_bomb_is_stopped(tmp_path, folder):
    """An archive that unpacks to more than the limit ends there, however small it is."""
    archive = write_archive(tmp_path / "archive", ("a", bytes(1 << 20)))
    assert archive.stat().st_size < 1 << 12
    with pytest.raises(ModelError, match="at most 100000 bytes; this one is larger"):
        unpack(archive, folder, max_bytes=100_000)
    assert sum(map(len, contents_of(folder).values())) <= 100_000


def test_bomb_behind_the_end_is_stopped(tmp_path, folder):
    """What follows the last entry counts too."""
    plain = gzip.decompress(
        write_archive(tmp_path / "archive", ("a", b"1")).read_bytes()
    )
    (tmp_path / "archive").write_bytes(gzip.compress(plain + bytes(1 << 20)))
    with pytest.raises(ModelError, match="at most 100000 bytes"):
        unpack(tmp_path / "archive", folder, max_bytes=100_000)


def test_too_many_files_are_refused(tmp_path, folder):
    """The number of entries is limited, so that empty files cannot fill a disk; the limit itself is allowed."""
    members = [(str(number), b"") for number in range(6)]
    archive = write_archive(tmp_path / "archive", *members)
    unpack(archive, folder, max_files=6)
    other = folder.parent / "victim" / "other"
    other.mkdir()
    with pytest.raises(ModelError, match="at most 5 files and folders; this one"):
        unpack(archive, other, max_files=5)
    shutil.rmtree(other)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive_is_refused(keep, tmp_path, folder):
    """An archive cut anywhere, even within its checksum, is an error."""
    noise = bytes(number * number % 251 for number in range(50_000))
    archive = write_archive(tmp_path / "archive", ("a", noise), ("b", noise[::-1]))
    data = archive.read_bytes()
    archive.write_bytes(data[: min(int(len(data) * keep), len(data) - 1)])
    with pytest.raises(ModelError, match="the archive is damaged or truncated"):
        unpack(archive, folder)


def test_damaged_archive_is_refused(tmp_path, folder):
    """One wrong byte anywhere behind the gzip header is an error, by its checksum if not before."""
    noise = bytes(random.Random(0).choices(range(64), k=100_000))  # noqa: S311
    archive = write_archive(tmp_path / "archive", ("a", noise))
    good = archive.read_bytes()
    for place in range(40, len(good), len(good) // 100):
        damaged = bytearray(good)
        damaged[place] ^= 0x55
        archive.write_bytes(damaged)
        with pytest.raises(ModelError, match="the archive is damaged or truncated"):
            unpack(archive, folder)
        (folder / "a").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b", b"no archive", gzip.compress(b"no tar", mtime=0)]
)
def test_what_is_no_archive_is_refused(data, tmp_path, folder):
    """Anything but a gzipped tar file is an error, not an empty folder."""
    (tmp_path / "archive").write_bytes(data)
    with pytest.raises(ModelError, match="the archive is damaged or truncated"):
        unpack(tmp_path / "archive", folder)


@given(
    flips=st.lists(
        st.tuples(st.integers(0, 4095), st.integers(1, 255)), min_size=1, max_size=20
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_archive_never_fails_otherwise(flips, tmp_path_factory):
    """Whatever bytes of the tar file are wrong, either it unpacks inside its folder or a `ModelError` comes."""
    top = tmp_path_factory.mktemp("damaged")
    (top / "inside").mkdir()
    plain = bytearray(
        gzip.decompress(
            write_archive(
                top / "archive",
                header("d", tarfile.DIRTYPE),
                ("d/a", b"1" * 600),
                ("b" * 150, b"2"),
            ).read_bytes()
        )
    )
    for place, change in flips:
        plain[place % len(plain)] ^= change
    (top / "archive").write_bytes(gzip.compress(bytes(plain), compresslevel=1))
    with contextlib.suppress(ModelError):
        unpack(top / "archive", top / "inside")
    assert {path.name for path in top.iterdir()} == {"archive", "inside"}


def long_header(num_bytes: int, kind: bytes) -> bytes:
    """Return an archive that begins with a header of *num_bytes* bytes about the next file."""
    first = header("x", kind)
    first.size = num_bytes
    return gzip.compress(first.tobuf(tarfile.USTAR_FORMAT) + b"a" * num_bytes)


def facts_of_a_file(**facts: str) -> bytes:
    """Return an archive with one file that has *facts* of the format pax."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("saved_model.pb")
        member.pax_headers = facts
        tar.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME]
)
def test_header_that_would_fill_the_memory_is_refused(kind, tmp_path, folder):
    """A header is read at once, so a huge one is refused before."""
    (tmp_path / "archive").write_bytes(long_header(100_000, kind))
    with pytest.raises(ModelError, match="at most 65536 bytes; got 100000"):
        unpack(tmp_path / "archive", folder)


def test_folders_that_names_imply_are_counted(tmp_path, folder):
    """A few names with many folders in them cannot fill the disk with folders."""
    names = [("/".join([str(i), *"abcdefgh"]) + "/f", b"") for i in range(10)]
    archive = write_archive(tmp_path / "archive", *names)
    with pytest.raises(ModelError, match="at most 50 files and folders"):
        unpack(archive, folder, max_files=50)
    assert len(list(folder.rglob("*"))) <= 50
    shutil.rmtree(folder)
    folder.mkdir()
    unpack(archive, folder, max_files=100)  # ten times nine folders and a file


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 300, "short enough for a file; got 'nnn"),
        ("/".join(["n" * 100] * 60), "at most 1000 characters; got 6059"),
        ("/".join("d" * 900), "at most 1000 characters"),
    ],
)
def test_name_that_is_too_long_is_the_fault_of_the_archive(
    name, words, tmp_path, folder
):
    """A name that no file can have is told as such, and not as a fault of the disk."""
    archive = write_archive(tmp_path / "archive", (name, b"x"))
    with pytest.raises(ModelError, match=words):
        unpack(archive, folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"GNU.sparse.map": "a,b", "GNU.sparse.size": "5"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"},
        {"size": "-5"},
        {"size": "99999999999999999999"},
    ],
)
def test_facts_that_make_no_sense_are_damage(facts, tmp_path, folder):
    """Headers that contradict themselves give one clear error."""
    (tmp_path / "archive").write_bytes(facts_of_a_file(**facts))
    with pytest.raises(
        ModelError, match=r"damaged or truncated|only files and folders"
    ):
        unpack(tmp_path / "archive", folder)


def test_headers_about_headers_end(tmp_path, folder):
    """A long row of headers that are each about the next gives one clear error."""
    first = header("x", tarfile.XHDTYPE)
    record = b"13 path=aaaa\n"
    first.size = len(record)
    one = first.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    (tmp_path / "archive").write_bytes(gzip.compress(one * 3000 + b"\0" * 1024))
    with pytest.raises(ModelError, match="damaged or truncated"):
        unpack(tmp_path / "archive", folder)
