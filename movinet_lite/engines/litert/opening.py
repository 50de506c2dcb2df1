"""Opens ``.tflite`` files as stream models: those of this library and of others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.litert.graphs import Graph
from movinet_lite.engines.litert.step_graphs import ONE_FRAME, Call, StepGraph
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import LiteRTInfo, read_litert_info
from movinet_lite.network.variants import check_mode, recognise_variant

__all__ = ["load_graphs", "load_tflite"]


def load_tflite(
    path: str | Path,
    *,
    threads: int | None = None,
    source: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> LiteRTStreamModel:
    """Return the stream model in a ``.tflite`` file, of this library or another.

    Args:
        path: A file with one signature: float32, or with float16, dynamic-range or full-integer quantisation. Other
            libraries' files must accept one frame per call.
        threads: The number of threads; `None` for one per core.
        source: The name of the model in messages; *path* if `None`.
        labels: The labels for a file of another library, if known.

    Raises:
        ModelError: If it is not such a file.
    """
    source = source or str(path)
    ours = read_litert_info(path)
    if ours is not None:
        return load_graphs([path], threads=threads, source=source)
    step = StepGraph(Graph(path, threads=1, source=source), ONE_FRAME, source)
    variant = recognise_variant(tensor.name for tensor in step.states)
    info = ModelInfo(
        source=source,
        mode="stream",
        engine="litert",
        num_classes=step.logits.shape[-1],
        variant=variant.name if variant else None,
        frame_size=step.frame_size,
        fps=variant.fps if variant else None,
        labels=labels,
    )
    return LiteRTStreamModel({ONE_FRAME: path}, info, threads=threads)


def load_graphs(
    paths: Iterable[str | Path],
    *,
    threads: int | None = None,
    source: str,
    labels: tuple[str, ...] | None = None,
) -> LiteRTStreamModel:
    """Return the stream model in files of this library.

    Args:
        paths: The files, one per kind of call; one must accept one frame of one stream.
        threads: The number of threads; `None` for one per core.
        source: The name of the model in messages.
        labels: The labels; `None` for those in the file for one frame of one stream.

    Raises:
        LabelsError: If the number of labels is not the number of classes.
        ModelError: If they are not a stream model.
    """
    by_call: dict[Call, Path] = {}
    infos: dict[Call, LiteRTInfo] = {}
    for path in paths:
        found = read_litert_info(path)
        if found is None:
            raise ModelError(
                "the file must be a stream model that this library wrote; it is none",
                source,
            )
        check_mode(found.mode, "stream", source)
        call = Call(found.batch, found.num_frames)
        by_call[call], infos[call] = Path(path), found
    if ONE_FRAME not in infos:
        raise ModelError(
            "a stream model must have a graph for one stream and one frame a call; "
            f"this one takes {', '.join(f'{call.streams} streams and {call.frames} frames' for call in infos)} "
            "(export it with num_frames=1 and batch=1)",
            source,
        )
    ours = infos[ONE_FRAME]
    info = ModelInfo.of(ours, source, "litert", labels)
    return LiteRTStreamModel(by_call, info, graph_info=ours, threads=threads)
