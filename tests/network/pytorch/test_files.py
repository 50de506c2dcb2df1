"""Tests that files of PyTorch are read, and that hostile ones execute nothing and take no memory."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from movinet_lite.errors import ModelError
from movinet_lite.network.pytorch.files import is_pytorch_file, open_file
from movinet_lite.network.pytorch.pickles import PickleRefusedError, read_pickle
from tests.pytorch_files import (
    Pickle,
    Raw,
    name,
    save,
    save_legacy,
    storage,
    tensor,
    text,
    write_zip,
)

RNG = np.random.default_rng(3)
TENSORS = {
    "a.weight": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "b.bias": RNG.normal(size=5).astype(np.float64),
    "c.half": RNG.normal(size=(3, 1)).astype(np.float16),
    "d.count": np.asarray(12, np.int64),
}


def _read_all(path):
    with open_file(path) as contents:
        return {key: tensor.read() for key, tensor in contents.items()}


def _assert_same(found):
    assert found.keys() == TENSORS.keys()
    for key, value in TENSORS.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("write", [save, save_legacy])
def test_the_tensors_of_both_formats_are_read(tmp_path, write):
    """A state dict comes back with its names, shapes, dtypes and numbers."""
    path = write(TENSORS, tmp_path / "x.pt")

    assert is_pytorch_file(path)
    _assert_same(_read_all(path))


def test_a_tensor_may_be_a_view_of_a_part_of_a_storage(tmp_path):
    """Offsets and strides count: a transposed view from the middle of a storage is read as PyTorch sees it."""
    numbers = np.arange(10, dtype=np.float32)
    view = Raw(tensor(storage("FloatStorage", "0", 10), 3, (2, 3), (1, 2)))
    content = Pickle().whole({"x": view})
    path = write_zip(tmp_path / "x.pt", content, {"0": numbers})

    found = _read_all(path)["x"]

    np.testing.assert_array_equal(found, numbers[3:9].reshape(3, 2).T)


def test_bfloat16_becomes_float32(tmp_path):
    """Numbers of a dtype that numpy has not are widened, without a change of their values."""
    wide = np.asarray([1.0, -2.5, 0.15625], np.float32)
    content = Pickle().whole(
        {"x": Raw(tensor(storage("BFloat16Storage", "0", 3), 0, (3,), (1,)))}
    )
    upper = (wide.view(np.uint32) >> 16).astype(np.uint16)
    path = write_zip(tmp_path / "x.pt", content, {"0": upper})

    np.testing.assert_array_equal(_read_all(path)["x"], wide)


def test_parameters_and_later_protocols_are_read(tmp_path):
    """A parameter is its tensor, and the instructions of protocol 4 are known as well."""
    inner = tensor(storage("FloatStorage", "0", 2), 0, (2,), (1,))
    parameter = name("torch._utils", "_rebuild_parameter") + b"(" + inner + b"\x88"
    parameter += name("collections", "OrderedDict") + b")RtR"
    short = b"\x8c" + bytes([len(b"x")]) + b"x"
    content = b"\x80\x04}\x94" + short + b"\x94" + parameter + b"s."
    numbers = np.asarray([1.5, 2.5], np.float32)
    path = write_zip(tmp_path / "x.pt", content, {"0": numbers})

    np.testing.assert_array_equal(_read_all(path)["x"], numbers)


def test_safetensors_are_read(tmp_path):
    """A state dict in a .safetensors file gives the same tensors."""
    save_file(TENSORS, tmp_path / "x.safetensors")

    _assert_same(_read_all(tmp_path / "x.safetensors"))


class _Bomb:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


class _Built:
    def __reduce__(self):
        return dict, (), {"x": 1}


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_program_runs_none(tmp_path, protocol):
    """The file that a command in a pickle would make is not made, in any protocol; the message says what was asked for."""
    made = tmp_path / "made"
    content = pickle.dumps({"x": _Bomb(os.system, f"touch {made}")}, protocol=protocol)
    path = write_zip(tmp_path / "x.pt", content)

    with pytest.raises(ModelError, match="nothing in it was executed"):
        _read_all(path)

    assert not made.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
            "asks for 'builtins.eval'",
        ),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks for 'os.system'"),
        (b"\x80\x02ctorch\nload\n.", "asks for 'torch.load'"),
        (b"\x80\x02ctorch\n__builtins__\n.", "asks for 'torch.__builtins__'"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor\n.", "_rebuild_tensor'"),
        (b"(X\x04\x00\x00\x00echoios\nsystem\n.", "the opcode INST"),
        (b"\x80\x02(cos\nsystem\no.", "asks for 'os.system'"),
        (b"\x80\x02(ccollections\nOrderedDict\no.", "the opcode OBJ"),
        (b"\x80\x02\x82\x01.", "the opcode EXT1"),
        (b"\x80\x02\x83\x01\x00.", "the opcode EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "the opcode EXT4"),
        (b"\x80\x02P12\n.", "the opcode PERSID"),
        (b"\x80\x05\x97.", "the opcode NEXT_BUFFER"),
        (
            b"\x80\x02ccollections\nOrderedDict\n)\x81.",
            "makes an object of collections",
        ),
        (b"\x80\x02ccollections\nOrderedDict\n]R.", "calls collections.OrderedDict"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "with unknown arguments"),
        (b"\x80\x02K\x01)R.", "it calls a int"),
        (b"\x80\x02]}X\x01\x00\x00\x00aK\x01sb.", "sets attributes of a list"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "sets attributes of collections"),
        (b"\x80\x02})K\x01s.", "a key in it is neither text nor a number"),
        (b"\x80\x02K\x01K\x02.", "the stack is not empty"),
        (b"\x80\x02(K\x01.", "the stack is not empty"),
        (b"\x80\x02.", "damaged or truncated"),
        (b"\x80\x02h\x07.", "damaged or truncated"),
        (b"\x80\x02t.", "damaged or truncated"),
        (b"\x80\x02\x85.", "damaged or truncated"),
        (b"\x80\x02K\x01Q.", "damaged or truncated"),
        (b"\x80\x02}K\x01", "damaged or truncated"),
        (b"\xff", "damaged or truncated"),
        (b"", "damaged or truncated"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "damaged or truncated"),
        (b"\x80\x02L" + b"9" * 5000 + b"L\n.", "damaged or truncated"),
    ],
)
def test_whatever_else_a_pickle_asks_for_is_refused_by_its_name(content, said):
    """Every way to reach a name, to call it, to build or to load by number is refused; so is what is damaged."""
    with pytest.raises(PickleRefusedError, match="(?s)" + said.replace("(", "\\(")):
        read_pickle(io.BytesIO(content))


def test_a_pickle_that_wants_much_memory_gets_none():
    """A place far out in the memo, and nesting without end, take no more memory than the pickle."""
    far = b"\x80\x02Nr\xff\xff\xff\x7f."
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."

    tracemalloc.start()
    assert read_pickle(io.BytesIO(far)) is None
    assert isinstance(read_pickle(io.BytesIO(deep)), list)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100e6


def test_a_pickle_of_too_many_instructions_is_refused():
    """What goes on for longer than any state dict is not followed to its end."""
    with pytest.raises(PickleRefusedError, match="more than 1000000 opcodes"):
        read_pickle(io.BytesIO(b"\x80\x02" + b"N" * 1_000_001 + b"."))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (11,), (1,)),
        (1, (10,), (1,)),
        (0, (2, 2), (9, 1)),
        (0, (1 << 40, 1 << 20), (0, 0)),
        (1 << 62, (1,), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    tmp_path, offset, shape, strides
):
    """Shapes, strides and offsets are compared with the storage, and nothing is read."""
    view = Raw(tensor(storage("FloatStorage", "0", 10), offset, shape, strides))
    content = Pickle().whole({"x": view})
    path = write_zip(tmp_path / "x.pt", content, {"0": np.zeros(10, np.float32)})

    with pytest.raises(ModelError, match="reaches beyond its storage of 10 numbers"):
        _read_all(path)


@pytest.mark.parametrize("numbers", [(-1,), (2, -1)])
def test_negative_sizes_are_refused(tmp_path, numbers):
    """A negative size or stride is no size."""
    view = Raw(tensor(storage("FloatStorage", "0", 10), 0, numbers, numbers))
    path = write_zip(tmp_path / "x.pt", Pickle().whole({"x": view}))

    with pytest.raises(ModelError, match="in place of a size"):
        _read_all(path)


def test_a_storage_that_claims_more_than_is_there_takes_no_memory(tmp_path):
    """The size in the pickle is compared with the archive before anything is allocated."""
    count = 1 << 40
    view = Raw(tensor(storage("FloatStorage", "0", count), 0, (count,), (1,)))
    content = Pickle().whole({"x": view})
    path = write_zip(tmp_path / "x.pt", content, {"0": np.zeros(10, np.float32)})

    tracemalloc.start()
    with pytest.raises(ModelError, match="must have 4398046511104 bytes; it has 40"):
        _read_all(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10e6


def test_one_storage_with_two_sizes_is_refused(tmp_path):
    """Two tensors that say different things of one storage contradict each other."""
    views = {
        key: Raw(tensor(storage(kind, "0", count), 0, (1,), (1,)))
        for key, kind, count in (("x", "FloatStorage", 4), ("y", "DoubleStorage", 2))
    }
    path = write_zip(
        tmp_path / "x.pt", Pickle().whole(views), {"0": np.zeros(4, np.float32)}
    )

    with pytest.raises(ModelError, match="two of its storages have the same name"):
        _read_all(path)


def test_a_compressed_archive_is_refused(tmp_path):
    """PyTorch compresses nothing, so that a few bytes that unpack to gigabytes are not unpacked."""
    path = save(
        {"x": np.zeros(1 << 20, np.float32)},
        tmp_path / "x.pt",
        compression=zipfile.ZIP_DEFLATED,
    )

    with pytest.raises(ModelError, match="is compressed, unlike in files of PyTorch"):
        _read_all(path)


def test_a_pickle_that_is_too_long_is_refused(tmp_path):
    """A pickle larger than that of any state dict is not read."""
    path = write_zip(tmp_path / "x.pt", b"\x80\x02" + b"N0" * (5 << 20) + b"N.")

    with pytest.raises(ModelError, match="the limit for a state dict is 8388608"):
        _read_all(path)


@pytest.mark.parametrize("write", [save, save_legacy])
def test_a_file_cut_short_anywhere_is_one_clear_error(tmp_path, write):
    """Wherever a file ends too early, that is what the error says."""
    whole = write(TENSORS, tmp_path / "x.pt").read_bytes()
    path = tmp_path / "cut.pt"
    for length in range(20, len(whole) - 1, 29):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="truncated"):
            _read_all(path)


def test_a_changed_number_is_noticed(tmp_path):
    """The checksums of the archive are compared."""
    path = save(TENSORS, tmp_path / "x.pt")
    content = bytearray(path.read_bytes())
    at = content.find(TENSORS["a.weight"].tobytes())
    content[at] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelError, match="Bad CRC"):
        _read_all(path)


def test_a_program_of_torchscript_is_refused(tmp_path):
    """What torch.jit.save writes looks alike and holds a program; the message says what it is."""
    path = save(TENSORS, tmp_path / "x.pt", more={"constants.pkl": b"\x80\x02)."})

    with pytest.raises(ModelError, match=r"TorchScript program"):
        _read_all(path)


def test_numbers_in_another_byte_order_are_refused(tmp_path):
    """A file of a big-endian machine is not read as if it were of ours."""
    path = save(TENSORS, tmp_path / "x.pt", more={"byteorder": b"big"})

    with pytest.raises(ModelError, match=r"byte order is b.big."):
        _read_all(path)


def test_a_missing_storage_is_named(tmp_path):
    """A tensor whose numbers are not in the archive is an error."""
    pickled = Pickle()
    content = pickled.whole({"x": np.zeros(3, np.float32)})
    path = write_zip(tmp_path / "x.pt", content)

    with pytest.raises(ModelError, match="no storage '0'"):
        _read_all(path)


def test_a_legacy_file_may_not_claim_more_than_is_there(tmp_path):
    """The count in front of the numbers is compared with the pickle and with the file."""
    path = save_legacy({"x": np.zeros(3, np.float32)}, tmp_path / "x.pt")
    content = path.read_bytes()
    path.write_bytes(content[: -3 * 4 - 8] + struct.pack("<q", 1 << 40) + b"\0" * 12)

    with pytest.raises(ModelError, match="has 1099511627776 values"):
        _read_all(path)


def test_a_storage_must_be_a_storage(tmp_path):
    """A reference to something else beside the pickle is refused."""
    reference = b"(" + text("module") + name("torch", "FloatStorage") + text("0")
    content = b"\x80\x02" + reference + text("cpu") + b"K\x01tQ."
    path = write_zip(tmp_path / "x.pt", content)

    with pytest.raises(ModelError, match="refers to 'module'"):
        _read_all(path)
