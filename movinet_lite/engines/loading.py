"""Loads a model by name, URL or path on the chosen engine."""

from __future__ import annotations

import functools
import logging
import warnings
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args, overload

from movinet_lite.arrays import FrameSize, check_frame_size
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.compiled import load_compiled
from movinet_lite.engines.exported_onnx import load_as_onnx
from movinet_lite.engines.few_shot.files import is_few_shot, load_few_shot
from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.engines.native.target import why_not
from movinet_lite.engines.onnx.opening import load_onnx
from movinet_lite.engines.onnx.runtime import Provider
from movinet_lite.engines.opening import (
    check_form,
    is_checkpoint,
    known_labels,
    open_as_it_is,
)
from movinet_lite.errors import (
    ConversionError,
    LabelsError,
    ModelError,
    MoViNetError,
    said_by,
)
from movinet_lite.hub import resolve_model, resolve_weights
from movinet_lite.network.spec import Functions
from movinet_lite.network.variants import Mode

__all__ = ["MAX_THREADS", "Engine", "load_model"]

_LOG = logging.getLogger("movinet_lite.engines")

Engine: TypeAlias = Literal["auto", "native", "litert", "tensorflow", "onnx"]
"""The runtime: ``"tensorflow"`` runs a model unchanged, ``"native"`` a stream model as machine code made for this CPU,
``"litert"`` a model compiled for LiteRT, ``"onnx"`` one exported for ONNX Runtime; ``"auto"`` is ONNX Runtime for an
``.onnx`` file, and otherwise the fastest on CPU that reproduces the logits of the source."""


MAX_THREADS: Final = 1024
"""Maximum number of threads of a model; LiteRT and TensorFlow fail with unclear errors if the system cannot start as
many."""


@overload
def load_model(
    source: str | Path,
    mode: Literal["base"],
    *,
    engine: Engine = ...,
    threads: int | None = ...,
    frame_size: FrameSize | None = ...,
    streams: int = ...,
    offline: bool = ...,
    provider: Provider | None = ...,
    functions: Functions | None = ...,
) -> ClipModel: ...
@overload
def load_model(
    source: str | Path,
    mode: Literal["stream"],
    *,
    engine: Engine = ...,
    threads: int | None = ...,
    frame_size: FrameSize | None = ...,
    streams: int = ...,
    offline: bool = ...,
    provider: Provider | None = ...,
    functions: Functions | None = ...,
) -> StreamModel: ...
def load_model(  # noqa: C901, PLR0911 - one branch a form of a model
    source: str | Path,
    mode: Mode,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    streams: int = 1,
    offline: bool = False,
    provider: Provider | None = None,
    functions: Functions | None = None,
) -> ClipModel | StreamModel:
    """Return the model at *source*, downloading it if needed.

    Args:
        source: A name, URL, handle or path; see `movinet_lite.hub.resolve_model`.
        mode: The mode of the model: ``"stream"`` or ``"base"``.
        engine: The runtime; see `Engine`.
        threads: Number of threads; `None` for one per core, of the native engine at most 8.
        frame_size: The ``(height, width)`` of the frames; `None` for the model's own.
        streams: Number of streams to step in one call, for models compiled for LiteRT. The native engine steps any
            number, the others step them one by one, with the same predictions.
        offline: Whether to use only local and cached models.
        provider: The execution provider of ONNX Runtime, such as ``"cuda"``; `None` for the CPU.
        functions: The activation and the gate of a checkpoint; `None` if not given.

    Warns:
        UserWarning: If *engine* is ``"auto"`` and the model cannot be compiled, or the compiled model computes other
            logits; or if *streams* has no effect.

    Raises:
        ArrayError: If *frame_size* is invalid.
        ConversionError: The same with *engine* ``"litert"`` or ``"native"``.
        ModelError: If the model cannot be found, downloaded or read, is not of this *mode*, or *functions* are given
            for a model that is not a checkpoint.
    """
    _check_options(source, mode, engine, threads, streams)
    if frame_size is not None:
        frame_size = check_frame_size(frame_size)
    if is_few_shot(source):
        return load_few_shot(
            source,
            mode,
            lambda base, taught_size: load_model(
                base,
                mode,
                engine=engine,
                threads=threads,
                frame_size=frame_size or taught_size,
                streams=streams,
                offline=offline,
                provider=provider,
                functions=functions,
            ),
        )
    find = (
        resolve_weights if engine in {"tensorflow", "onnx", "native"} else resolve_model
    )
    path = find(source, mode, offline=offline)
    functions = functions or Functions()
    functions.check_needed(str(source), is_checkpoint=is_checkpoint(path))
    if path.suffix == ".onnx" or engine == "onnx":
        return _load_onnx(
            path,
            mode,
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            provider=provider,
            functions=functions,
            source=str(source),
        )
    if provider is not None:
        raise ModelError(
            f"provider={provider!r} is for ONNX Runtime; got engine={engine!r} (use engine='onnx', or an .onnx file)",
            source,
        )
    if streams > 1 and (path.suffix == ".tflite" or engine == "tensorflow"):
        warnings.warn(
            f"streams={streams} has no effect: only compiled models step several streams in one call; "
            f"{'a .tflite file' if path.suffix == '.tflite' else 'TensorFlow'} steps them one by one (use engine='native', "
            "which steps any number, or the SavedModel or .safetensors file with engine='litert'; or omit streams)",
            UserWarning,
            stacklevel=3,
        )
    if path.suffix == ".tflite":
        return _load_tflite(path, mode, engine, threads, str(source))
    check_form(path, mode, str(source))
    labels = known_labels(path, str(source))
    open_slowly = functools.partial(
        open_as_it_is,
        path,
        mode,
        str(source),
        threads=threads,
        labels=labels,
        functions=functions,
    )
    if engine == "tensorflow":
        return open_slowly()
    if engine == "native" or (engine == "auto" and mode == "stream" and not why_not()):
        try:
            from movinet_lite.engines.native.opening import load_native

            return load_native(
                path,
                source=str(source),
                threads=threads,
                frame_size=frame_size,
                labels=labels,
                functions=functions,
            )
        except Exception as error:  # noqa: BLE001 - raised, or told in the log
            _raise_if_final(error, engine, source)
            _LOG.info(
                "%s runs on LiteRT, not on the native engine: %s", source, _why(error)
            )
    try:
        return load_compiled(
            path,
            mode,
            source=str(source),
            threads=threads,
            frame_size=frame_size,
            streams=streams,
            labels=labels,
            functions=functions,
        )
    except Exception as error:  # noqa: BLE001 - raised, or told in a warning
        # Anything that stops a converter: its own errors, those of TensorFlow or LiteRT, a full disk, too little memory.
        _raise_if_final(error, engine, source)
        # TensorFlow's engine has better messages for errors of the model itself.
        remark = ""
        if threads is not None and not _takes_threads(threads, str(source)):
            remark = f", with its own number of threads, not {threads}"
            open_slowly = functools.partial(open_slowly, threads=None)
        model = open_slowly()
        warnings.warn(
            f"TensorFlow runs the model, several times slower{remark}, since it could not be compiled: {_why(error)}",
            UserWarning,
            stacklevel=3,
        )
        return model


def _check_options(
    source: str | Path, mode: Mode, engine: object, threads: object, streams: object
) -> None:
    if engine not in get_args(Engine):
        raise ModelError(
            f"engine must be one of {', '.join(get_args(Engine))}; got {engine!r}",
            source,
        )
    if engine == "native" and mode == "base":
        raise ModelError(
            "the native engine runs stream models; this is a base model (use engine='litert')",
            source,
        )
    if threads is not None:
        _check_count("threads", threads, source, high=MAX_THREADS)
    _check_count("streams", streams, source)


def _takes_threads(threads: int, source: str) -> bool:
    """Set the number of threads of TensorFlow; return false if it was used before, such as by the failed compilation."""
    from movinet_lite.engines.tensorflow.saved_models import set_threads
    from movinet_lite.network.tensorflow import tf

    try:
        set_threads(tf, threads, source)
    except ModelError:
        return False
    return True


def _raise_if_final(error: Exception, engine: Engine, source: str | Path) -> None:
    """Raise errors that no other engine can resolve: wrong labels, the other mode; or any if one engine was requested."""
    if isinstance(error, LabelsError):
        raise error
    if isinstance(error, ModelError) and error.received in get_args(Mode):
        raise error
    if engine not in {"litert", "native"}:
        return
    if isinstance(error, MoViNetError):
        raise error
    if isinstance(error, OSError):
        raise ConversionError(
            f"{source}: a compiled model is stored in the cache folder, which must be writable; {error} "
            "(MOVINET_LITE_CACHE sets another one)"
        ) from error
    compiler = "LiteRT" if engine == "litert" else "the native engine"
    raise ConversionError(
        f"{source}: {compiler} must be able to compile the model; it failed with {_why(error)} "
        "(engine='tensorflow' runs the model without compilation)"
    ) from error


def _why(error: Exception) -> str:
    """Return the message of *error*, with its type if it is not one of this package."""
    if isinstance(error, (MoViNetError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {said_by(error)}"


def _check_count(
    name: str, value: object, source: str | Path, *, high: int | None = None
) -> None:
    whole = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if whole < 1 or (high is not None and whole > high):
        rule = "at least 1" if high is None else f"from 1 to {high}"
        raise ModelError(
            f"{name} must be a whole number, {rule}; got {value!r}", source
        )


def _load_onnx(
    path: Path,
    mode: Mode,
    *,
    engine: Engine,
    threads: int | None,
    frame_size: FrameSize | None,
    provider: Provider | None,
    functions: Functions,
    source: str,
) -> ClipModel | StreamModel:
    if path.suffix == ".onnx":
        if engine not in {"auto", "onnx"}:
            raise ModelError(
                f"only ONNX Runtime runs an .onnx file; got engine={engine!r} (use engine='onnx')",
                source,
            )
        return load_onnx(path, mode, provider=provider, threads=threads, source=source)
    if path.suffix == ".tflite":
        raise ModelError(
            "ONNX Runtime does not run .tflite files; use engine='litert'", source
        )
    check_form(path, mode, source)
    return load_as_onnx(
        path,
        mode,
        source=source,
        provider=provider,
        threads=threads,
        frame_size=frame_size,
        functions=functions,
        labels=known_labels(path, source),
    )


def _load_tflite(
    path: Path, mode: Mode, engine: Engine, threads: int | None, source: str
) -> ClipModel | StreamModel:
    if engine in {"tensorflow", "native"}:
        runtime = "TensorFlow" if engine == "tensorflow" else "the native engine"
        raise ModelError(
            f"{runtime} does not run .tflite files; use engine='litert'", source
        )
    if mode == "base":
        return LiteRTClipModel(path, threads=threads, source=source)
    labels = known_labels(path, source)
    return load_tflite(path, threads=threads, source=source, labels=labels)
