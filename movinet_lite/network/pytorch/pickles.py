"""A restricted reader of PyTorch pickles, which builds only tensors and plain data.

A pickle is a program, and Python's own reader runs it, including a malicious one. This reader only supports the opcodes and
the names that a state dict needs. It imports nothing and calls nothing; everything else is refused with an error that names it.

References:
    [1] ``pickletools`` of Python: the opcodes.
    [2] PyTorch, ``torch/serialization.py`` and ``torch/_utils.py``: how tensors are written.
    [3] cmusatyalab/grw-smoothing, ``model/action_recognition_model.py``, ``save``: `Record`.
"""

from __future__ import annotations

import io
import itertools
import math
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "MAX_PICKLE_BYTES",
    "STORAGE_DTYPES",
    "PickleRefusedError",
    "Record",
    "Storage",
    "StoredTensor",
    "read_pickle",
]

MAX_PICKLE_BYTES: Final = 1 << 23
"""The maximum size of a pickle: 8 MiB. The tensors are stored outside it; the pickle of A5 has a third of 1 MiB."""

_MAX_INSTRUCTIONS: Final = (
    1_000_000  # A5 takes 60,000, a checkpoint with its optimizer four times as many
)
_MAX_AXES: Final = 8

STORAGE_DTYPES: Final[Mapping[str, str]] = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",  # numpy has none; see `files`
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
"""The dtype of each storage class of PyTorch [2]."""

_DICTIONARY: Final = "collections.OrderedDict"
_TENSOR: Final = "torch._utils._rebuild_tensor_v2"
_PARAMETER: Final = "torch._utils._rebuild_parameter"
_PACKAGES: Final = r"(?:grw_smoothing_models|video_retrieval)(?:\.\w+)*"
_RECORD: Final = re.compile(_PACKAGES + r"\.attention\.TransformerParams")  # [3]
# The file contains the name of the backbone's class; it is kept as text.
_BACKBONE: Final = re.compile(_PACKAGES + r"\.backbones(?:\.\w+)+\.MovinetBackbone")


class PickleRefusedError(ValueError):
    """A pickle is damaged, or contains more than tensors and plain data."""


@attrs.frozen
class _Name:
    """A Python name in the pickle; it is never resolved."""

    name: str


@attrs.frozen
class Storage:
    """Values outside the pickle, of which tensors are views.

    Attributes:
        dtype: What they are; see `STORAGE_DTYPES`.
        key: What they are called.
        count: How many there are.
    """

    dtype: str
    key: str
    count: int


@attrs.frozen
class StoredTensor:
    """A tensor: a view within the bounds of a storage.

    Attributes:
        storage: Where its numbers are.
        offset: Which of them is its first.
        shape: Its shape.
        strides: How many numbers further the next place on each axis is.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """The number of values of the storage from its first to its last, inclusive; 0 if it is empty."""
        if 0 in self.shape:
            return 0
        return 1 + sum(
            (size - 1) * stride
            for size, stride in zip(self.shape, self.strides, strict=True)
        )


@attrs.frozen(eq=False)
class Record:
    """The settings of the transformer of GRW-smoothing [3], the only object that is not a tensor.

    Attributes:
        fields: Its attributes by name.
    """

    fields: dict[str, Any] = attrs.field(factory=dict)


def read_pickle(stream: io.BytesIO) -> Any:
    """Return the contents of the next pickle in *stream*: dicts, lists, tuples, text, numbers, `StoredTensor`, `Record`.

    *stream* stands behind it afterwards.

    Raises:
        PickleRefusedError: If it is damaged or truncated, or contains anything else.
    """
    return _Machine().run(stream)


class _Machine:
    """Interprets the opcodes of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """Return the last item on the stack."""
        instructions = pickletools.genops(stream)
        try:
            for opcode, argument, _ in itertools.islice(
                instructions, _MAX_INSTRUCTIONS
            ):
                if opcode.name == "STOP":
                    break
                self._follow(opcode.name, argument)
            result = self.stack.pop()
            cut_off = next(instructions, None)
        except PickleRefusedError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise PickleRefusedError(
                f"its pickle is damaged or truncated ({error})"
            ) from error
        if cut_off is not None:
            raise PickleRefusedError(
                f"its pickle has more than {_MAX_INSTRUCTIONS} opcodes"
            )
        if self.stack or self.marks:
            raise PickleRefusedError(
                "its pickle is damaged (the stack is not empty at its end)"
            )
        return result

    def _follow(self, opcode: str, argument: Any) -> None:
        if opcode in _CONSTANTS:
            self.stack.append(argument)
        elif opcode in _INSTRUCTIONS:
            _INSTRUCTIONS[opcode](self, argument)
        else:
            raise PickleRefusedError(
                f"its pickle has the opcode {opcode}, which no state dict needs"
            )

    def items_since_mark(self) -> list[Any]:
        """Pop and return the items since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def push_tuple(self, count: int) -> None:
        """Replace the last *count* items by a tuple of them."""
        if len(self.stack) < count:
            raise IndexError("too little on the stack")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        self.stack.append(tuple(items))

    def put_pairs(self, items: list[Any]) -> None:
        """Add alternating keys and values to the dict on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError("keys and values for what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing others, such as nested tuples, may never end.
            if key is not None and not isinstance(key, (str, int, float)):
                raise PickleRefusedError(
                    f"a key in it is neither text nor a number but {_kind(key)}"
                )
            target[key] = value

    def append(self, items: list[Any]) -> None:
        """Append *items* to the list on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("items for what is no list")
        target.extend(items)

    def build(self) -> None:
        """Set the attributes of the object on top of the stack."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record) and isinstance(state, dict):
            target.fields.update(state)
        elif not isinstance(
            target, dict
        ):  # the attributes of a dict are metadata of PyTorch
            raise PickleRefusedError(f"it sets attributes of {_kind(target)}")

    def reduce(self) -> None:
        """Replace a call by the object that it would return."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise PickleRefusedError(f"it calls {_kind(function)}")
        if function.name == _DICTIONARY and not arguments:
            self.stack.append({})
        elif function.name == _TENSOR:
            self.stack.append(_tensor(*arguments[:4]))
        elif function.name == _PARAMETER and isinstance(arguments[0], StoredTensor):
            self.stack.append(arguments[0])
        else:
            raise PickleRefusedError(f"it calls {function.name} with unknown arguments")

    def new_object(self) -> None:
        """Put an empty `Record` in place of its class."""
        arguments, cls = self.stack.pop(), self.stack.pop()
        if not isinstance(cls, _Name) or not _RECORD.fullmatch(cls.name) or arguments:
            raise PickleRefusedError(f"it makes an object of {_kind(cls)}")
        self.stack.append(Record())


def _name(module: object, name: object) -> Any:
    """Return the object for a name, if PyTorch uses it for tensors."""
    full = f"{module}.{name}"
    storage = full.removeprefix("torch.")
    if (
        full in {_DICTIONARY, _TENSOR, _PARAMETER}
        or (storage != full and storage in STORAGE_DTYPES)
        or _RECORD.fullmatch(full)
    ):
        return _Name(full)
    if _BACKBONE.fullmatch(full):
        return full
    raise PickleRefusedError(f"it asks for {full!r}")


def _storage(reference: Any) -> Storage:
    """Return the storage with a persistent identifier of PyTorch [2]."""
    kind, name, key, _, count, *more = reference  # errors are caught by the caller
    if kind != "storage" or not isinstance(name, _Name) or (more and more != [None]):
        raise PickleRefusedError(f"it refers to {kind!r}, which is not a storage")
    dtype = STORAGE_DTYPES[name.name.removeprefix("torch.")]
    if not isinstance(key, str):
        raise TypeError("a storage without a name")
    return Storage(dtype, key, _whole(count))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    sizes = tuple(_whole(size) for size in shape)
    steps = tuple(_whole(step) for step in strides)
    if len(sizes) != len(steps) or len(sizes) > _MAX_AXES:
        raise ValueError(f"a tensor of shape {sizes[:9]} with strides {steps[:9]}")
    tensor = StoredTensor(storage, _whole(offset), sizes, steps)
    if tensor.offset + tensor.span > storage.count or math.prod(sizes) > storage.count:
        raise PickleRefusedError(
            f"a tensor of shape {sizes} with strides {steps} from place {tensor.offset} on reaches beyond its storage of "
            f"{storage.count} numbers"
        )
    return tensor


def _whole(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise TypeError(f"{_kind(number)} in place of a size")
    return number


def _kind(found: object) -> str:
    return found.name if isinstance(found, _Name) else f"a {type(found).__name__}"


_Instruction: TypeAlias = Callable[[_Machine, Any], object]

_CONSTANTS: Final = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING"),
    }
)


def _mark(machine: _Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _remember(machine: _Machine, place: Any) -> None:
    machine.memo[len(machine.memo) if place is None else place] = machine.stack[-1]


def _recall(machine: _Machine, place: Any) -> None:
    machine.stack.append(machine.memo[place])


def _push(make: Callable[[], Any]) -> _Instruction:
    return lambda machine, _: machine.stack.append(make())


def _refer_by_text(machine: _Machine, argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    machine.stack.append(_name(module, name))


def _refer_by_stack(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_name(module, name))


def _close_tuple(machine: _Machine, _: Any) -> None:
    items = machine.items_since_mark()
    machine.stack.append(tuple(items))


_INSTRUCTIONS: Final[Mapping[str, _Instruction]] = {
    "PROTO": lambda _machine, _argument: None,
    "FRAME": lambda _machine, _argument: None,
    "MARK": _mark,
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_DICT": _push(dict),
    "EMPTY_LIST": _push(list),
    "EMPTY_TUPLE": _push(tuple),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "TUPLE": _close_tuple,
    "SETITEM": lambda machine, _: machine.put_pairs(
        [machine.stack.pop(-2), machine.stack.pop()]
    ),
    "SETITEMS": lambda machine, _: machine.put_pairs(machine.items_since_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.items_since_mark()),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "BINGET": _recall,
    "LONG_BINGET": _recall,
    "GLOBAL": _refer_by_text,
    "STACK_GLOBAL": _refer_by_stack,
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.new_object(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.stack.append(_storage(machine.stack.pop())),
}
