"""Strategies for what enters and leaves the library: labels, scores, frames and clips."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

_NO_NAME = "\r\n\ufeff"


def label_names() -> st.SearchStrategy[str]:
    """Return a strategy for names that a class may have: any text of one line."""
    text = st.text(
        st.characters(codec="utf-8", exclude_characters=_NO_NAME), max_size=8
    )
    return text.filter(lambda name: name.strip() != "")


def label_lists(
    min_size: int = 1, max_size: int = 8
) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy for labels, each of them once."""
    lists = st.lists(label_names(), min_size=min_size, max_size=max_size, unique=True)
    return lists.map(tuple)


def labels_of(num_classes: int) -> tuple[str, ...]:
    """Return plain labels for *num_classes* classes."""
    return tuple(f"class {index}" for index in range(num_classes))


def scores(
    max_classes: int = 12, *, min_classes: int = 1
) -> st.SearchStrategy[NDArray[np.float32]]:
    """Return a strategy for scores, ``(classes,)`` float32, with and without ties."""
    anything = st.floats(-1e4, 1e4, width=32)
    few = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 1.0])
    shape = st.integers(min_classes, max_classes)
    return st.one_of(
        npst.arrays(np.float32, shape, elements=few),
        npst.arrays(np.float32, shape, elements=anything),
    )


def logits_over_time(
    max_frames: int = 6, max_classes: int = 6
) -> st.SearchStrategy[NDArray[np.float32]]:
    """Return a strategy for logits, ``(frames, classes)`` float32, with ties in and between frames."""
    shape = st.tuples(st.integers(1, max_frames), st.integers(1, max_classes))
    return npst.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0, 2.0]))


def frames(max_side: int = 6) -> st.SearchStrategy[NDArray[np.uint8 | np.float32]]:
    """Return a strategy for frames, ``(height, width, 3)``, uint8 or float32."""
    sides = st.integers(1, max_side)
    return _pictures(st.tuples(sides, sides, st.just(3)))


def clips(
    max_frames: int = 4, max_side: int = 6
) -> st.SearchStrategy[NDArray[np.uint8 | np.float32]]:
    """Return a strategy for clips, ``(frames, height, width, 3)``, uint8 or float32."""
    sides = st.integers(1, max_side)
    return _pictures(st.tuples(st.integers(1, max_frames), sides, sides, st.just(3)))


def _pictures(
    shape: st.SearchStrategy[tuple[int, ...]],
) -> st.SearchStrategy[NDArray[np.uint8 | np.float32]]:
    return st.one_of(
        npst.arrays(np.uint8, shape),
        npst.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)),
    )
