"""Opens ``.tflite`` files as stream models: this library's and others'."""

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
    """Return the stream model in a ``.tflite`` file, ours or one that others made.

    Args:
        path: A file with one signature: float32, with float16 weights, or quantised to 8 bits in part or whole. Files
            of others take one frame a call.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages; *path* if `None`.
        labels: The names of the classes of a file of others, if they are known.

    Raises:
        ModelError: If it is no such file.
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
    """Return the stream model in files of ours.

    Args:
        paths: The files, one a kind of call; one must be for one stream and one frame.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages.
        labels: The labels of the classes; `None` for those in the file for one stream and one frame.

    Raises:
        LabelsError: If the labels are not as many as the classes.
        ModelError: If they are no stream model.
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
