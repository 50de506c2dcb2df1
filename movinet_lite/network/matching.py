"""Checks that a file holds the weights of a network, each exactly once and in its shape; one wording for all formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from movinet_lite.errors import ModelError
from movinet_lite.network.variants import (
    Variant,
    get_variant,
    known_variants,
    recognise_variant,
)

__all__ = ["check_complete", "listed", "variant_of", "wrong_shape"]

_LAYER: Final = re.compile(r"b(\d+)/l(\d+)/")
_SHOWN: Final = 3


def variant_of(names: Iterable[str], path: str | Path) -> Variant:
    """Return the variant that has the layers of the weights *names*, such as ``b0/l0/scale``.

    Raises:
        ModelError: If there is none.
    """
    names = list(names)
    variant = recognise_variant(names)
    if variant is not None:
        return variant
    layers = {match.group(1, 2) for name in names if (match := _LAYER.match(name))}
    per_block = Counter(int(block) for block, _ in layers)
    counts = tuple(per_block[block] for block in sorted(per_block))
    known = {name: get_variant(name).layer_counts for name in known_variants()}
    variants = ", ".join(f"{name} {value}" for name, value in known.items())
    raise ModelError(
        f"the layers in each block must be those of a variant ({variants}); got {counts or 'none'}",
        path,
        known,
        counts,
    )


def check_complete(
    missing: Sequence[str],
    left_over: Sequence[str],
    *,
    model: str,
    path: str | Path,
    cause: str,
) -> None:
    """Check that no weight of a network is missing in a file, and none is left over.

    Args:
        missing: The weights that the file lacks.
        left_over: The weights in the file that the network does not have.
        model: Variant and mode of the network, for the message.
        path: The file.
        cause: What is likely to be the reason.

    Raises:
        ModelError: If there is any; the message names the first ones.
    """
    if not missing and not left_over:
        return
    parts = [f"the file must contain each weight of {model} exactly once"]
    if missing:
        parts.append(f"{len(missing)} missing: {listed(missing)}")
    if left_over:
        parts.append(f"{len(left_over)} left over: {listed(left_over)}")
    raise ModelError(
        f"{'; '.join(parts)} ({cause})", path, tuple(missing), tuple(left_over)
    )


def wrong_shape(
    name: str,
    expected: tuple[int, ...],
    got: tuple[int, ...],
    *,
    model: str,
    path: str | Path,
    cause: str,
) -> ModelError:
    """Return the error for a weight of another shape; see `check_complete` for the arguments."""
    return ModelError(
        f"the weight {name!r} of {model} must have shape {expected}; got {got} ({cause})",
        path,
        expected,
        got,
    )


def listed(names: Iterable[object]) -> str:
    """Return the first *names* as text."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")
