"""The names of stream states, and the check that states fit a model.

Published models name one state in three ways: ``state/b0/l0/stream_buffer`` (the models on TF Hub),
``state_b0_l0_stream_buffer`` (the arguments of their signature ``call``) and ``state_block0_layer0_stream_buffer``
(exports of the Model Garden since 2.7, and the published TFLite files). They are paired by what they mean, never by
order or shape.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.errors import ModelError, SessionError, said_by

__all__ = [
    "canonical_state_name",
    "fit_states",
    "is_frame_count",
    "is_state_name",
    "pair_names",
]

_LAYER = re.compile(r"^(?:state[/_])?b(?:lock)?(\d+)[/_]l(?:ayer)?(\d+)[/_](\w+)$")
_PLACE = re.compile(r"^(?:state[/_])?(stem|head)[/_](\w+)$")


def canonical_state_name(name: str) -> str:
    """Return the name that the models on TF Hub give the state that *name* means.

    A name of no published form comes back as it is.

    Example:
        >>> canonical_state_name("state_block0_layer2_stream_buffer")
        'state/b0/l2/stream_buffer'
        >>> canonical_state_name("state_head_pool_frame_count")
        'state/head/pool_frame_count'
    """
    if found := _LAYER.match(name):
        block, layer, kind = found.groups()
        return f"state/b{block}/l{layer}/{kind}"
    if found := _PLACE.match(name):
        return f"state/{found[1]}/{found[2]}"
    return name


def is_frame_count(name: str) -> bool:
    """Return whether the state called *name* counts frames.

    Example:
        >>> is_frame_count("state_head_pool_frame_count"), is_frame_count("state/head/pool_buffer")
        (True, False)
    """
    return name.endswith("frame_count")


def is_state_name(name: str) -> bool:
    """Return whether *name* is that of a state, in any published form.

    Example:
        >>> is_state_name("state_head_pool_buffer"), is_state_name("image")
        (True, False)
    """
    return canonical_state_name(name).startswith("state/")


def pair_names(
    wanted: Iterable[str], given: Iterable[str], *, source: object, what: str
) -> dict[str, str]:
    """Return for each name of *wanted* the one of *given* that means the same state.

    Args:
        wanted: Names in one form.
        given: Names in the same or another form.
        source: The model, for the message.
        what: What *given* are, for the message.

    Raises:
        ModelError: If a name has no partner, or two names mean one state.
    """
    by_meaning: dict[str, str] = {}
    for name in given:
        meaning = canonical_state_name(name)
        if meaning in by_meaning:
            raise ModelError(
                f"every state must have one name among {what}; {by_meaning[meaning]!r} and {name!r} mean the same",
                str(source),
            )
        by_meaning[meaning] = name
    pairs = {}
    for name in wanted:
        meaning = canonical_state_name(name)
        if meaning not in by_meaning:
            raise ModelError(
                f"every state must stand among {what}; {name!r} does not",
                str(source),
                name,
                tuple(by_meaning.values()),
            )
        pairs[name] = by_meaning.pop(meaning)
    if by_meaning:
        raise ModelError(
            f"{what} must be the states alone; got also {min(by_meaning.values())!r}",
            str(source),
        )
    return pairs


def fit_states(given: object, expected: States) -> dict[str, NDArray[Any]]:
    """Return copies of the states *given* under the names, in the order and of the dtype of *expected*.

    Args:
        given: State names, in any published form, to arrays.
        expected: The states of an empty stream of the model that they are for; only their names, shapes and dtypes
            count.

    Raises:
        SessionError: If a state is missing, unknown, or of another shape or kind, holds a number that is not finite or
            does not fit its dtype, or if the counts of frames contradict each other or their sums; the message names the
            first that differs.
    """
    if not isinstance(given, Mapping):
        raise SessionError(
            f"states must be a mapping of names to arrays; got {type(given).__name__}"
        )
    by_meaning = {
        canonical_state_name(str(name)): value for name, value in given.items()
    }
    if len(by_meaning) < len(given):
        raise SessionError("states must name each state once; got one under two names")
    fitted: dict[str, NDArray[Any]] = {}
    for name, pattern in expected.items():
        meaning = canonical_state_name(name)
        if meaning not in by_meaning:
            raise SessionError(
                f"states must hold all {len(expected)} states of the model; {name!r} is missing"
                f"{_nearest(name, given)}"
            )
        fitted[name] = _fit_state(name, by_meaning.pop(meaning), pattern)
    if by_meaning:
        raise SessionError(
            f"states must be those of this model alone; it has none called {next(iter(by_meaning))!r} "
            "(states of another variant?)"
        )
    _check_counts(fitted)
    return fitted


def _fit_state(name: str, value: object, pattern: NDArray[Any]) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except Exception as error:
        raise SessionError(
            f"state {name!r} must be an array of shape {pattern.shape}; got a {type(value).__name__} "
            f"that numpy cannot read: {said_by(error)}"
        ) from error
    if array.shape != pattern.shape:
        raise SessionError(
            f"state {name!r} must have shape {pattern.shape}; got {array.shape} "
            "(states of another variant or frame size?)"
        )
    # Whole numbers where real ones belong would be the stored form of a quantised model.
    kinds = "f" if pattern.dtype.kind == "f" else "iu"
    if array.dtype.kind not in kinds:
        raise SessionError(f"state {name!r} must be {pattern.dtype}; got {array.dtype}")
    with np.errstate(over="ignore"):  # refused below
        fitted = array.astype(pattern.dtype, copy=True)
    if fitted.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise SessionError(f"state {name!r} must be finite; got NaN or infinity")
        if not np.isfinite(fitted).all():
            raise SessionError(
                f"state {name!r} must fit {pattern.dtype}; got {array[~np.isfinite(fitted)][0]:g}"
            )
    elif not np.array_equal(fitted, array):
        raise SessionError(
            f"state {name!r} must fit {pattern.dtype}; got {array[fitted != array][0]}"
        )
    return fitted


def _check_counts(states: States) -> None:
    """Refuse counts that no stream has: below 0, unequal, or 0 with a sum over frames.

    A count may be 0 next to others where the model takes no mean there: the published int8 files pass such states on as
    they are, sum and all.
    """
    counts: dict[int, str] = {}
    for name in filter(is_frame_count, states):
        lowest, highest = int(np.min(states[name])), int(np.max(states[name]))
        if lowest < 0:
            raise SessionError(
                f"state {name!r} counts frames and must be at least 0; got {lowest}"
            )
        total = name.removesuffix("frame_count") + "buffer"
        if highest == 0 and total in states and np.any(states[total]):
            raise SessionError(
                f"state {name!r} must count the frames whose sum {total!r} is; got 0 frames with a sum that is not 0"
            )
        if highest:
            counts[highest] = name
    ours_alone = all(canonical_state_name(name).startswith("state/") for name in states)
    if len(counts) > 1 and ours_alone:
        (one, name), (other, second), *_ = counts.items()
        raise SessionError(
            f"all counts of frames must be one number; {name!r} is {one} and {second!r} is {other}"
        )


def _nearest(name: str, given: Mapping[Any, Any]) -> str:
    near = difflib.get_close_matches(name, [str(key) for key in given], n=1, cutoff=0.9)
    return f" (the nearest given is {near[0]!r})" if near else ""
