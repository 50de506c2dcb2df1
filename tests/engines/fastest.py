"""The engine that ``engine="auto"`` takes for streams on this machine."""

from typing import Final

from movinet_lite.engines.native.target import why_not

FASTEST: Final = "litert" if why_not() else "native"

OF_STREAMS: Final = ("tensorflow", *dict.fromkeys(("litert", FASTEST)))
"""The engines for streams that this machine has, ONNX Runtime aside."""
