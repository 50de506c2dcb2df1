"""Threads that run one function together.

The threads are Python's, parked in machine code, where they neither need the GIL nor use the CPU. They are daemons: at the end
of the program they stay parked, and end with the process.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
import weakref
from typing import Any, Final

from movinet_lite.engines.native.target import host_target, why_not
from movinet_lite.engines.native.team_code import (
    GO_ANYWHERE,
    KEEP_OFF,
    STATE_BYTES,
    TeamCode,
    pause,
)
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError, SessionError, said_by

__all__ = ["BARRIER_BYTES", "Team", "emit_barrier", "possible_members"]

BARRIER_BYTES: Final = 128
"""Bytes of the state of a barrier: zeros at first, beginning at a multiple of 64."""

_LOOKS_AT_BARRIER: Final = 5_000
"""How often a member looks at a barrier before it gives up its time slice between two looks.

Beside other processes a slice that was given up is back after milliseconds: with 500 looks a busy machine was twice as slow."""

_ON_WINDOWS: Final = sys.platform == "win32"


def possible_members(wanted: int) -> int:
    """Return how many members a team can have on this system, at most *wanted*.

    On Windows that is 1: the threads wait with what POSIX has.
    """
    return 1 if _ON_WINDOWS else wanted


class Team:
    """Threads that run one function together, as often as asked.

    They start with the first `run`, and end after `close`, or when this object is garbage-collected. In a process forked from
    this one, the team starts threads of its own.

    Args:
        members: How many run the function, the calling thread among them. A team of one has no threads.

    Attributes:
        members: As given.

    Raises:
        ModelError: If there cannot be so many members: the native engine cannot run here, or see `possible_members`.
    """

    def __init__(self, members: int) -> None:
        target = host_target()
        if target is None:
            raise ModelError(why_not())
        if members != possible_members(members) or members < 1:
            raise ModelError(
                f"a team must have at least one member, and on Windows no more; got {members}"
            )
        self.members = members
        # Made now: in a process that is forked while another thread compiles, LLVM's lock may be locked for ever.
        self._code = TeamCode.on(target) if members > 1 else None
        self._is_closed = False
        # By process: in a forked one the threads do not exist, and the lock may be locked for ever.
        self._crews: dict[int, _Crew] = {}

    def run(self, address: int, context: int) -> None:
        """Call a function once for each member, at the same time, and return when all have returned.

        The GIL is released. There is one run at a time: another thread that calls this waits. A team of one has no such limit.
        A signal handler may call it, whatever it interrupts.

        Args:
            address: The address of ``void f(i64* context, i64 member)``. Member 0 is the calling thread.
            context: What the function gets; mostly an address.

        Raises:
            SessionError: If the team is closed, or the system lets it start no threads.
        """
        if self._code is None:
            self._check_open()
            _function(address)(context, 0)
            return
        crew = self._crew()
        with crew.lock:
            self._check_open()
            if not crew.threads:
                self._start(crew, self._code)
            crew.code.run(crew.state, address, context)

    def close(self) -> None:
        """End the threads, after a run that is under way. A closed team stays closed."""
        crew = self._crew()
        with crew.lock:
            self._is_closed = True
            if crew.threads:
                crew.code.end(crew.state)
            for thread in crew.threads:
                thread.join()

    def _check_open(self) -> None:
        if self._is_closed:
            raise SessionError("a team must be open to run; this one is closed")

    def _crew(self) -> _Crew:
        """Return the threads of this process."""
        process = os.getpid()
        return self._crews.get(process) or self._crews.setdefault(process, _Crew())

    def _start(self, crew: _Crew, code: TeamCode) -> None:
        block = ctypes.create_string_buffer(STATE_BYTES + 8 * self.members + 64)
        state = -(-ctypes.addressof(block) // 64) * 64
        core = KEEP_OFF if self.members <= available_cores() else GO_ANYWHERE
        code.init(state, self.members - 1, code.looks, core)
        lease = _Lease(self, code.end)
        lease._as_parameter_ = state
        lease.block = block
        threads = [
            threading.Thread(
                target=_work,
                args=(code, lease, member),
                name=f"movinet-lite member {member}",
                daemon=True,
            )
            for member in range(1, self.members)
        ]
        try:
            for thread in threads:
                thread.start()
        except BaseException as error:  # Ctrl-C too: a crew is whole, or there is none
            code.end(state)
            if isinstance(error, RuntimeError):
                raise SessionError(
                    f"the system must let a team start {len(threads)} threads; it says: {said_by(error)}"
                ) from error
            raise
        crew.code, crew.state, crew.block, crew.threads = code, state, block, threads


class _Crew:
    """The threads of a team in one process.

    Attributes:
        lock: Held during a run.
        threads: Of the members but the first; none before the first run.
        code: What they run.
        state: The address of their state.
        block: The memory that the state is in.
    """

    __slots__ = ("block", "code", "lock", "state", "threads")

    code: TeamCode
    state: int
    block: ctypes.Array[ctypes.c_char]

    def __init__(self) -> None:
        # A signal handler, or a finaliser, may run the team in the middle of `Team.run`: before or after the machine code.
        self.lock = threading.RLock()
        self.threads: list[threading.Thread] = []


class _Lease(weakref.ref[Team]):
    """Ends the threads when their team is garbage-collected. Each thread holds it, and with it their state.

    Only C code runs then: an exception in a finaliser written in Python would be printed and lost, Ctrl-C among them. It gets
    this object, which ctypes turns into the address of the state.
    """

    __slots__ = ("_as_parameter_", "block")

    _as_parameter_: int
    block: ctypes.Array[ctypes.c_char]


def _work(code: TeamCode, lease: _Lease, member: int) -> None:
    code.work(lease, member, threading.get_native_id())


@functools.lru_cache(maxsize=64)
def _function(address: int) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)


def emit_barrier(module: Any) -> Any:
    """Add a function to a module that waits until all members of a team have called it, and return it.

    It is ``void barrier(i64* state, i64 members)``; *state* is `BARRIER_BYTES` of zeros, which serve any number of times. What
    a member wrote before, all others read after it. A member waits by looking, and gives up its time slice if that takes
    long: the machine may have fewer free cores than the team has members.

    Args:
        module: An ``llvmlite.ir.Module`` with the triple of its target.
    """
    from llvmlite import ir

    number, nothing = ir.IntType(64), ir.VoidType()
    barrier = ir.Function(
        module, ir.FunctionType(nothing, [number.as_pointer(), number]), name="barrier"
    )
    barrier.linkage = "internal"
    barrier.attributes.add("noinline")
    pause_name, argument = pause(module.triple)
    arguments = [] if argument is None else [ir.IntType(32)(argument)]
    kinds = [one.type for one in arguments]
    rest = ir.Function(module, ir.FunctionType(nothing, kinds), name=pause_name)
    state, members = barrier.args
    builder = ir.IRBuilder(barrier.append_basic_block("arrive"))
    round_place = builder.gep(state, [number(BARRIER_BYTES // 16)])
    now = builder.load_atomic(round_place, "acquire", 8)
    before = builder.atomic_rmw("add", state, number(1), "acq_rel")
    last, others = (barrier.append_basic_block(name) for name in ("last", "others"))
    is_last = builder.icmp_unsigned("==", builder.add(before, number(1)), members)
    builder.cbranch(is_last, last, others)

    builder.position_at_end(last)
    builder.store_atomic(number(0), state, "monotonic", 8)
    builder.store_atomic(builder.add(now, number(1)), round_place, "release", 8)
    builder.ret_void()

    look, wait, give_up, end = (
        barrier.append_basic_block(name) for name in ("look", "wait", "give_up", "end")
    )
    builder.position_at_end(others)
    builder.branch(look)
    builder.position_at_end(look)
    looks = builder.phi(number)
    looks.add_incoming(number(0), others)
    seen = builder.load_atomic(round_place, "acquire", 8)
    builder.cbranch(builder.icmp_unsigned("==", seen, now), wait, end)
    builder.position_at_end(wait)
    builder.call(rest, arguments)
    more = builder.add(looks, number(1))
    looks.add_incoming(more, wait)
    is_long = builder.icmp_unsigned(">", more, number(_LOOKS_AT_BARRIER))
    builder.cbranch(is_long, give_up, look)
    builder.position_at_end(give_up)
    if not _ON_WINDOWS:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(ir.Function(module, kind, name="sched_yield"), [])
    looks.add_incoming(more, give_up)
    builder.branch(look)
    builder.position_at_end(end)
    builder.ret_void()
    return barrier
