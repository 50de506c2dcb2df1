"""What machine code is made for."""

from __future__ import annotations

import builtins
import sys

import pytest

from movinet_lite.engines.native import target as module
from movinet_lite.engines.native.target import (
    Target,
    choose_target,
    host_target,
    why_not,
)

X86 = "x86_64-unknown-linux-gnu"


pytestmark = pytest.mark.usefixtures("anew")


@pytest.fixture
def anew():
    """Forget what was found out about this machine, before and after a test."""
    module._examine.cache_clear()
    yield
    module._examine.cache_clear()


@pytest.mark.parametrize(
    ("triple", "features", "lanes", "registers"),
    [
        (X86, {"avx2": True, "fma": True, "avx512f": True}, 16, 32),
        (X86, {"avx2": True, "fma": True, "avx512f": False}, 8, 16),
        ("aarch64-unknown-linux-gnu", {"neon": True}, 4, 32),
        ("arm64-apple-darwin23.0.0", {}, 4, 32),
    ],
)
def test_vectors_are_the_widest_of_the_cpu(triple, features, lanes, registers):
    """A target has the widest vector registers that its CPU has."""
    target = choose_target(triple, "some-cpu", features)
    assert isinstance(target, Target)
    assert (target.lanes, target.registers) == (lanes, registers)
    assert (target.triple, target.cpu) == (triple, "some-cpu")


def test_features_are_in_the_form_of_llvm():
    """Instruction sets are in order, so that equal CPUs give equal targets."""
    target = choose_target(X86, "haswell", {"fma": True, "avx2": True, "sse4a": False})
    assert isinstance(target, Target)
    assert target.features == "+avx2,+fma,-sse4a"


@pytest.mark.parametrize(
    ("triple", "features", "told"),
    [
        (X86, {"avx2": True, "fma": False}, "AVX2 and FMA, or AVX-512; this one (old)"),
        (X86, {}, "AVX2 and FMA, or AVX-512; this one (old)"),
        ("riscv64-unknown-linux-gnu", {}, "x86-64 or AArch64; this process runs on ri"),
        ("i686-pc-windows-msvc", {"avx2": True, "fma": True}, "runs on i686"),
    ],
)
def test_other_cpus_have_no_target(triple, features, told):
    """A CPU that the engine has no code for is told in a sentence."""
    assert told in choose_target(triple, "old", features)


def test_this_machine_has_a_target_or_a_reason():
    """A machine has a target, or a reason why not, and never both."""
    assert (host_target() is None) == bool(why_not())


def test_missing_llvmlite_is_a_reason(monkeypatch):
    """Without llvmlite there is no target, and no error."""
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert host_target() is None
    assert "needs the package llvmlite, which cannot be imported" in why_not()


def test_unreadable_library_is_a_reason(monkeypatch):
    """A library of LLVM that the system cannot load is no error either."""
    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith("llvmlite"):
            raise OSError("Could not find/load shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    assert host_target() is None
    assert "Could not find/load shared object file" in why_not()


@pytest.mark.parametrize("version", ["0.44.0", "0.9", "unknown"])
def test_old_llvmlite_is_a_reason(monkeypatch, version):
    """An llvmlite that the engine was not tested with is not used."""
    llvmlite = pytest.importorskip("llvmlite")
    monkeypatch.setattr(llvmlite, "__version__", version)
    assert host_target() is None
    assert why_not().endswith(f"needs llvmlite 0.45 or later; got {version}")


@pytest.mark.parametrize("version", ["0.45.0rc1", "0.50.0", "1.0.0"])
def test_new_llvmlite_is_used(monkeypatch, version):
    """A later llvmlite is used."""
    llvmlite = pytest.importorskip("llvmlite")
    monkeypatch.setattr(llvmlite, "__version__", version)
    assert "llvmlite" not in why_not()


def test_forbidden_machine_code_is_a_reason(monkeypatch):
    """A system that forbids to make memory executable is told."""
    llvm = pytest.importorskip("llvmlite.binding")

    def refuse():
        raise OSError(13, "cannot allocate executable memory")

    monkeypatch.setattr(llvm, "check_jit_execution", refuse)
    assert host_target() is None
    assert "which this system refuses" in why_not()
