"""Threads that run one function together."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from movinet_lite.engines.native import team as module
from movinet_lite.engines.native import team_code
from movinet_lite.engines.native.compiler import MachineCode, compile_module
from movinet_lite.engines.native.team import (
    BARRIER_BYTES,
    Team,
    emit_barrier,
    possible_members,
)
from movinet_lite.engines.native.team_code import TeamCode
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError, SessionError
from tests.forking import fork
from tests.python_calls import python_calls

pytest.importorskip("llvmlite")

NUM_WORDS = 512
MEMBERS, ROUNDS, ERRORS, COUNTS, CALLS = 16, 17, 18, 32, 256
"""Where things are in a context, in words: the barrier, how many members and rounds, what they count."""

WITHOUT_WINDOWS = pytest.mark.skipif(
    possible_members(2) == 1, reason="a team has one member on this system"
)
WITH_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
ON_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at threads as Linux shows them"
)


@pytest.fixture(scope="module")
def code(target):
    """A function in which members check each other between barriers."""
    from llvmlite import ir

    number = ir.IntType(64)
    source = ir.Module()
    source.triple = target.triple
    barrier = emit_barrier(source)
    kind = ir.FunctionType(ir.VoidType(), [number.as_pointer(), number])
    function = ir.Function(source, kind, name="check")
    context, member = function.args
    builder = ir.IRBuilder(function.append_basic_block())

    def place(first, index=None):
        index = number(0) if index is None else index
        return builder.gep(context, [builder.add(number(first), index)])

    calls = place(CALLS, member)
    builder.store(builder.add(builder.load(calls), number(1)), calls)
    members, rounds = builder.load(place(MEMBERS)), builder.load(place(ROUNDS))

    def loop(end, body):
        before = builder.block
        inside, after = (function.append_basic_block() for _ in range(2))
        builder.branch(inside)
        builder.position_at_end(inside)
        step = builder.phi(number)
        step.add_incoming(number(0), before)
        body(step)
        following = builder.add(step, number(1))
        step.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_unsigned("<", following, end), inside, after)
        builder.position_at_end(after)

    def one_round(step):
        now = builder.add(step, number(1))
        builder.store(now, place(COUNTS, member))
        builder.call(barrier, [context, members])

        def look_at(other):
            wrong = builder.icmp_unsigned("!=", builder.load(place(COUNTS, other)), now)
            builder.atomic_rmw(
                "add", place(ERRORS), builder.zext(wrong, number), "monotonic"
            )

        loop(members, look_at)
        builder.call(barrier, [context, members])

    loop(rounds, one_round)
    builder.ret_void()
    return MachineCode(compile_module(str(source), target), target)


def new_context(members, rounds):
    """Return a context for the function."""
    block = np.zeros(NUM_WORDS + 8, np.int64)
    context = block[-block.ctypes.data % 64 // 8 :][:NUM_WORDS]
    context[MEMBERS], context[ROUNDS] = members, rounds
    return context


def check(team, code, *, runs=10, rounds=20):
    """Run the function some times, and check that all members ran it each time, in step."""
    context = new_context(team.members, rounds)
    for _ in range(runs):
        team.run(code.address("check"), context.ctypes.data)
    assert context[ERRORS] == 0
    assert context[CALLS:].tolist() == [runs] * team.members + [0] * (
        NUM_WORDS - CALLS - team.members
    )
    assert (context[COUNTS : COUNTS + team.members] == rounds).all()


def threads_of(team):
    """Return the threads of a team in this process."""
    return team._crew().threads


def is_asleep(thread):
    """Return whether the system says that a thread waits and uses no CPU."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def wait_until_asleep(team):
    """Return when all threads of a team sleep, which takes them far less than a minute."""
    until_s = time.monotonic() + 60
    while not all(map(is_asleep, threads_of(team))):
        assert time.monotonic() < until_s
        os.sched_yield()


@pytest.mark.parametrize(
    "members",
    [
        1,
        pytest.param(2, marks=WITHOUT_WINDOWS),
        pytest.param(3, marks=WITHOUT_WINDOWS),
        pytest.param(7, marks=WITHOUT_WINDOWS),
    ],
)
def test_all_members_run_in_step(code, members):
    """Each member runs the function once in each run, and none passes a barrier before all have reached it."""
    team = Team(members)
    check(team, code)
    assert len(threads_of(team)) == members - 1
    team.close()


@WITHOUT_WINDOWS
def test_many_runs(code):
    """A team runs as often as asked."""
    team = Team(2)
    check(team, code, runs=2000, rounds=2)
    team.close()


def test_barrier_keeps_to_its_bytes(code):
    """A barrier writes nothing behind its state."""
    context = new_context(1, 10)
    Team(1).run(code.address("check"), context.ctypes.data)
    assert BARRIER_BYTES <= 8 * MEMBERS
    assert (context[MEMBERS], context[ROUNDS], context[ERRORS]) == (1, 10, 0)


def in_threads(*works):
    """Run functions in a thread each, and raise what they raise."""
    errors = []

    def guard(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@WITHOUT_WINDOWS
def test_two_teams_at_once(code):
    """Teams of two Python threads do not get in each other's way."""
    teams = [Team(2), Team(3)]
    in_threads(*(lambda team=team: check(team, code, runs=50) for team in teams))
    for team in teams:
        team.close()


@WITHOUT_WINDOWS
def test_one_team_for_two_threads(code):
    """Two Python threads may share a team; a run is long enough that the other thread gets the GIL meanwhile."""
    team = Team(2)
    in_threads(*[lambda: check(team, code, rounds=5000)] * 2)
    assert len(threads_of(team)) == 1
    team.close()


def test_team_of_one_serves_all_at_once():
    """In a team of one, nobody waits for another: here one run calls the next."""
    team = Team(1)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    seen = []

    def inner(context, member):
        seen.append((context, member))

    inner_function = kind(inner)

    def outer(context, member):
        seen.append((context, member))
        address = ctypes.cast(inner_function, ctypes.c_void_p).value
        in_threads(lambda: team.run(address, 2))

    outer_function = kind(outer)
    team.run(ctypes.cast(outer_function, ctypes.c_void_p).value, 1)
    assert seen == [(1, 0), (2, 0)]


@WITHOUT_WINDOWS
def test_threads_end_with_close(code):
    """A closed team has no threads, and runs no more; closing it again does nothing."""
    team = Team(3)
    check(team, code)
    threads = threads_of(team)
    assert len(threads) == 2
    team.close()
    assert not any(thread.is_alive() for thread in threads)
    team.close()
    with pytest.raises(SessionError, match="must be open to run; this one is closed"):
        check(team, code)


@pytest.mark.parametrize("members", [1, pytest.param(2, marks=WITHOUT_WINDOWS)])
def test_unused_team_can_be_closed(code, members):
    """A team that was closed before its first run does not run either."""
    team = Team(members)
    team.close()
    with pytest.raises(SessionError, match="must be open to run; this one is closed"):
        check(team, code)


@WITHOUT_WINDOWS
@pytest.mark.parametrize("in_cycle", [False, True])
def test_threads_end_with_their_team(code, in_cycle):
    """When nobody holds a team any more, its threads end."""
    team = Team(3)
    check(team, code)
    threads = threads_of(team)
    if in_cycle:
        team.itself = team
    del team
    gc.collect()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


@WITHOUT_WINDOWS
def test_threads_end_without_python(code):
    """What ends the threads of a forgotten team is no Python code, in which Ctrl-C could be lost."""
    team = Team(2)
    check(team, code)
    (thread,) = threads_of(team)
    held = [team]
    del team
    assert python_calls(held.clear) == []
    thread.join(timeout=60)
    assert not thread.is_alive()


@WITHOUT_WINDOWS
@pytest.mark.parametrize("error", [RuntimeError("can't start"), KeyboardInterrupt()])
def test_thread_that_does_not_start(code, monkeypatch, error):
    """If not all threads can be started, those that were end, and the next run starts them all."""
    started = []
    start = threading.Thread.start

    def start_one(thread):
        if started:
            raise error
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    team = Team(3)
    kind = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else SessionError
    told = "^$" if kind is KeyboardInterrupt else "2 threads; it says: can't start"
    with pytest.raises(kind, match=told):
        team.run(code.address("check"), new_context(3, 1).ctypes.data)
    started[0].join(timeout=60)
    assert not started[0].is_alive()
    monkeypatch.undo()
    check(team, code)
    team.close()


@ON_LINUX
def test_members_sleep(code):
    """A member that has nothing to do sleeps soon, and a run wakes it."""
    team = Team(2)
    for _ in range(5):
        check(team, code, runs=2)
        wait_until_asleep(team)
    team.close()


@ON_LINUX
def test_members_keep_off_the_core_of_the_caller(code):
    """A member that was woken does not wait for the core of the caller, if there are enough others."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2 or available_cores() < 2:
        pytest.skip("needs two cores")
    team = Team(2)
    check(team, code, runs=1)
    wait_until_asleep(team)
    check(team, code, runs=1)
    (thread,) = threads_of(team)
    allowed = os.sched_getaffinity(thread.native_id)
    assert allowed < cores
    assert len(allowed) == len(cores) - 1
    assert os.sched_getaffinity(0) == cores
    team.close()


@ON_LINUX
def test_more_members_than_cores_go_anywhere(code):
    """A team of more members than cores needs all of them."""
    cores = os.sched_getaffinity(0)
    team = Team(len(cores) + 1)
    check(team, code, runs=1, rounds=2)
    wait_until_asleep(team)
    check(team, code, runs=1, rounds=2)
    for thread in threads_of(team):
        assert os.sched_getaffinity(thread.native_id) == cores
    team.close()


def in_child(work):
    """Run a function in a forked process, which ends after a minute, and return its exit status."""
    child = fork()
    if not child:
        status = 1
        try:
            signal.alarm(60)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@WITHOUT_WINDOWS
@WITH_FORK
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("used", [False, True])
def test_fork(code, used):
    """A forked process has threads of its own, which end with the team; those of the first process stay."""
    team = Team(2)
    if used:
        check(team, code)

    def work():
        nonlocal team
        check(team, code)
        (thread,) = threads_of(team)
        team = None
        gc.collect()
        thread.join(timeout=60)
        assert not thread.is_alive()

    assert in_child(work) == 0
    check(team, code)
    team.close()


@WITHOUT_WINDOWS
@WITH_FORK
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_fork_during_a_run(code):
    """A process may be forked while another thread runs the team."""
    team = Team(2)
    is_over = threading.Event()
    begun = threading.Event()

    def keep_running():
        while not is_over.is_set():
            check(team, code, runs=50)
            begun.set()

    # The main thread forks: a child frees what belongs to the other threads alone, among it objects of FFmpeg that
    # earlier tests left, which would wait for ever for threads that the child does not have.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(keep_running)
        try:
            assert begun.wait(60)
            for _ in range(10):
                assert in_child(lambda: check(team, code)) == 0
        finally:
            is_over.set()
        running.result()
    team.close()


@WITHOUT_WINDOWS
def test_a_run_needs_no_llvm(code, monkeypatch):
    """Else a process that is forked while another thread loads a model would wait for LLVM's lock for ever."""

    def refuse(*_, **__):
        pytest.fail("the run compiled something")

    TeamCode.on.cache_clear()
    team = Team(2)
    monkeypatch.setattr(team_code, "compile_module", refuse)
    check(team, code)
    team.close()


PROGRAM = """
    import signal, sys, threading
    from movinet_lite.engines.native.compiler import MachineCode, compile_module
    from movinet_lite.engines.native.target import host_target
    from movinet_lite.engines.native.team import Team

    target = host_target()
    source = '''
    define void @f(ptr %context, i64 %member) {
    start:
      %end = ptrtoint ptr %context to i64
      br label %next
    next:
      %i = phi i64 [0, %start], [%after, %next]
      %after = add i64 %i, 1
      store volatile i64 %i, ptr @sink
      %more = icmp ult i64 %after, %end
      br i1 %more, label %next, label %out
    out:
      ret void
    }
    @sink = internal global i64 0
    '''
    code = MachineCode(compile_module(source, target), target)
    address, team = code.address("f"), Team(3)
    team.run(address, 1)
    # A program that a shell starts in the background ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""


@contextlib.contextmanager
def started(rest):
    """Give a program that has a team, and then does the *rest*; end it if it is still there in the end."""
    lines = textwrap.dedent(PROGRAM) + textwrap.dedent(rest)
    with subprocess.Popen(
        [sys.executable, "-c", lines],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


@WITHOUT_WINDOWS
@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise SystemExit(4)", 4),
        # A thread that is no daemon, which the interpreter waits for.
        ("threading.Thread(target=lambda: team.run(address, 100_000_000)).start()", 0),
        # One that is in the middle of a run when the program ends.
        (
            "threading.Thread(target=lambda: team.run(address, 10 ** 15), daemon=True).start()",
            0,
        ),
        ("import atexit; atexit.register(lambda: team.run(address, 1000))", 0),
        ("import atexit; atexit.register(team.close)", 0),
        ("import builtins; builtins.kept = team", 0),
    ],
)
def test_program_ends(rest, status):
    """A program ends at once while its team waits, or works for a daemon, and says nothing."""
    with started(rest) as program:
        assert program.communicate(timeout=120) == ("", "")
        assert program.returncode == status


@WITHOUT_WINDOWS
def test_ctrl_c_during_a_run():
    """Ctrl-C ends a program that is in a run, once the function has returned."""
    with started("""
        print("begun", flush=True)
        while True:
            team.run(address, 30_000_000)
    """) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=120)
        assert errors.endswith("KeyboardInterrupt\n")
        assert program.returncode == -signal.SIGINT


@WITHOUT_WINDOWS
def test_ctrl_c_leaves_the_team_whole():
    """After Ctrl-C in a run, the team runs again."""
    with started("""
        try:
            print("begun", flush=True)
            while True:
                team.run(address, 30_000_000)
        except KeyboardInterrupt:
            team.run(address, 1000)
            team.close()
            print("ran again")
    """) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=120) == ("ran again\n", "")
        assert program.returncode == 0


@WITHOUT_WINDOWS
def test_a_signal_handler_may_run_the_team():
    """It does not wait for the run that it interrupts, which waits for it."""
    with started("""
        handled = []

        def handle(*_):
            team.run(address, 1000)
            handled.append(1)
            if len(handled) == 20:
                signal.setitimer(signal.ITIMER_REAL, 0)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        while len(handled) < 20:
            team.run(address, 1_000_000)
        print("ran")
    """) as program:
        assert program.communicate(timeout=60) == ("ran\n", "")
        assert program.returncode == 0


@pytest.mark.parametrize("members", [0, -1])
def test_team_has_a_member(members):
    """A team of nobody is an error."""
    with pytest.raises(ModelError, match=f"at least one member.*; got {members}"):
        Team(members)


def test_windows_has_teams_of_one(code, monkeypatch):
    """On Windows a team has one member, and more are an error."""
    monkeypatch.setattr(module, "_ON_WINDOWS", True)
    assert possible_members(4) == 1
    check(Team(1), code)
    with pytest.raises(ModelError, match="on Windows no more; got 2"):
        Team(2)


def test_barrier_on_windows_calls_nothing_of_posix(target, monkeypatch):
    """On Windows, where a function that is missing ends the process, a barrier calls none."""
    from llvmlite import ir

    monkeypatch.setattr(module, "_ON_WINDOWS", True)
    source = ir.Module()
    source.triple = target.triple
    emit_barrier(source)
    assert "sched_yield" not in str(source)


def test_no_team_without_the_engine(monkeypatch):
    """Where the native engine cannot run, the error says why."""
    monkeypatch.setattr(module, "host_target", lambda: None)
    monkeypatch.setattr(module, "why_not", lambda: "the native engine needs a CPU")
    with pytest.raises(ModelError, match="the native engine needs a CPU"):
        Team(1)
