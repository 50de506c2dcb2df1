"""Resolves a name, URL, Kaggle handle or path to a local model, and downloads it if needed.

What is not here yet is downloaded once and kept in the cache (`movinet_lite.hub.cache`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from movinet_lite import demo
from movinet_lite.errors import ModelError
from movinet_lite.hub.fetching import fetch_first, find_cached, how_to_get_it_by_hand
from movinet_lite.hub.handles import (
    DEMO_NAME,
    MODEL_NAMES,
    find_remotes,
    is_demo,
    is_kaggle_handle,
)
from movinet_lite.hub.huggingface import fetch_from_huggingface, is_huggingface
from movinet_lite.hub.local import check_demo, check_local
from movinet_lite.network.variants import Mode, as_mode

__all__ = ["available_models", "download_model", "resolve_model", "resolve_weights"]


def available_models() -> tuple[str, ...]:
    """Return the names that models can be loaded by.

    ``"demo"`` ships with the package and is a stream model alone. Each of the others is a base and a stream model,
    downloaded on first use.

    Example:
        >>> available_models()
        ('demo', 'a0', 'a1', 'a2', 'a3', 'a4', 'a5')
    """
    return (DEMO_NAME, *MODEL_NAMES)


def download_model(
    name: str, mode: Mode = "stream", *, progress: bool | None = None
) -> Path:
    """Download a model into the cache, unless it is there, and return where it is.

    A later ``load`` of the same name and mode then needs no network.

    Args:
        name: One of `available_models`; or an address or a Kaggle handle, as `resolve_model` takes it.
        mode: Which model of the name: ``"stream"`` or ``"base"``.
        progress: Whether to draw a bar on standard error; `None` if that is a terminal.

    Returns:
        The folder of a SavedModel, or a file.

    Raises:
        ModelError: If the model cannot be downloaded; the message says how to get it by hand.
        VariantError: If there is no such name or mode.
    """
    return resolve_model(name, mode, progress=progress)


def resolve_model(
    source: str | os.PathLike[str],
    mode: Mode,
    *,
    offline: bool = False,
    progress: bool | None = None,
) -> Path:
    """Return where a model is on this machine, after downloading it if need be.

    A name is looked for on tfhub.dev, then on Kaggle. A model that is in the cache is used without any look at the
    network. The environment variable ``MOVINET_LITE_HUB`` names a mirror to ask in place of tfhub.dev and Kaggle.

    Args:
        source: ``demo``; one of `MODEL_NAMES`; an address on tfhub.dev or kaggle.com; a Kaggle handle such as
            ``google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3``; another ``http(s)`` address of a
            ``.tar.gz``, ``.tflite``, ``.safetensors`` or ``.pt`` file; ``hf://owner/name[/file][@revision]`` for a
            model on Hugging Face, kept in its own cache; or a path. A name comes before a file of that name: write
            ``./a0`` for it.
        mode: Whether a model for whole clips or for streams is wanted.
        offline: Whether the network must not be touched. ``MOVINET_LITE_OFFLINE=1`` in the environment says so for
            all calls.
        progress: Whether to draw a bar on standard error while downloading; `None` if that is a terminal.

    Returns:
        The folder of a SavedModel, a ``.tflite``, ``.onnx`` or ``.safetensors`` file, a file of PyTorch, or the ``.index``
        file of a checkpoint. Whether it really is a MoViNet is for the engine to see.

    Raises:
        MissingDependencyError: If it is on Hugging Face, and its package is not installed.
        ModelError: If there is no such model, or it cannot be fetched; the message says how to get it by hand.
        VariantError: If *source* is no known name, nor anything else.
    """
    mode = as_mode(mode)
    if is_demo(source):
        return check_demo(demo.MODEL, mode)
    if not isinstance(source, (str, os.PathLike)):
        raise ModelError(
            f"a model must be a name, an address, a Kaggle handle or a path; got {source!r}"
        )
    if not isinstance(source, str) or _is_path(source):
        return check_local(source)
    offline = offline or _is_offline()
    if is_huggingface(source):
        return fetch_from_huggingface(source, offline=offline)
    return _find_or_fetch(source, mode, offline=offline, progress=progress)


def _find_or_fetch(
    source: str, mode: Mode, *, offline: bool, progress: bool | None
) -> Path:
    """Return a model of the cache of ours, after downloading it if need be."""
    remotes = find_remotes(source, mode)
    for remote in remotes:
        model = find_cached(remote)
        if model is not None:
            return model
    if offline:
        raise ModelError(
            "the model is not in the cache, and offline was asked for, so it is not downloaded; "
            + how_to_get_it_by_hand(remotes[-1]),
            source,
        )
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    return fetch_first(source, remotes, progress=progress)


def resolve_weights(
    source: str | os.PathLike[str], mode: Mode, *, offline: bool = False
) -> Path:
    """Return where a model is on this machine in a form that can be trained, run by TensorFlow or written anew.

    As `resolve_model`, but of ``demo`` the ``.safetensors`` file. What was found elsewhere may still be a ``.tflite``
    file.
    """
    if is_demo(source):
        return check_demo(demo.WEIGHTS, as_mode(mode))
    return resolve_model(source, mode, offline=offline)


def _is_path(source: str) -> bool:
    if not source or source.lower() in MODEL_NAMES or "://" in source:
        return False
    if source.startswith("~") or any(map(os.path.exists, (source, f"{source}.index"))):
        return True
    looks_like_path = "/" in source or os.sep in source or Path(source).suffix != ""
    return looks_like_path and not is_kaggle_handle(source)


def _is_offline() -> bool:
    said = os.environ.get("MOVINET_LITE_OFFLINE", "").strip().lower()
    return said not in {"", "0", "false", "no", "off"}
