"""Machine code from LLVM's intermediate representation."""

from __future__ import annotations

import ctypes
import gc
import os

import attrs
import pytest

from movinet_lite.engines.native import compiler
from movinet_lite.engines.native.compiler import (
    MachineCode,
    compile_module,
    fingerprint,
)
from movinet_lite.engines.native.target import Target, choose_target
from movinet_lite.errors import ConversionError, ModelError
from tests.forking import fork

llvm = pytest.importorskip("llvmlite.binding")

# Calls the C library, reads a constant and a table, with typed pointers as llvmlite.ir writes them.
SOURCE = """
@table = internal constant [3 x i64] [i64 10, i64 20, i64 30]
declare i64 @strlen(i8*)
define i64 @sum(i8* %text, i64 %place) {
  %length = call i64 @strlen(i8* %text)
  %from = getelementptr [3 x i64], [3 x i64]* @table, i64 0, i64 %place
  %value = load i64, i64* %from
  %result = add i64 %length, %value
  ret i64 %result
}
define float @third(float %x) {
  %result = fmul float %x, 0x3FD5555560000000
  ret float %result
}
"""


@pytest.fixture(scope="module")
def code(target):
    """The machine code of the source."""
    return compile_module(SOURCE, target)


def call_sum(machine_code):
    """Return what the function gives for a text of 5 letters and the second place."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.c_int64)
    return kind(machine_code.address("sum"))(b"hello", 1)


def test_code_runs(code, target):
    """A compiled function computes what its source says, constants and calls of the C library included."""
    machine_code = MachineCode(code, target)
    assert call_sum(machine_code) == 25
    third = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)
    assert third(machine_code.address("third"))(6.0) == pytest.approx(2.0)


def test_code_can_be_loaded_again(code, target):
    """The same code can be in a process twice, and one may go while the other stays."""
    first, second = MachineCode(code, target), MachineCode(code, target)
    assert first.address("sum") != second.address("sum")
    del first
    gc.collect()
    assert call_sum(second) == 25


def test_code_is_the_same_each_time(code, target):
    """Compiling twice gives the same bytes."""
    assert compile_module(SOURCE, target) == code


def test_missing_function_is_an_error(code, target):
    """A function that the code does not have is an error, not the address 0."""
    with pytest.raises(ModelError, match="must have a function 'product'"):
        MachineCode(code, target).address("product")


@pytest.mark.parametrize("place", [0, 31, 32, 100, -1])
def test_damaged_code_is_an_error(code, target, place):
    """Code of which a byte changed is refused before it runs."""
    damaged = bytearray(code)
    damaged[place] ^= 1
    with pytest.raises(ModelError, match="must be whole, and made for this CPU"):
        MachineCode(bytes(damaged), target)


@pytest.mark.parametrize("size", [0, 10, 32, 40, -1])
def test_cut_code_is_an_error(code, target, size):
    """Code of which the end is missing is refused."""
    with pytest.raises(ModelError, match="must be whole, and made for this CPU"):
        MachineCode(code[:size], target)


@pytest.mark.parametrize("field", ["triple", "cpu", "features"])
def test_code_for_another_cpu_is_an_error(code, target, field):
    """Code for another CPU would end the process, so it is refused."""
    other = attrs.evolve(target, **{field: getattr(target, field) + "x"})
    assert fingerprint(other) != fingerprint(target)
    with pytest.raises(ModelError, match="must be whole, and made for this CPU"):
        MachineCode(code, other)


def test_code_by_another_llvm_is_an_error(code, target, monkeypatch):
    """Code that another version of LLVM made is made anew."""
    monkeypatch.setattr(llvm, "llvm_version_info", (99, 0, 0))
    with pytest.raises(ModelError, match="by the installed version of llvmlite"):
        MachineCode(code, target)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("define void @f( {", "expected type"),
        ("define void @f() { ret i64 0 }", "value doesn't match function"),
    ],
)
def test_source_with_a_fault_is_an_error(target, source, told):
    """What LLVM says of a source is in the error."""
    with pytest.raises(ConversionError, match=told):
        compile_module(source, target)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("loaded", ["before", "after"])
def test_code_runs_in_a_forked_process(code, target, loaded):
    """A forked process runs code that was loaded before, and loads some of its own."""
    machine_code = MachineCode(code, target)
    child = fork()
    if not child:
        result = 1
        try:
            if loaded == "after":
                machine_code = MachineCode(code, target)
            result = 0 if call_sum(machine_code) == 25 else 2
        finally:
            os._exit(result)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert call_sum(machine_code) == 25


@pytest.mark.parametrize("cpu", ["skylake-avx512", "sapphirerapids", "znver5"])
def test_intel_uses_512_bits(cpu):
    """Vectors of 512 bits stay in registers of 512 bits, also for Intel's CPUs, for which LLVM prefers narrower ones."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = choose_target("x86_64-unknown-linux-gnu", cpu, {"avx512f": True})
    assert isinstance(target, Target)
    module = llvm.parse_assembly("""
define void @add(ptr %to, ptr %from) {
  %a = load <16 x float>, ptr %from
  %b = load <16 x float>, ptr %to
  %sum = fadd <16 x float> %a, %b
  store <16 x float> %sum, ptr %to
  ret void
}""")
    assembly = compiler._machine(target, opt=compiler._LEVEL).emit_assembly(module)
    assert "zmm" in assembly
    assert "ymm" not in assembly
