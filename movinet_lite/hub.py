"""From a name, an address, a Kaggle handle or a path to a model on this machine.

What is not here yet is downloaded once and kept in the cache (`movinet_lite.cache`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from movinet_lite import demo
from movinet_lite.archives import unpack
from movinet_lite.cache import (
    locked,
    models_folder,
    new_folder,
    read_note,
    write_note,
)
from movinet_lite.errors import MissingDependencyError, ModelError, said_by
from movinet_lite.handles import (
    MODEL_NAMES,
    Remote,
    find_remotes,
    is_demo,
    is_kaggle_handle,
)
from movinet_lite.variants import Mode, as_mode

__all__ = ["find_model", "resolve_model", "resolve_weights"]

_WHAT_A_MODEL_IS = (
    "a model is a folder with saved_model.pb and variables/, a .tflite file, "
    "or what fine-tuning wrote (.safetensors)"
)


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
            ``.tar.gz`` or ``.tflite`` file; or a path. A name comes before a file of that name: write ``./a0`` for it.
        mode: Whether a model for whole clips or for streams is wanted.
        offline: Whether the network must not be touched. ``MOVINET_LITE_OFFLINE=1`` in the environment says so for
            all calls.
        progress: Whether to draw a bar on standard error while downloading; `None` if that is a terminal.

    Returns:
        The folder of a SavedModel, a ``.tflite`` file, or a ``.safetensors`` file. Whether it really is a MoViNet is for
        the engine to see.

    Raises:
        ModelError: If there is no such model, or it cannot be fetched; the message says how to get it by hand.
        VariantError: If *source* is no known name, nor anything else.
    """
    mode = as_mode(mode)
    if is_demo(source):
        return _check_demo(demo.MODEL, mode)
    if not isinstance(source, str) or _is_path(source):
        return _check_local(Path(source).expanduser(), source)
    remotes = find_remotes(source, mode)
    for remote in remotes:
        model = _find_cached(remote)
        if model is not None:
            return model
    if offline or _is_offline():
        raise ModelError(
            "the model is not in the cache, and offline was asked for, so it is not downloaded; "
            + _by_hand(remotes[-1]),
            source,
        )
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    return _fetch_first(source, remotes, progress=progress)


def resolve_weights(
    source: str | os.PathLike[str], mode: Mode, *, offline: bool = False
) -> Path:
    """Return where a model is on this machine in a form that can be trained, run by TensorFlow or written anew.

    As `resolve_model`, but of ``demo`` the ``.safetensors`` file. What was found elsewhere may still be a ``.tflite``
    file.
    """
    if is_demo(source):
        return _check_demo(demo.WEIGHTS, as_mode(mode))
    return resolve_model(source, mode, offline=offline)


def _check_demo(path: Path, mode: Mode) -> Path:
    if mode != "stream":
        raise ModelError(
            "a base model takes whole clips; the demo is a stream model, which takes frames one by one "
            "(load it with StreamingClassifier)",
            "demo",
            "base",
            "stream",
        )
    if not path.is_file():
        raise ModelError(
            f"the demo must lie in the package; {path} does not (install movinet-lite anew)",
            "demo",
        )
    return path


def find_model(folder: Path) -> Path | None:
    """Return the model that a folder holds, or `None` if it holds none.

    Args:
        folder: Where to look; folders inside it are not searched.

    Returns:
        *folder* itself, for a SavedModel; or the ``.safetensors`` file in it, or else the ``.tflite`` file, if it is
        the only one.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    files = _files(folder, ".safetensors") or _files(folder, ".tflite")
    return files[0] if len(files) == 1 else None


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(f"*{suffix}")
        if path.is_file() and not path.name.startswith(".")
    )


def _find_model_within(folder: Path) -> Path | None:
    """Return the model in *folder* or, as archives may have it, in the one folder inside that holds one."""
    model = find_model(folder)
    if model is not None:
        return model
    inside = [find_model(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    models = [path for path in inside if path is not None]
    return models[0] if len(models) == 1 else None


# Paths


def _is_path(source: str) -> bool:
    if not source or source.lower() in MODEL_NAMES or "://" in source:
        return False
    if Path(source).expanduser().exists():
        return True
    looks_like_path = "/" in source or os.sep in source or Path(source).suffix != ""
    return looks_like_path and not is_kaggle_handle(source)


def _check_local(path: Path, source: str | os.PathLike[str]) -> Path:
    if path.is_dir():
        return _check_local_folder(path, source)
    if not path.exists():
        problem = "there is no file or folder at this path"
    elif path.suffix == ".safetensors" or _is_tflite(path):
        return path
    elif path.suffix == ".tflite":
        problem = (
            f"{_kind_of(path)}, though the name ends in .tflite "
            "(an unfinished download, a Git LFS pointer?)"
        )
    elif path.name == "saved_model.pb":
        problem = f"this is one file of it, pass the folder {path.parent}"
    elif path.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")):
        problem = "this is an archive, unpack it and pass the folder"
    else:
        problem = f"got the file {path.name!r}"
    raise ModelError(f"{_WHAT_A_MODEL_IS}; {problem}", os.fspath(source))


def _check_local_folder(path: Path, source: str | os.PathLike[str]) -> Path:
    model = find_model(path)
    if model is not None:
        return model
    if files := _files(path, ".safetensors") or _files(path, ".tflite"):
        names = ", ".join(file.name for file in files)
        problem = f"this folder holds several, pass the path of one: {names}"
    elif nested := _find_model_within(path):
        problem = f"this folder holds none of them, did you mean {nested}?"
    else:
        problem = "this folder holds none of them"
    raise ModelError(f"{_WHAT_A_MODEL_IS}; {problem}", os.fspath(source))


# Fetching


def _is_offline() -> bool:
    said = os.environ.get("MOVINET_LITE_OFFLINE", "").strip().lower()
    return said not in {"", "0", "false", "no", "off"}


def _find_cached(remote: Remote) -> Path | None:
    return _find_model_within(remote.folder) if remote.folder.is_dir() else None


def _fetch_first(source: str, remotes: tuple[Remote, ...], *, progress: bool) -> Path:
    problems: list[ModelError] = []
    for remote in remotes:
        try:
            return _fetch(remote, progress=progress)
        except ModelError as error:
            problems.append(error)
        except OSError as error:
            raise ModelError(
                f"the cache folder {models_folder()} cannot be written ({error}) while fetching {remote.address}; "
                "make room or give rights there, or name another folder in MOVINET_LITE_CACHE; "
                + _by_hand(remote),
                source,
            ) from error
    tried = "".join(f"\n  {problem}" for problem in problems)
    raise ModelError(
        f"the model could not be fetched; tried:{tried}\n{_by_hand(remotes[-1])}",
        source,
    ) from problems[-1]


def _by_hand(remote: Remote) -> str:
    return (
        f"to get it by hand: open {remote.page} in a browser, download and unpack the model, "
        f"and pass its path, or put it into {remote.folder}"
    )


def _fetch(remote: Remote, *, progress: bool) -> Path:
    with locked(remote.folder):
        model = _find_cached(remote)
        if model is not None:
            return model  # another process fetched it meanwhile
        _check_replaceable(remote.folder)
        with new_folder(remote.folder) as folder:
            if remote.kaggle_handle is not None:
                _copy_from_kagglehub(remote.kaggle_handle, folder, progress=progress)
                write_note(folder, address=remote.page)
            else:
                _download(remote.address, folder, progress=progress)
            model = _find_model_within(folder)
            if model is None:
                raise ModelError(
                    f"{_WHAT_A_MODEL_IS}; what came holds none of them, or several",
                    remote.address,
                )
    return remote.folder / model.relative_to(folder)


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and read_note(folder) is None:
        raise ModelError(
            "this folder of the cache holds no model, and was not written by this library; "
            f"remove it, or put a model there ({_WHAT_A_MODEL_IS})",
            folder,
        )


def _download(address: str, folder: Path, *, progress: bool) -> None:
    from movinet_lite.downloads import download

    file = folder / ".download"
    facts = download(address, file, progress=progress)
    kind = _kind_of(file)
    if kind == "tflite":
        file.rename(folder / "model.tflite")
    elif kind == "archive":
        try:
            unpack(file, folder)
        except ModelError as error:
            raise ModelError(error.message, address) from error
        file.unlink()
    else:
        raise ModelError(
            f"a model must be a .tar.gz or a .tflite file; {kind}", address
        )
    write_note(folder, address=address, num_bytes=facts.num_bytes, sha256=facts.sha256)


def _kind_of(path: Path) -> str:
    """Return ``"archive"``, ``"tflite"``, or in some words what else the file is."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"\x1f\x8b"):
        return "archive"
    if start[4:8] == b"TFL3":
        return "tflite"
    if not start:
        return "this is an empty file"
    if start.startswith(b"PK"):
        return "this is a zip archive"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        return "this is a web page, which may ask for a login or for a licence to be accepted"
    return "this is something else"


def _is_tflite(path: Path) -> bool:
    return path.suffix == ".tflite" and _kind_of(path) == "tflite"


def _copy_from_kagglehub(handle: str, folder: Path, *, progress: bool) -> None:
    where = f"kagglehub, {handle}"
    # Its notices go to standard output, where they would mix with what a program prints.
    with contextlib.redirect_stdout(sys.stderr):
        kagglehub = _import_kagglehub(where)
        try:
            with _quiet_unless(progress=progress):
                fetched = Path(kagglehub.model_download(handle))
        except Exception as error:  # its errors have no common base
            raise ModelError(f"no model came: {said_by(error)}", where) from error
    # Its own copy stays where other programs may look for it.
    if fetched.is_dir():
        shutil.copytree(fetched, folder, dirs_exist_ok=True)
    else:
        shutil.copy(fetched, folder)


def _import_kagglehub(where: str) -> ModuleType:
    try:
        import kagglehub
    except ImportError as error:
        missing = MissingDependencyError("kagglehub", "kaggle")
        raise ModelError(str(missing), where) from error
    return kagglehub  # type: ignore[no-any-return]


@contextlib.contextmanager
def _quiet_unless(*, progress: bool) -> Iterator[None]:
    """Keep what other packages print about their progress to ourselves, unless *progress*."""
    if progress:
        yield
        return
    notices = logging.getLogger("kagglehub")
    level = notices.level
    notices.setLevel(logging.WARNING)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as sink,
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
    ):
        try:
            yield
        finally:
            notices.setLevel(level)
