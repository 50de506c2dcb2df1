"""Opens the models whose speed is measured: compiled ones, which tell how long their own calls take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from movinet_lite.engines import load_model
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.engines.native.streams import NativeStreamModel
from movinet_lite.errors import ModelError

__all__ = ["CompiledModel", "MeasuredEngine", "load_measured"]

MeasuredEngine: TypeAlias = Literal["auto", "native", "litert"]
"""The engine to measure; ``"auto"`` is the one that the model gets if none is asked for."""

CompiledModel: TypeAlias = NativeStreamModel | LiteRTStreamModel
"""A stream model with ``last_call_s``, the seconds that the engine took in the last step."""


def load_measured(
    path: Path,
    *,
    engine: MeasuredEngine = "auto",
    threads: int | None = None,
    streams: int = 1,
) -> CompiledModel:
    """Return the stream model at *path*, compiled.

    Args:
        path: The model, as for `load_model`.
        engine: The engine.
        threads: Number of threads; `None` for one per core.
        streams: Number of streams to step in one call.

    Raises:
        ConversionError: If it cannot be compiled.
        ModelError: If it cannot be loaded, or another engine runs it.
    """
    model = load_model(path, "stream", engine=engine, threads=threads, streams=streams)
    if engine == "auto" and model.info.engine == "tensorflow":
        # Says why the model could not be compiled.
        model = load_model(path, "stream", engine="litert", threads=threads)
    if not isinstance(model, CompiledModel):
        raise ModelError(
            f"only a stream model of the native engine or of LiteRT can be measured; this one runs on {model.info.engine}",
            path,
        )
    return model
