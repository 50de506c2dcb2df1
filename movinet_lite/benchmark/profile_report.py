"""Where the time of a stream model goes, as a report: the parts of a call, in groups, and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import attrs

__all__ = ["CallTimes", "GroupTimes", "Part", "ProfileReport", "gain_of"]

_SLOWEST: Final = 12  # parts that the text lists


@attrs.frozen
class Part:
    """An operator of a graph on LiteRT, or a part of the machine code of the native engine.

    Attributes:
        name: What it computes.
        group: What it is for.
        us: Microseconds a call, the lower quartile of all calls.
        multiply_adds: Multiply-adds a call of its convolutions and matrix products.
        num_bytes: Bytes a call that it reads and writes; `None` if they are unknown.
        us_of_one_thread: As *us*, with one thread; `None` where it was not measured.
        speed_of_limit: Its multiply-adds a second over those of a large matrix product; `None` if it has none.
    """

    name: str
    group: str
    us: float
    multiply_adds: int = 0
    num_bytes: int | None = None
    us_of_one_thread: float | None = None
    speed_of_limit: float | None = None


@attrs.frozen
class GroupTimes:
    """The parts of one group.

    Attributes:
        group: What they are for.
        parts: How many.
        ms: Milliseconds a frame, of all of them.
        share: Of the time of a call, 0 to 1.
        multiply_adds: Millions a frame.
        speed_of_limit: Their multiply-adds a second over those of a large matrix product; `None` if they have none.
        megabytes: 10^6 bytes a frame that they read and write; `None` if they are unknown.
        gain: How many times faster they are than with one thread; `None` if one is all, or they take no time.
    """

    group: str
    parts: int
    ms: float
    share: float
    multiply_adds: float
    speed_of_limit: float | None
    megabytes: float | None
    gain: float | None = None


@attrs.frozen
class CallTimes:
    """Where the time of one kind of call goes.

    Attributes:
        call: Which kind.
        frames: Frames a call.
        call_ms: Milliseconds a frame that a call takes.
        limit_ms: The arithmetic limit of a frame; `None` if the multiply-adds are unknown.
        groups: The groups of parts, the slowest first.
        rest: Milliseconds a frame of what a call does beside its parts.
        python_ms: Milliseconds a frame that Python adds to the call; `None` where it was not measured.
        slowest: The slowest parts, the slowest first.
        gain: How many times faster a call is than with one thread; `None` if one is all.
    """

    call: str
    frames: int
    call_ms: float
    limit_ms: float | None
    groups: tuple[GroupTimes, ...]
    rest: Mapping[str, float]
    python_ms: float | None
    slowest: tuple[Part, ...]
    gain: float | None = None

    @classmethod
    def of(
        cls,
        parts: Sequence[Part],
        *,
        call: str,
        frames: int,
        call_us: float,
        gmacs: float,
        limit_ms: float | None,
        python_ms: float | None,
        rest_us: Mapping[str, float],
        unnamed_rest: str,
        gain: float | None = None,
    ) -> Self:
        """Return the times of a call with these *parts*.

        Args:
            parts: The parts, in any order.
            call: Which kind of call.
            frames: Frames a call.
            call_us: Microseconds a call.
            gmacs: Speed of a large matrix product, in 10^9 multiply-adds a second.
            limit_ms: The arithmetic limit of a frame; `None` if the multiply-adds are unknown.
            python_ms: Milliseconds a frame that Python adds to the call; `None` where it was not measured.
            rest_us: Microseconds a call of what it does beside its parts, as far as that was measured.
            unnamed_rest: What the rest of the call is.
            gain: How many times faster a call is than with one thread; `None` if one is all.
        """
        parts_us = sum(one.us for one in parts)
        rest = {**rest_us, unnamed_rest: call_us - parts_us - sum(rest_us.values())}
        slowest = sorted(parts, key=lambda one: -one.us)[:_SLOWEST]
        return cls(
            call=call,
            frames=frames,
            call_ms=call_us / 1e3 / frames,
            limit_ms=limit_ms,
            groups=_groups(parts, frames, call_us, gmacs),
            rest={name: us / 1e3 / frames for name, us in rest.items()},
            python_ms=python_ms,
            slowest=tuple(
                attrs.evolve(one, speed_of_limit=_speed_of_limit([one], gmacs))
                for one in slowest
            ),
            gain=gain,
        )


@attrs.frozen
class ProfileReport:
    """What was measured, and on what.

    Attributes:
        model: The model.
        engine: ``"native"`` or ``"litert"``.
        threads: How many threads computed.
        machine: What it ran on: processor, cores, versions.
        gmacs: Speed of a large float32 matrix product, in 10^9 multiply-adds a second, with these threads.
        calls: One for each kind of call.
    """

    model: str
    engine: str
    threads: int
    machine: dict[str, str]
    gmacs: float
    calls: tuple[CallTimes, ...]

    def to_text(self) -> str:
        """Return all of it as tables to read."""
        facts = ", ".join(f"{key} {value}" for key, value in self.machine.items())
        lines = [
            f"{self.model}, engine {self.engine}, {self.threads} threads",
            facts,
            f"large matrix product: {self.gmacs:.0f} GMAC/s (multiply-adds)",
            "times are lower quartiles; a call is the sum of its parts and of what is around them"
            if self.engine == "native"
            else "operator times are whole microseconds, rounded down; lower quartiles",
        ]
        if self.threads > 1:
            lines.append(f"gain: of {self.threads} threads, over one")
        for call in self.calls:
            lines += ["", *_lines(call)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return attrs.asdict(self)


def gain_of(parts: Sequence[Part]) -> float | None:
    """Return how many times faster *parts* are than with one thread; `None` if that is not known."""
    us = sum(one.us for one in parts)
    before = [one.us_of_one_thread for one in parts]
    known = [one for one in before if one is not None]
    return sum(known) / us if us and len(known) == len(before) else None


def _groups(
    parts: Sequence[Part], frames: int, call_us: float, gmacs: float
) -> tuple[GroupTimes, ...]:
    by_group: dict[str, list[Part]] = {}
    for one in parts:
        by_group.setdefault(one.group, []).append(one)
    found = []
    for group, members in by_group.items():
        us = sum(one.us for one in members)
        sizes = [one.num_bytes for one in members if one.num_bytes is not None]
        found.append(
            GroupTimes(
                group=group,
                parts=len(members),
                ms=us / 1e3 / frames,
                share=us / call_us,
                multiply_adds=sum(one.multiply_adds for one in members) / 1e6 / frames,
                speed_of_limit=_speed_of_limit(members, gmacs),
                megabytes=sum(sizes) / 1e6 / frames if sizes else None,
                gain=gain_of(members),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.ms))


def _speed_of_limit(parts: Sequence[Part], gmacs: float) -> float | None:
    multiply_adds = sum(one.multiply_adds for one in parts)
    us = sum(one.us for one in parts)
    return multiply_adds / (us * 1e3) / gmacs if multiply_adds and us else None


def _lines(call: CallTimes) -> list[str]:
    limit = ""
    if call.limit_ms is not None:
        share = call.limit_ms / call.call_ms
        limit = f", limit {call.limit_ms:.3f} ms ({share:.0%})"
    has_bytes = any(one.megabytes is not None for one in call.groups)
    lines = [
        f"{call.call} ({call.frames}): {call.call_ms:.3f} ms a frame{limit}{_gain(call.gain, ', gain ')}",
        f"{'a frame':36} {'ms':>8} {'share':>6} {'parts':>5} {'M madds':>8} {'of limit':>8}"
        + (f" {'MB':>7}" if has_bytes else "")
        + ("" if call.gain is None else f" {'gain':>5}"),
    ]
    for one in call.groups:
        size = "" if one.megabytes is None else f" {one.megabytes:7.2f}"
        lines.append(
            f"{one.group:36} {one.ms:8.3f} {one.share:6.0%} {one.parts:5} "
            f"{one.multiply_adds:8.2f} {_share(one.speed_of_limit):>8}{size}{_gain(one.gain, ' ')}"
        )
    for name, ms in call.rest.items():
        lines.append(f"{name:36} {ms:8.3f} {ms / call.call_ms:6.0%}")
    if call.python_ms is not None:
        lines.append(f"{'Python, on top of the call':36} {call.python_ms:8.3f}")
    gain = "" if call.gain is None else f" {'gain':>5}"
    lines += [
        "slowest of all:",
        f"{'us a call':>9} {'M madds':>8} {'of limit':>8}{gain}",
    ]
    for part in call.slowest:
        count = f"{part.multiply_adds / 1e6:.2f}" if part.multiply_adds else ""
        lines.append(
            f"{part.us:9.1f} {count:>8} {_share(part.speed_of_limit):>8}{_gain(gain_of([part]), ' ')} {part.name}"
        )
    return lines


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _gain(gain: float | None, before: str = "") -> str:
    return "" if gain is None else f"{before}{gain:5.2f}"
