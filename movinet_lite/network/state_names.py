"""Names of a stream's states, and the check that states fit the model they are given to.

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
from movinet_lite.errors import ModelError, SessionError

__all__ = ["canonical_state_name", "fit_states", "is_state_name", "pair_names"]

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
        expected: The states of an empty stream of the model that they are for.

    Raises:
        SessionError: If a state is missing, unknown, or of another shape or kind, or holds a NaN; the message names
            the first that differs.
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
    return fitted


def _fit_state(name: str, value: object, pattern: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(value)
    if array.shape != pattern.shape:
        raise SessionError(
            f"state {name!r} must have shape {pattern.shape}; got {array.shape} "
            "(states of another variant or frame size?)"
        )
    # Whole numbers where real ones belong would be the stored form of a quantised model.
    kinds = "f" if pattern.dtype.kind == "f" else "iu"
    if array.dtype.kind not in kinds or not np.can_cast(
        array.dtype, pattern.dtype, "same_kind"
    ):
        raise SessionError(f"state {name!r} must be {pattern.dtype}; got {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise SessionError(f"state {name!r} must be finite; got NaN or infinity")
    return array.astype(pattern.dtype, copy=True)


def _nearest(name: str, given: Mapping[Any, Any]) -> str:
    near = difflib.get_close_matches(name, [str(key) for key in given], n=1, cutoff=0.9)
    return f" (the nearest given is {near[0]!r})" if near else ""
