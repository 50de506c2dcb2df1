"""Connects to a Ray cluster, or says in bounded time that it cannot be reached."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from movinet_lite.errors import ClusterError, MissingDependencyError, said_by

__all__ = ["check_ray", "connected"]

_HOST_AND_PORT: Final = re.compile(r"(?:ray://)?\[?(?P<host>[^/]+?)\]?:(?P<port>\d+)")
_SOCKET_TIMEOUT_S: Final = 10.0
_TRIAL_TIMEOUT_S: Final = 60.0
_TRIAL: Final = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)"


def check_ray() -> None:
    """Refuse to begin what cannot be computed.

    Raises:
        MissingDependencyError: If Ray is not installed.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("ray", "cluster") from error


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a Ray cluster within the block. A connection that the process already has is used, and kept.

    Args:
        address: Such as ``"10.0.0.1:6379"``, ``"ray://10.0.0.1:10001"`` or ``"auto"``; `None` for that in ``RAY_ADDRESS``,
            for a cluster that runs on this machine, or for a new one on this machine alone, in this order.

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
    if address and address != "local":
        _check_address(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray has many
        raise _unreachable(address, said_by(error)) from error
    try:
        yield
    finally:
        # Handles that are collected later would take the actors of the same numbers from the next connection.
        gc.collect()
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address that nobody answers, or nobody who speaks as Ray: Ray itself would wait for minutes."""
    parts = _HOST_AND_PORT.fullmatch(address)
    if parts:
        try:
            place = (parts["host"], int(parts["port"]))
            socket.create_connection(place, _SOCKET_TIMEOUT_S).close()
        except (OSError, OverflowError, ValueError) as error:
            raise _unreachable(address, said_by(error)) from error
    try:
        subprocess.run(  # noqa: S603 - a connection that hangs cannot be interrupted, a process can
            [sys.executable, "-c", _TRIAL, address],
            check=True,
            timeout=_TRIAL_TIMEOUT_S,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(
            address, f"no answer within {_TRIAL_TIMEOUT_S:g} s"
        ) from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise _unreachable(address, last[0]) from error


def _unreachable(address: str | None, said: str) -> ClusterError:
    return ClusterError(
        f"the Ray cluster must be one that can be reached; got {said}", address or ""
    )
