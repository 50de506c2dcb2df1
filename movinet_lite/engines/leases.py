"""Takes memory back when the object that holds it ends, without any Python code."""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["Lease"]


class Lease(weakref.ref[Any]):
    """Keeps what is lent to an object; its callback, a C function, takes it back when the object ends.

    Only C code runs then: an exception in a finaliser written in Python would be printed and lost, Ctrl-C among them.
    The object must hold its lease as an attribute: Python clears weak references before attributes, so that the lease is
    still alive.

    Attributes:
        lent: What is lent.
    """

    __slots__ = ("lent",)

    lent: Any
