"""Moves the memory of a model to huge pages, where Linux has them.

A call reads all weights and states of a model once, tens of megabytes. On pages of 4 KB, the CPU looks up the address of
thousands of pages in each call, which takes 2 to 8 % of its time (docs/performance). Linux gives memory that is in use
pages of 2 MB where it is asked to [1].

Only LiteRT knows where its memory is. So what is mapped while LiteRT works for a model counts as that model's. What other
threads map in these moments may be among it, which does no harm: the contents stay, and so does what the process does later.

References:
    [1] Linux, ``madvise(2)``, ``MADV_COLLAPSE``, since 6.1; ``proc_pid_maps(5)``;
        ``Documentation/admin-guide/mm/transhuge.rst``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["HugePages"]

_Region: TypeAlias = tuple[int, int]  # from an address up to another

_COLLAPSE: Final = 25  # MADV_COLLAPSE [1]
_MAPS: Final = Path("/proc/self/maps")
_SETTINGS: Final = Path("/sys/kernel/mm/transparent_hugepage")


class HugePages:
    """The memory of one graph, to be moved to huge pages once."""

    def __init__(self) -> None:
        """Begin with no memory."""
        self._regions: list[_Region] = []
        self._is_moved = False

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note the memory that is mapped in the ``with`` block, in which LiteRT works for the graph.

        Once the memory has been moved, nothing is noted any more.
        """
        if self._is_moved or not _page_bytes():
            yield
            return
        before = _mapped()
        yield
        self._regions += _added(before, _mapped())

    def collapse(self) -> int:
        """Move the memory noted so far to huge pages, and forget it.

        Memory that cannot be moved stays as it is: the system may have no huge pages left, or be too old.

        Returns:
            How many bytes were moved.
        """
        size = _page_bytes()
        moved = 0
        for start, end in _joined(self._regions):
            first, last = -(-start // size) * size, end // size * size
            if first < last and not _advise()(first, last - first, _COLLAPSE):
                moved += last - first
        self._regions = []
        self._is_moved = True
        return moved


@functools.cache
def _page_bytes() -> int:
    """Return the size of a huge page; 0 where there are none, or the administrator has switched them off."""
    try:
        if "[never]" in (_SETTINGS / "enabled").read_text(encoding="utf-8"):
            return 0
        return int((_SETTINGS / "hpage_pmd_size").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


@functools.cache
def _advise() -> Callable[[int, int, int], int]:
    """Return the C function ``madvise``."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    found: Callable[[int, int, int], int] = advise
    return found


def _mapped() -> list[_Region]:
    """Return the memory of this process that is its own: neither files nor shared; in the order of addresses."""
    regions = []
    try:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
            start, _, end = addresses.partition("-")
            regions.append((int(start, 16), int(end, 16)))
    return regions


def _added(before: list[_Region], after: list[_Region]) -> list[_Region]:
    """Return what is in *after* and not in *before*."""
    found = []
    for start, end in sorted(set(after) - set(before)):
        for old_start, old_end in before:
            if old_end <= start:
                continue
            if old_start >= end:
                break
            if old_start > start:
                found.append((start, old_start))
            start = old_end  # noqa: PLW2901 - what is left of the region
        if start < end:
            found.append((start, end))
    return found


def _joined(regions: list[_Region]) -> list[_Region]:
    """Return *regions* in order, those that touch or overlap as one."""
    joined: list[_Region] = []
    for start, end in sorted(regions):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
