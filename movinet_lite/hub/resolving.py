"""Resolves a name, URL, Kaggle handle or path to a local model, and downloads it if needed.

Models are downloaded once and stored in the cache (`movinet_lite.hub.cache`).
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
    """Return the names of the available models.

    ``"demo"`` ships with the package and is a stream model only. The others exist as base and stream models, and are
    downloaded on first use.

    Example:
        >>> available_models()
        ('demo', 'a0', 'a1', 'a2', 'a3', 'a4', 'a5')
    """
    return (DEMO_NAME, *MODEL_NAMES)


def download_model(
    name: str, mode: Mode = "stream", *, progress: bool | None = None
) -> Path:
    """Download a model into the cache if needed, and return its path.

    A later ``load`` of the same name and mode does not need network access.

    Args:
        name: One of `available_models`, or a URL or Kaggle handle as for `resolve_model`.
        mode: The mode of the model: ``"stream"`` or ``"base"``.
        progress: Whether to show a progress bar on standard error; `None` if that is a terminal.

    Returns:
        The folder of a SavedModel, or a file.

    Raises:
        ModelError: If the model cannot be downloaded; the message explains how to download it by hand.
        VariantError: If the name or mode does not exist.
    """
    return resolve_model(name, mode, progress=progress)


def resolve_model(
    source: str | os.PathLike[str],
    mode: Mode,
    *,
    offline: bool = False,
    progress: bool | None = None,
) -> Path:
    """Return the local path of a model, downloading it if needed.

    Names are looked up on tfhub.dev, then on Kaggle. Cached models are used without network access. The environment
    variable ``MOVINET_LITE_HUB`` sets a mirror to use instead of tfhub.dev and Kaggle.

    Args:
        source: ``demo``; one of `MODEL_NAMES`; a URL on tfhub.dev or kaggle.com; a Kaggle handle such as
            ``google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3``; another ``http(s)`` URL of a
            ``.tar.gz``, ``.tflite``, ``.safetensors`` or ``.pt`` file; ``hf://owner/name[/file][@revision]`` for a
            model on Hugging Face, stored in the Hugging Face cache; or a path. Names take precedence over files: write
            ``./a0`` for a file named ``a0``.
        mode: The mode of the model: ``"stream"`` or ``"base"``.
        offline: Whether to use only local and cached models. ``MOVINET_LITE_OFFLINE=1`` in the environment sets this
            for all calls.
        progress: Whether to show a progress bar on standard error while downloading; `None` if that is a terminal.

    Returns:
        The folder of a SavedModel, a ``.tflite``, ``.onnx``, ``.safetensors`` or PyTorch file, or the ``.index`` file
        of a checkpoint. The engine checks that it is a MoViNet.

    Raises:
        MissingDependencyError: If the model is on Hugging Face, and huggingface_hub is not installed.
        ModelError: If the model does not exist or cannot be downloaded; the message explains how to download it by
            hand.
        VariantError: If *source* is not a known name, path, URL or handle.
    """
    mode = as_mode(mode)
    if is_demo(source):
        return check_demo(demo.MODEL, mode)
    if not isinstance(source, (str, os.PathLike)):
        raise ModelError(
            f"a model must be a name, a URL, a Kaggle handle or a path; got {source!r}"
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
    """Return a model in this package's cache, downloading it if needed."""
    remotes = find_remotes(source, mode)
    for remote in remotes:
        model = find_cached(remote)
        if model is not None:
            return model
    if offline:
        raise ModelError(
            "the model is not in the cache, and is not downloaded in offline mode; "
            + how_to_get_it_by_hand(remotes[-1]),
            source,
        )
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    return fetch_first(source, remotes, progress=progress)


def resolve_weights(
    source: str | os.PathLike[str], mode: Mode, *, offline: bool = False
) -> Path:
    """Return the local path of a model in a form that can be trained, run by TensorFlow or exported.

    As `resolve_model`, but for ``demo`` the ``.safetensors`` file. Other sources may still resolve to a ``.tflite``
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
