"""Connects to a Ray cluster, or reports in bounded time that it cannot be reached.

References:
    [1] RFC 9113, HTTP/2, sections 3.4 (the preface of a connection), 4.1 (the header of a frame) and 6.5 (SETTINGS).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import socket
from collections.abc import Iterator
from typing import Final

from movinet_lite.errors import ClusterError, MissingDependencyError, said_by

__all__ = ["check_ray", "connected"]

_HOST_AND_PORT: Final = re.compile(r"(?:ray://)?\[?(?P<host>[^/]+?)\]?:(?P<port>\d+)")
_TIMEOUT_S: Final = 10.0
_FRAME_HEADER_LENGTH: Final = 9
_SETTINGS: Final = 4  # the type of the frame that both sides send first
_PREFACE: Final = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + bytes([_SETTINGS]) + b"\0\0\0\0\0"
)


def check_ray() -> None:
    """Check that Ray is installed.

    Raises:
        MissingDependencyError: If Ray is not installed.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("ray", "cluster") from error


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a Ray cluster for the block. An existing connection of the process is used, and kept.

    Args:
        address: The address, such as ``"10.0.0.1:6379"``, ``"ray://10.0.0.1:10001"`` or ``"auto"``; `None` for
            ``RAY_ADDRESS``, a running cluster on this machine, or a new one on this machine only, in this order.

    Raises:
        ClusterError: If it cannot be reached.
        MissingDependencyError: If Ray is not installed.
    """
    check_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_address(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray has many
        # Ray says no more of a missing token than that it failed to connect.
        advice = (
            ""
            if os.environ.get("RAY_AUTH_MODE") == "token"
            else " (if it was started with token authentication, set RAY_AUTH_MODE=token)"
        )
        raise _unreachable(address, said_by(error) + advice) from error
    try:
        yield
    finally:
        # Handles that are garbage-collected later would release actors with the same numbers of the next connection.
        gc.collect()
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise an error for an address without a gRPC server [1], for which Ray itself would wait for minutes."""
    parts = _HOST_AND_PORT.fullmatch(address)
    if parts is None:
        return
    try:
        place = (parts["host"], int(parts["port"]))
        with socket.create_connection(place, _TIMEOUT_S) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            connection.sendall(_PREFACE)
            answer = connection.recv(_FRAME_HEADER_LENGTH)
    except (OSError, OverflowError) as error:
        raise _unreachable(address, said_by(error)) from error
    if len(answer) < _FRAME_HEADER_LENGTH or answer[3] != _SETTINGS:
        raise _unreachable(address, "an answer that is not of Ray")


def _unreachable(address: str | None, said: str) -> ClusterError:
    return ClusterError(f"the Ray cluster cannot be reached; got {said}", address or "")
