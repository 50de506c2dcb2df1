"""Fetches models from Hugging Face with huggingface_hub, into its cache.

References:
    [1] huggingface_hub, "Understand caching": ``models--owner--name/refs`` and ``snapshots``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Final

import attrs

from movinet_lite.errors import MissingDependencyError, ModelError, said_by
from movinet_lite.hub.local import WHAT_A_MODEL_IS, check_local, find_model

__all__ = ["fetch_from_huggingface", "is_huggingface"]

_SCHEME: Final = "hf://"
_FORM: Final = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<inside>[^@]+?))?/?(?:@(?P<revision>[^@]+))?"
)
_EXAMPLE: Final = "hf://owner/name, hf://owner/name/file.pt or hf://owner/name@revision"
_PAGE: Final = "https://huggingface.co"
_OF_SAVED_MODELS: Final = ("saved_model.pb", "labels.txt", "movinet_lite.json")
_SHOWN: Final = 8


@attrs.frozen
class _Place:
    """The parts of a Hugging Face address.

    Attributes:
        source: The address.
        repository: ``owner/name``.
        inside: A file or folder in it; empty for the repository itself.
        revision: A branch, tag or commit; `None` for the main branch.
    """

    source: str
    repository: str
    inside: str
    revision: str | None


def is_huggingface(source: object) -> bool:
    """Return whether *source* is an address on Hugging Face."""
    return isinstance(source, str) and source.lower().startswith(_SCHEME)


def fetch_from_huggingface(source: str, *, offline: bool) -> Path:
    """Return the local path of the model at an address, downloading it if needed.

    Args:
        source: ``hf://owner/name``, then ``/file`` or ``/folder`` if the repository has several models, then
            ``@revision`` for a branch, tag or commit.
        offline: Whether to use only the cache. ``HF_HUB_OFFLINE=1`` in the environment sets this as well.

    Returns:
        A file, or the folder of a SavedModel, in the cache of Hugging Face.

    Raises:
        MissingDependencyError: If huggingface_hub is not installed.
        ModelError: If the repository, file or revision does not exist, the user has no access, or it is not in the
            cache in offline mode.
    """
    place = _parse(source)
    package = _import()
    if offline or package.constants.HF_HUB_OFFLINE:
        return _cached(place, package)
    with _explained(place, package):
        return check_local(_download(place, package))


def _parse(source: str) -> _Place:
    found = _FORM.fullmatch(source)
    inside = "" if found is None else found["inside"] or ""
    if found is None or ".." in PurePosixPath(inside).parts or "//" in inside:
        raise ModelError(f"an address on Hugging Face must be {_EXAMPLE}", source)
    return _Place(source, found["repository"], inside, found["revision"])


def _import() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingDependencyError("huggingface_hub", "huggingface") from error
    return huggingface_hub  # type: ignore[no-any-return]


def _download(place: _Place, package: ModuleType) -> Path:
    def fetch(name: str) -> Path:
        return Path(
            package.hf_hub_download(place.repository, name, revision=place.revision)
        )

    if place.inside:
        try:
            return fetch(place.inside)
        except package.errors.LocalEntryNotFoundError:
            raise
        except package.errors.EntryNotFoundError:
            pass  # perhaps a folder
    files = package.list_repo_files(place.repository, revision=place.revision)
    names = _choose(place, files)
    paths = [fetch(name) for name in names]
    for path in paths:
        if path.name == "saved_model.pb":
            return path.parent
    return paths[0]


def _choose(place: _Place, files: Sequence[str]) -> list[str]:
    """Return the files of the only model in a place."""
    prefix = f"{place.inside}/" if place.inside else ""
    inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
    if not inside:
        raise ModelError(
            f"there must be a file or folder {place.inside!r} in {place.repository}; it contains {_listed(files)}",
            place.source,
        )
    if "saved_model.pb" in inside:
        return [
            prefix + name
            for name in inside
            if name in _OF_SAVED_MODELS or name.startswith(("variables/", "assets/"))
        ]
    for suffixes in ((".safetensors",), (".tflite",), (".onnx",), (".pt", ".pth")):
        fitting = [
            name for name in inside if "/" not in name and name.endswith(suffixes)
        ]
        if len(fitting) == 1:
            return [prefix + fitting[0]]
        if fitting:
            raise ModelError(
                f"an address must include the file if there are several models; {place.repository} contains "
                f"{_listed([prefix + name for name in fitting])} (such as {_SCHEME}{place.repository}/{prefix}{fitting[0]})",
                place.source,
            )
    raise ModelError(
        f"{WHAT_A_MODEL_IS}; {place.repository} contains {_listed(files)}", place.source
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown or "nothing"


def _cached(place: _Place, package: ModuleType) -> Path:
    """Return the model in the cache [1], without network access."""
    folder = Path(package.constants.HF_HUB_CACHE) / (
        "models--" + place.repository.replace("/", "--")
    )
    revision = place.revision or "main"
    note = folder / "refs" / revision
    commit = note.read_text(encoding="utf-8").strip() if note.is_file() else revision
    path = folder / "snapshots" / commit / place.inside
    model = find_model(path) if path.is_dir() else path
    if model is None or not model.exists():
        raise ModelError(
            f"in offline mode the model must be in the Hugging Face cache; {folder} does not contain it "
            f"(download it once while online, or download it by hand from {_PAGE}/{place.repository} and pass its "
            "path)",
            place.source,
        )
    return check_local(model)


@contextmanager
def _explained(place: _Place, package: ModuleType) -> Iterator[None]:
    """Convert the errors of huggingface_hub to one of this package, with advice."""
    errors, name = package.errors, place.repository
    try:
        yield
    except ModelError as error:
        raise ModelError(error.message, place.source) from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"access to {name} is restricted (accept its terms at {_PAGE}/{name}, and log in: "
            "hf auth login)",
            place.source,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"a revision must be a branch, tag or commit of {name}; there is no {place.revision!r}",
            place.source,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the repository {name!r} on Hugging Face does not exist, or it is private (log in: hf auth login)",
            place.source,
        ) from error
    # Its errors have no common base class; an unreachable server raises an error of its HTTP package.
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model could not be downloaded: {said_by(error)} (download it by hand from {_PAGE}/{name} and pass "
            "its path)",
            place.source,
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "requests", "httpcore")):
            raise
        raise ModelError(
            f"Hugging Face cannot be reached: {said_by(error)} (to use cached models, set HF_HUB_OFFLINE=1)",
            place.source,
        ) from error
