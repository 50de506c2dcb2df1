"""Tells what to make machine code for: the CPU of this machine and its vector registers.

References:
    [1] Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 14.1.1 and 15.1.1: 16 registers of 256 bits
        with AVX, 32 of 512 bits with AVX-512.
    [2] Arm Architecture Reference Manual for A-profile, B1.2.1: 32 registers of 128 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["Target", "host_target", "why_not"]

_OLDEST: Final = (0, 45)
"""The first llvmlite that the native engine was tested with."""


@attrs.frozen
class Target:
    """What machine code is made for.

    Attributes:
        triple: Architecture, vendor and operating system, in LLVM's form.
        cpu: The CPU as LLVM calls it; it decides the order of instructions.
        features: The instruction sets, in LLVM's form: ``"+avx2,-avx512f"``.
        lanes: How many float32 numbers a vector register holds.
        registers: How many vector registers there are.
    """

    triple: str
    cpu: str
    features: str
    lanes: int
    registers: int


def host_target() -> Target | None:
    """Return what to make code for on this machine; `None` where the native engine cannot run (see `why_not`)."""
    found = _examine()
    return found if isinstance(found, Target) else None


def why_not() -> str:
    """Return why the native engine cannot run on this machine, in a sentence; empty where it can."""
    found = _examine()
    return found if isinstance(found, str) else ""


@functools.cache
def _examine() -> Target | str:
    """Return the target of this machine, or why there is none."""
    try:
        import llvmlite
        import llvmlite.binding as llvm
    except (ImportError, OSError) as error:  # OSError: its library cannot be loaded
        return f"the native engine needs the package llvmlite, which cannot be imported ({error})"
    version = str(llvmlite.__version__)
    if _numbers(version) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return f"the native engine needs llvmlite {oldest} or later; got {version}"
    try:
        llvm.check_jit_execution()
    except OSError as error:
        return f"the native engine needs memory for machine code, which this system refuses ({error})"
    return choose_target(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features(),
    )


def choose_target(triple: str, cpu: str, features: Mapping[str, bool]) -> Target | str:
    """Return the target for a CPU, or why the native engine has no code for it.

    Args:
        triple: Architecture, vendor and operating system, in LLVM's form.
        cpu: The CPU as LLVM calls it.
        features: Whether the CPU has an instruction set, by LLVM's names.
    """
    flags = [f"{'+' if has else '-'}{name}" for name, has in sorted(features.items())]
    architecture = triple.partition("-")[0]
    if architecture in ("aarch64", "arm64"):
        return Target(triple, cpu, ",".join(flags), lanes=4, registers=32)  # [2]
    if architecture != "x86_64":
        return f"the native engine needs a CPU of x86-64 or AArch64; this process runs on {architecture}"
    if features.get("avx512f"):
        return Target(triple, cpu, ",".join(flags), lanes=16, registers=32)  # [1]
    if features.get("avx2") and features.get("fma"):
        return Target(triple, cpu, ",".join(flags), lanes=8, registers=16)  # [1]
    return f"the native engine needs a CPU with AVX2 and FMA, or AVX-512; this one ({cpu}) has neither"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version; ``(0, 0)`` if it has none."""
    first, second, *_ = [*version.split("."), "", ""]
    return int(first) if first.isdigit() else 0, int(second) if second.isdigit() else 0
