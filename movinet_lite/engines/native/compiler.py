"""Turns LLVM's intermediate representation into machine code, and loads that into the process.

Machine code can be kept in a file. A checksum in front of it tells whether it is whole, and made for this CPU by this LLVM:
other code would end the process.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Final

import attrs

from movinet_lite.engines.native.target import Target
from movinet_lite.errors import ConversionError, ModelError, said_by

__all__ = ["MachineCode", "compile_module", "fingerprint"]

_LEVEL: Final = 2
"""How much work LLVM puts into choosing instructions, of 0 to 3: its default. 0 gives code that takes three times as long."""

_CHECKSUM: Final = hashlib.sha256
_CHECKSUM_BYTES: Final = 32


def fingerprint(target: Target) -> str:
    """Return a checksum of all that decides which machine code a source becomes: the versions of LLVM, and *target*.

    Code with another fingerprint cannot be loaded.
    """
    import llvmlite
    import llvmlite.binding as llvm

    facts = (llvmlite.__version__, llvm.llvm_version_info, *attrs.astuple(target))
    return _CHECKSUM(repr(facts).encode()).hexdigest()


def compile_module(ir_text: str, target: Target, *, optimise: bool = True) -> bytes:
    """Compile a module for *target*.

    The module must be written as it shall run: LLVM chooses instructions and registers, but none of its passes rewrites
    the module. On ours, whose loops and vectors are those of the CPU, they took longer than all else, for code that was no
    faster (docs/performance.md).

    Args:
        ir_text: The module in LLVM's assembly language. What it calls must be in it, or in the C library.
        target: What to make code for.
        optimise: Make fast code, which takes several times as long.

    Returns:
        What `MachineCode` loads: a checksum, then an object file.

    Raises:
        ConversionError: If LLVM refuses the module.
    """
    import llvmlite.binding as llvm

    machine = _machine(target, opt=_LEVEL if optimise else 0)
    try:
        module = llvm.parse_assembly(ir_text)
        module.verify()
    except RuntimeError as error:
        raise ConversionError(
            f"LLVM must accept the program made for a model; it says: {said_by(error)}"
        ) from error
    code = machine.emit_object(module)
    return _checksum(code, target) + code


class MachineCode:
    """Machine code in this process. It stays as long as this object does, so hold it while anything runs its functions.

    Processes forked from this one may use it too.
    """

    def __init__(self, object_code: bytes, target: Target) -> None:
        """Load what `compile_module` returned.

        Args:
            object_code: The code.
            target: What it was made for.

        Raises:
            ModelError: If the code is damaged, or was made for another CPU or by another version of LLVM.
        """
        import llvmlite.binding as llvm

        code = object_code[_CHECKSUM_BYTES:]
        if object_code[:_CHECKSUM_BYTES] != _checksum(code, target):
            raise ModelError(
                "machine code must be whole, and made for this CPU by the installed version of llvmlite; this is not"
            )
        machine = _machine(target, opt=0)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._addresses: dict[str, int] = {}

    def address(self, name: str) -> int:
        """Return the address of a function.

        Raises:
            ModelError: If the code has no function of this name.
        """
        # One known needs no LLVM, whose lock a process forked meanwhile would wait for, for ever.
        if name not in self._addresses:
            self._addresses[name] = int(self._engine.get_function_address(name))
        found = self._addresses[name]
        if not found:
            raise ModelError(
                f"machine code must have a function {name!r}; this has none"
            )
        return found


def _checksum(code: bytes, target: Target) -> bytes:
    return _CHECKSUM(fingerprint(target).encode() + code).digest()


def _machine(target: Target, *, opt: int) -> Any:
    """Return LLVM's description of the machine.

    Code made for a just-in-time compiler calls other code at any distance; it was as fast as code for short distances.
    """
    import llvmlite.binding as llvm

    _initialise()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=opt, jit=True
    )


@functools.cache
def _initialise() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
