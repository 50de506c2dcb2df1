"""Runs the command ``movinet-lite``.

It stands outside the package, so that Ctrl-C ends the command quietly while the package is still being imported.
"""

from __future__ import annotations

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from movinet_lite.cli import main as run

        return run()
    except KeyboardInterrupt:
        return _INTERRUPTED
