"""The machine code of a team: how its threads wait for work, and are woken.

A team has a state, zeros that begin at a multiple of 64. What one thread writes while others read stands on
cache lines of its own.

A thread that waits looks for a while, then sleeps on a condition variable. To wake sleepers costs a system call, so it is
done only where there are any: one who waits counts itself, then looks once more; one who wakes writes, then reads the count.
Both are sequentially consistent, so at least one of the two sees the other.

References:
    [1] POSIX.1-2017, ``pthread_cond_wait``, ``pthread_mutex_init``. The largest of their objects on 64-bit Linux and macOS have 64
        bytes (``pthread_mutex_t`` of macOS); here each has 128.
"""

from __future__ import annotations

import ctypes
import functools
import math
import time
from typing import Any, Final

import attrs

from movinet_lite.engines.native.compiler import MachineCode, compile_module
from movinet_lite.engines.native.target import Target

__all__ = ["GO_ANYWHERE", "KEEP_OFF", "STATE_BYTES", "TeamCode", "pause"]

STATE_BYTES: Final = 1024
"""Bytes of the state of a team, without the 8 bytes that each member needs."""

KEEP_OFF: Final = -1
"""Workers keep off the core of the caller."""

GO_ANYWHERE: Final = -2
"""Workers run on any core."""

_LOOKING_S: Final = 50e-6
"""How long a member looks for work before it sleeps, in seconds."""

_SOURCE: Final = """
%Room = type { i64, [15 x i64], [16 x i64], [16 x i64] }  ; sleepers, mutex, condition variable
%Team = type {
  i64, ptr, ptr, i64, i64, i64, i64, i64,        ; 0 round, 1 function, 2 context, 3 is_over, 4 workers, 5 pauses, 6 process,
                                                 ; 7 the core that workers keep off, -1 at first, -2 if they keep off none
  i64, [7 x i64],                                ; 8 workers that are not done
  i64, [7 x i64],                                ; 10 rounds that are done
  %Room, %Room,                                  ; 12 where workers wait, 13 where the caller waits
  [0 x i64]                                      ; 14 the thread of each worker, 0 before it begins
}

declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
declare i32 @getpid()
declare void PAUSE

; Do nothing for a number of pauses, to measure how long they take.
define void @pauses(i64 %count) {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%after, %next]
  call void PAUSE
  %after = add i64 %i, 1
  %more = icmp ult i64 %after, %count
  br i1 %more, label %next, label %end
end:
  ret void
}

define internal void @init_room(ptr %room) {
  %mutex = getelementptr %Room, ptr %room, i64 0, i32 2
  %condition = getelementptr %Room, ptr %room, i64 0, i32 3
  %1 = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %2 = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

; Return when the word is no longer the old one. Before it sleeps, it looks between pauses, then between gifts of the time slice.
define internal void @wait(ptr %word, i64 %old, ptr %room, i64 %pauses, i64 %yields) noinline {
start:
  br label %look
look:
  %i = phi i64 [0, %start], [%after, %again]
  %seen = load atomic i64, ptr %word acquire, align 8
  %same = icmp eq i64 %seen, %old
  br i1 %same, label %again, label %end
again:
  call void PAUSE
  %after = add i64 %i, 1
  %more = icmp ult i64 %after, %pauses
  br i1 %more, label %look, label %give
give:
  %j = phi i64 [0, %again], [%after_gift, %gift]
  %never = icmp eq i64 %j, %yields
  br i1 %never, label %lie_down, label %gift
gift:
  %gave = call i32 @sched_yield()
  %after_gift = add i64 %j, 1
  %later = load atomic i64, ptr %word acquire, align 8
  %too = icmp eq i64 %later, %old
  br i1 %too, label %give, label %end
lie_down:
  %mutex = getelementptr %Room, ptr %room, i64 0, i32 2
  %condition = getelementptr %Room, ptr %room, i64 0, i32 3
  %1 = call i32 @pthread_mutex_lock(ptr %mutex)
  %2 = atomicrmw add ptr %room, i64 1 seq_cst
  br label %look_up
look_up:
  %now = load atomic i64, ptr %word seq_cst, align 8
  %still = icmp eq i64 %now, %old
  br i1 %still, label %sleep, label %get_up
sleep:
  %3 = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %look_up
get_up:
  %4 = atomicrmw sub ptr %room, i64 1 seq_cst
  %5 = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %end
end:
  ret void
}

; Wake all who sleep, after a word was changed.
define internal void @wake(ptr %room) {
  %sleepers = load atomic i64, ptr %room seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %end, label %wake
wake:
  %mutex = getelementptr %Room, ptr %room, i64 0, i32 2
  %condition = getelementptr %Room, ptr %room, i64 0, i32 3
  ; One who has counted itself holds the mutex until it sleeps.
  %1 = call i32 @pthread_mutex_lock(ptr %mutex)
  %2 = call i32 @pthread_mutex_unlock(ptr %mutex)
  %3 = call i32 @pthread_cond_broadcast(ptr %condition)
  br label %end
end:
  ret void
}

SPREAD

define void @init(ptr %team, i64 %workers, i64 %pauses, i64 %core) {
  %workers_place = getelementptr %Team, ptr %team, i64 0, i32 4
  store i64 %workers, ptr %workers_place
  %pauses_place = getelementptr %Team, ptr %team, i64 0, i32 5
  store i64 %pauses, ptr %pauses_place
  %core_place = getelementptr %Team, ptr %team, i64 0, i32 7
  store i64 %core, ptr %core_place
  %process = call i32 @getpid()
  %process_64 = zext i32 %process to i64
  %process_place = getelementptr %Team, ptr %team, i64 0, i32 6
  store i64 %process_64, ptr %process_place
  %workers_room = getelementptr %Team, ptr %team, i64 0, i32 12
  call void @init_room(ptr %workers_room)
  %caller_room = getelementptr %Team, ptr %team, i64 0, i32 13
  call void @init_room(ptr %caller_room)
  ret void
}

; Run a function once for each member, this thread being member 0.
define void @run(ptr %team, ptr %function, ptr %context) {
start:
  %function_place = getelementptr %Team, ptr %team, i64 0, i32 1
  store ptr %function, ptr %function_place
  %context_place = getelementptr %Team, ptr %team, i64 0, i32 2
  store ptr %context, ptr %context_place
  %workers_place = getelementptr %Team, ptr %team, i64 0, i32 4
  %workers = load i64, ptr %workers_place
  %pauses_place = getelementptr %Team, ptr %team, i64 0, i32 5
  %pauses = load i64, ptr %pauses_place
  %left = getelementptr %Team, ptr %team, i64 0, i32 8
  store atomic i64 %workers, ptr %left monotonic, align 8
  %round = load atomic i64, ptr %team monotonic, align 8
  %next = add i64 %round, 1
  store atomic i64 %next, ptr %team seq_cst, align 8
  %workers_room = getelementptr %Team, ptr %team, i64 0, i32 12
  %sleepers = load atomic i64, ptr %workers_room seq_cst, align 8
  %all_awake = icmp eq i64 %sleepers, 0
  br i1 %all_awake, label %work, label %wake
wake:
  call void @spread(ptr %team, i64 %workers)
  call void @wake(ptr %workers_room)
  br label %work
work:
  call void %function(ptr %context, i64 0)
  %done = getelementptr %Team, ptr %team, i64 0, i32 10
  %caller_room = getelementptr %Team, ptr %team, i64 0, i32 13
  ; To wake the caller again would take about as long as to wake a worker. But a worker may need this core.
  call void @wait(ptr %done, i64 %round, ptr %caller_room, i64 %pauses, i64 500)
  ret void
}

; What the thread of a member does until the team is over.
define void @work(ptr %team, i64 %member, i64 %thread) {
start:
  %place = sub i64 %member, 1
  %thread_place = getelementptr %Team, ptr %team, i64 0, i32 14, i64 %place
  store atomic i64 %thread, ptr %thread_place release, align 8
  %function_place = getelementptr %Team, ptr %team, i64 0, i32 1
  %context_place = getelementptr %Team, ptr %team, i64 0, i32 2
  %is_over_place = getelementptr %Team, ptr %team, i64 0, i32 3
  %pauses_place = getelementptr %Team, ptr %team, i64 0, i32 5
  %left = getelementptr %Team, ptr %team, i64 0, i32 8
  %done = getelementptr %Team, ptr %team, i64 0, i32 10
  %workers_room = getelementptr %Team, ptr %team, i64 0, i32 12
  %caller_room = getelementptr %Team, ptr %team, i64 0, i32 13
  %pauses = load i64, ptr %pauses_place
  br label %next
next:
  %round = phi i64 [0, %start], [%now, %work], [%now, %last]
  call void @wait(ptr %team, i64 %round, ptr %workers_room, i64 %pauses, i64 0)
  %now = load atomic i64, ptr %team acquire, align 8
  %is_over = load atomic i64, ptr %is_over_place acquire, align 8
  %goes_on = icmp eq i64 %is_over, 0
  br i1 %goes_on, label %work, label %end
work:
  %function = load ptr, ptr %function_place
  %context = load ptr, ptr %context_place
  call void %function(ptr %context, i64 %member)
  %before = atomicrmw sub ptr %left, i64 1 acq_rel
  %is_last = icmp eq i64 %before, 1
  br i1 %is_last, label %last, label %next
last:
  store atomic i64 %now, ptr %done seq_cst, align 8
  call void @wake(ptr %caller_room)
  br label %next
end:
  ret void
}

; Let the threads end. In a process forked from theirs they do not exist, and the mutex may be locked for ever.
define void @end(ptr %team) {
  %process = call i32 @getpid()
  %process_64 = zext i32 %process to i64
  %process_place = getelementptr %Team, ptr %team, i64 0, i32 6
  %theirs = load i64, ptr %process_place
  %same = icmp eq i64 %theirs, %process_64
  br i1 %same, label %tell, label %end
tell:
  %is_over_place = getelementptr %Team, ptr %team, i64 0, i32 3
  store atomic i64 1, ptr %is_over_place release, align 8
  %1 = atomicrmw add ptr %team, i64 1 seq_cst
  %workers_room = getelementptr %Team, ptr %team, i64 0, i32 12
  call void @wake(ptr %workers_room)
  br label %end
end:
  ret void
}
"""


# Linux often wakes a worker on the core of the caller, where it waits for that to sleep, although others are idle. So workers
# keep off that core. The largest set of cores here has 1024; for a larger machine the calls fail, and nothing is done.
_SPREAD_ON_LINUX: Final = """
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)

define internal void @spread(ptr %team, i64 %workers) {
start:
  %cores = alloca [16 x i64], align 8
  %core_place = getelementptr %Team, ptr %team, i64 0, i32 7
  %before = load i64, ptr %core_place
  %off = icmp eq i64 %before, -2
  br i1 %off, label %end, label %ask
ask:
  %core_32 = call i32 @sched_getcpu()
  %core = sext i32 %core_32 to i64
  %same = icmp eq i64 %core, %before
  %beyond = icmp ugt i64 %core, 1023
  %stay = or i1 %same, %beyond
  br i1 %stay, label %end, label %which
which:
  %failed = call i32 @sched_getaffinity(i32 0, i64 128, ptr %cores)
  %known = icmp eq i32 %failed, 0
  br i1 %known, label %clear, label %end
clear:
  store i64 %core, ptr %core_place
  %word = lshr i64 %core, 6
  %word_place = getelementptr [16 x i64], ptr %cores, i64 0, i64 %word
  %in_word = and i64 %core, 63
  %bit = shl i64 1, %in_word
  %others = xor i64 %bit, -1
  %bits = load i64, ptr %word_place
  %left = and i64 %bits, %others
  store i64 %left, ptr %word_place
  br label %next
next:
  %i = phi i64 [0, %clear], [%after, %done]
  %thread_place = getelementptr %Team, ptr %team, i64 0, i32 14, i64 %i
  %thread = load atomic i64, ptr %thread_place acquire, align 8
  %begun = icmp ne i64 %thread, 0
  br i1 %begun, label %move, label %later
later:
  store i64 -1, ptr %core_place
  br label %done
move:
  %thread_32 = trunc i64 %thread to i32
  %1 = call i32 @sched_setaffinity(i32 %thread_32, i64 128, ptr %cores)
  br label %done
done:
  %after = add i64 %i, 1
  %more = icmp ult i64 %after, %workers
  br i1 %more, label %next, label %end
end:
  ret void
}
"""

_SPREAD_ELSEWHERE: Final = """
define internal void @spread(ptr %team, i64 %workers) {
  ret void
}
"""


@attrs.frozen(eq=False)
class TeamCode:
    """The functions of teams in this process.

    Attributes:
        init: ``(state, workers, looks, core)``: begin, with zeros in the state. Who waits looks so often, then sleeps. Workers
            keep off the core of the caller if *core* is `KEEP_OFF`, else it is `GO_ANYWHERE`.
        run: ``(state, function, context)``: call the function for each member, and wait until all are done.
        work: ``(state, member, thread)``: what the thread of a member does until the team is over.
        end: ``(state)``: let the threads end. It may be called again, and in any process.
        pauses: ``(count)``: do nothing for so many of the pauses between two looks.
    """

    init: Any
    run: Any
    work: Any
    end: Any
    pauses: Any
    _code: MachineCode

    @classmethod
    @functools.cache
    def on(cls, target: Target) -> TeamCode:
        """Return the functions, compiled for *target* the first time."""
        name, argument = pause(target.triple)
        kind, argument_text = (
            ("", "") if argument is None else ("i32", f"i32 {argument}")
        )
        source = _SOURCE.replace("declare void PAUSE", f"declare void @{name}({kind})")
        source = source.replace("PAUSE", f"@{name}({argument_text})")
        spread = _SPREAD_ON_LINUX if "linux" in target.triple else _SPREAD_ELSEWHERE
        source = source.replace("SPREAD", spread)
        # Made in each process: optimising it takes 25 ms instead of 4 and makes nothing faster.
        code = MachineCode(compile_module(source, target, optimise=False), target)

        def function(name: str, *kinds: type[Any]) -> Any:
            return ctypes.CFUNCTYPE(None, *kinds)(code.address(name))

        pointer, number = ctypes.c_void_p, ctypes.c_int64
        return cls(
            init=function("init", pointer, number, number, number),
            run=function("run", pointer, pointer, pointer),
            work=function("work", pointer, number, number),
            end=function("end", pointer),
            pauses=function("pauses", number),
            code=code,
        )

    @functools.cached_property
    def looks(self) -> int:
        """How often a member looks for work before it sleeps; a pause takes from 10 to 140 cycles, by the CPU."""
        shortest_s = math.inf
        for _ in range(5):
            start_s = time.perf_counter()
            self.pauses(1000)
            shortest_s = min(shortest_s, time.perf_counter() - start_s)
        return int(1000 * _LOOKING_S / shortest_s)


def pause(triple: str) -> tuple[str, int | None]:
    """Return the intrinsic that makes a CPU wait a moment, and its argument, if it has one.

    On AArch64 an ISB takes about as long as PAUSE on x86-64; YIELD often takes no time at all.
    """
    if triple.startswith("x86_64"):
        return "llvm.x86.sse2.pause", None
    return "llvm.aarch64.isb", 15
