"""Fetches models from TF Hub, Kaggle and other URLs into the cache."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from movinet_lite.errors import MissingDependencyError, ModelError
from movinet_lite.hub.archives import unpack
from movinet_lite.hub.cache import (
    locked,
    models_folder,
    new_folder,
    read_note,
    write_note,
)
from movinet_lite.hub.handles import Remote
from movinet_lite.hub.local import WHAT_A_MODEL_IS, find_model_within, kind_of

__all__ = ["fetch_first", "find_cached", "how_to_get_it_by_hand"]

_SUFFIXES = {"tflite": ".tflite", "pytorch": ".pt", "safetensors": ".safetensors"}


def find_cached(remote: Remote) -> Path | None:
    """Return the cached model of *remote*, or `None`."""
    return find_model_within(remote.folder) if remote.folder.is_dir() else None


def fetch_first(source: str, remotes: tuple[Remote, ...], *, progress: bool) -> Path:
    """Download the model from the first of *remotes* that has it into the cache, and return its path.

    Raises:
        ModelError: If none has it, or the cache cannot be written; the message lists the reason for each.
    """
    problems: list[ModelError] = []
    for remote in remotes:
        try:
            return _fetch(remote, progress=progress)
        except ModelError as error:
            problems.append(error)
        except OSError as error:
            raise ModelError(
                f"the cache folder {models_folder()} cannot be written ({error}) while fetching {remote.address}; "
                "free some space or grant write access, or set another folder with MOVINET_LITE_CACHE; "
                + how_to_get_it_by_hand(remote),
                source,
            ) from error
    tried = "".join(f"\n  {problem}" for problem in problems)
    raise ModelError(
        f"the model could not be downloaded; tried:{tried}\n{how_to_get_it_by_hand(remotes[-1])}",
        source,
    ) from problems[-1]


def how_to_get_it_by_hand(remote: Remote) -> str:
    """Return instructions for downloading the model of *remote* by hand."""
    return (
        f"to download it by hand: open {remote.page} in a browser, unpack the model, and pass its path, or move it "
        f"to {remote.folder}"
    )


def _fetch(remote: Remote, *, progress: bool) -> Path:
    with locked(remote.folder):
        model = find_cached(remote)
        if model is not None:
            return model  # another process downloaded it meanwhile
        _check_replaceable(remote.folder)
        with new_folder(remote.folder) as folder:
            if remote.kaggle_handle is not None:
                _copy_from_kagglehub(remote.kaggle_handle, folder, progress=progress)
                write_note(folder, address=remote.page)
            else:
                _download(remote.address, folder, progress=progress)
            model = find_model_within(folder)
            if model is None:
                raise ModelError(
                    f"{WHAT_A_MODEL_IS}; the download contains none of them, or several",
                    remote.address,
                )
    return remote.folder / model.relative_to(folder)


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and read_note(folder) is None:
        raise ModelError(
            "this cache folder contains no model, and was not created by this library; remove it, or put a model "
            f"there ({WHAT_A_MODEL_IS})",
            folder,
        )


def _download(address: str, folder: Path, *, progress: bool) -> None:
    from movinet_lite.hub.downloads import download

    file = folder / ".download"
    facts = download(address, file, progress=progress)
    kind = kind_of(file)
    if kind in _SUFFIXES:
        file.rename(folder / f"model{_SUFFIXES[kind]}")
    elif kind == "archive":
        try:
            unpack(file, folder)
        except ModelError as error:
            raise ModelError(error.message, address) from error
        file.unlink()
    else:
        raise ModelError(
            f"a model must be a .tar.gz, .tflite, .safetensors or .pt file; {kind}",
            address,
        )
    write_note(folder, address=address, num_bytes=facts.num_bytes, sha256=facts.sha256)


_FETCH: Final = """
import json, sys
try:
    import kagglehub
    answer = {"path": str(kagglehub.model_download(sys.argv[1]))}
except ImportError as error:
    answer = {"missing": error.name}
except Exception as error:
    answer = {"error": " ".join(str(error).split()) or type(error).__name__}
print("\\n" + json.dumps(answer))
"""


def _copy_from_kagglehub(handle: str, folder: Path, *, progress: bool) -> None:
    """Download a model with kagglehub, in a separate process, because it prints to standard output."""
    where = f"kagglehub, {handle}"
    if importlib.util.find_spec("kagglehub") is None:
        raise ModelError(str(MissingDependencyError("kagglehub", "kaggle")), where)
    done = subprocess.run(  # noqa: S603 - this Python, and no shell
        [sys.executable, "-c", _FETCH, handle],
        stdout=subprocess.PIPE,
        stderr=None if progress else subprocess.DEVNULL,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {"error": f"it exited with status {done.returncode}"}
    if "path" not in answer:
        problem = answer.get("error") or f"it needs {answer.get('missing')!r}"
        raise ModelError(f"it returned no model: {problem}", where)
    fetched = Path(answer["path"])
    # kagglehub's copy is kept for other programs.
    if fetched.is_dir():
        shutil.copytree(fetched, folder, dirs_exist_ok=True)
    else:
        shutil.copy(fetched, folder)
