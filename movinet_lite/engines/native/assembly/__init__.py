"""Writes the code of a planned network."""

from movinet_lite.engines.native.assembly.network import write_code

__all__ = ["write_code"]
