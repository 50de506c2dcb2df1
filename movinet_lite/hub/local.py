"""Finds local models: the demo, SavedModels, checkpoints, and model files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from movinet_lite.errors import ModelError, said_by
from movinet_lite.network.pytorch.files import is_pytorch_file
from movinet_lite.network.variants import Mode, check_mode

__all__ = [
    "WHAT_A_MODEL_IS",
    "check_demo",
    "check_local",
    "find_model",
    "find_model_within",
    "kind_of",
]

WHAT_A_MODEL_IS = (
    "a model is a folder with saved_model.pb and variables/, a .tflite or .onnx file, a checkpoint of the Model "
    "Garden, a fine-tuned model (.safetensors), or PyTorch weights (.pt, .pth, .safetensors)"
)

_PYTORCH_SUFFIXES = (".pt", ".pth")
_MAGIC = (
    (0, b"\x1f\x8b", "archive"),
    (4, b"TFL3", "tflite"),
    (8, b'{"', "safetensors"),  # after the length of its header
)


def check_demo(path: Path, mode: Mode) -> Path:
    """Return *path*, a file of the demo, if it exists and is a *mode* model.

    Raises:
        ModelError: If it is not.
    """
    check_mode("stream", mode, "demo")
    if not path.is_file():
        raise ModelError(
            f"the demo must be part of the package; {path} does not exist (reinstall movinet-lite)",
            "demo",
        )
    return path


def find_model(folder: Path) -> Path | None:
    """Return the model in a folder, or `None` if there is none.

    Args:
        folder: The folder; subfolders are not searched.

    Returns:
        *folder* itself if it is a SavedModel; otherwise the only ``.safetensors``, ``.tflite``, ``.onnx`` or PyTorch
        file, in this order; otherwise the ``.index`` file of the latest checkpoint.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    files = _model_files(folder)
    if not files:
        return _latest_checkpoint(folder)
    return files[0] if len(files) == 1 else None


def _latest_checkpoint(folder: Path) -> Path | None:
    """Return the ``.index`` file of the latest checkpoint according to TensorFlow's note, or of the only one."""
    note = folder / "checkpoint"
    if note.is_file():
        text = note.read_text(encoding="utf-8", errors="replace")
        latest = re.search(r'^model_checkpoint_path: "(.+)"', text, re.MULTILINE)
        # A note may contain the original path of the folder.
        index = folder / f"{Path(latest[1]).name}.index" if latest else folder
        if index.is_file():
            return index
    found = _files(folder, ".index")
    # The variables of a SavedModel look like a checkpoint; without the graph they are incomplete.
    return found[0] if len(found) == 1 and found[0].stem != "variables" else None


def _model_files(folder: Path) -> list[Path]:
    """Return the files of the first kind that is present."""
    kinds = ((".safetensors",), (".tflite",), (".onnx",), _PYTORCH_SUFFIXES)
    return next(filter(None, (_files(folder, *kind) for kind in kinds)), [])


def _files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in suffixes and path.is_file() and not path.name.startswith(".")
    )


def find_model_within(folder: Path) -> Path | None:
    """Return the model in *folder* or, as in some archives, in its only subfolder with a model."""
    model = find_model(folder)
    if model is not None:
        return model
    inside = [find_model(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    models = [path for path in inside if path is not None]
    return models[0] if len(models) == 1 else None


def check_local(source: str | os.PathLike[str]) -> Path:
    """Return the model at the path *source*: the folder of a SavedModel, a file, or a checkpoint's ``.index`` file.

    Raises:
        ModelError: If there is none; the message describes what was found instead.
    """
    path = Path(source)
    try:
        path = path.expanduser()
        if path.is_dir():
            return _check_local_folder(path, source)
        index = path.with_name(f"{path.name}.index")
        if index.is_file():
            return index
        problem = _what_is_no_model(path)
    except (OSError, ValueError, RuntimeError) as error:
        # An unknown user after "~", a name that is too long, a null byte, or a file without read permission.
        if isinstance(error, ModelError):
            raise
        problem = f"this path cannot be read ({said_by(error)})"
    if problem is None:
        return path
    raise ModelError(f"{WHAT_A_MODEL_IS}; {problem}", os.fspath(source))


def _what_is_no_model(path: Path) -> str | None:
    """Return why *path*, which is not a folder, is not a model; `None` if it is one."""
    if not path.exists():
        return "there is no file or folder at this path"
    # The published PyTorch files have no suffix.
    if (
        path.suffix in {".safetensors", ".onnx", ".index"}
        or _is_tflite(path)
        or is_pytorch_file(path)
    ):
        return None
    if path.suffix in {".tflite", *_PYTORCH_SUFFIXES}:
        return (
            f"{kind_of(path)}, though the name ends in {path.suffix} "
            "(an unfinished download, a Git LFS pointer?)"
        )
    if path.name == "saved_model.pb":
        return f"this is one of its files, pass the folder {path.parent}"
    if path.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")):
        return "this is an archive, unpack it and pass the folder"
    is_taught = path.suffix == ".fewshot"
    hint = ", pass the model that its classes were taught on" if is_taught else ""
    return f"got the file {path.name!r}{hint}"


def _check_local_folder(path: Path, source: str | os.PathLike[str]) -> Path:
    model = find_model(path)
    if model is not None:
        return model
    if files := _model_files(path):
        names = ", ".join(file.name for file in files)
        problem = f"this folder contains several, pass the path of one: {names}"
    elif nested := find_model_within(path):
        problem = f"this folder contains none of them, did you mean {nested}?"
    else:
        problem = "this folder contains none of them"
    raise ModelError(f"{WHAT_A_MODEL_IS}; {problem}", os.fspath(source))


def kind_of(path: Path) -> str:
    """Return ``"archive"``, ``"tflite"``, ``"pytorch"``, ``"safetensors"``, or a description of another file."""
    if is_pytorch_file(path):
        return "pytorch"
    with path.open("rb") as file:
        start = file.read(512)
    for at, magic, kind in _MAGIC:
        if start[at:].startswith(magic):
            return kind
    if not start:
        return "this is an empty file"
    if start.startswith(b"PK"):
        return "this is a zip archive"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        return "this is a web page, which may require a login or the acceptance of a licence"
    return "this is another kind of file"


def _is_tflite(path: Path) -> bool:
    return path.suffix == ".tflite" and kind_of(path) == "tflite"
