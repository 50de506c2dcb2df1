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
    """What an address means.

    Attributes:
        source: The address.
        repository: ``owner/name``.
        inside: A file or folder in it; empty for the repository itself.
        revision: A branch, a tag or a commit; `None` for its main branch.
    """

    source: str
    repository: str
    inside: str
    revision: str | None


def is_huggingface(source: object) -> bool:
    """Return whether *source* is an address on Hugging Face."""
    return isinstance(source, str) and source.lower().startswith(_SCHEME)


def fetch_from_huggingface(source: str, *, offline: bool) -> Path:
    """Return where the model at an address is on this machine, after downloading it if need be.

    Args:
        source: ``hf://owner/name``, then ``/file`` or ``/folder`` where the repository holds several models, then
            ``@revision`` for a branch, tag or commit.
        offline: Whether the network must not be touched. ``HF_HUB_OFFLINE=1`` in the environment says so too.

    Returns:
        A file, or the folder of a SavedModel, in the cache of Hugging Face.

    Raises:
        MissingDependencyError: If its package is not installed.
        ModelError: If there is no such repository, file or revision, it is not open to the user, or it is not in the cache
            and the network must not be touched.
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
            pass  # a folder, it may be
    files = package.list_repo_files(place.repository, revision=place.revision)
    names = _choose(place, files)
    paths = [fetch(name) for name in names]
    for path in paths:
        if path.name == "saved_model.pb":
            return path.parent
    return paths[0]


def _choose(place: _Place, files: Sequence[str]) -> list[str]:
    """Return the files of the one model that there is in a place."""
    prefix = f"{place.inside}/" if place.inside else ""
    inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
    if not inside:
        raise ModelError(
            f"there must be a file or folder {place.inside!r} in {place.repository}; it holds {_listed(files)}",
            place.source,
        )
    if "saved_model.pb" in inside:
        return [
            prefix + name
            for name in inside
            if name in _OF_SAVED_MODELS or name.startswith(("variables/", "assets/"))
        ]
    for suffixes in ((".safetensors",), (".tflite",), (".pt", ".pth")):
        fitting = [
            name for name in inside if "/" not in name and name.endswith(suffixes)
        ]
        if len(fitting) == 1:
            return [prefix + fitting[0]]
        if fitting:
            raise ModelError(
                f"an address must name the file where there are several models; {place.repository} holds "
                f"{_listed([prefix + name for name in fitting])} (such as {_SCHEME}{place.repository}/{prefix}{fitting[0]})",
                place.source,
            )
    raise ModelError(
        f"{WHAT_A_MODEL_IS}; {place.repository} holds {_listed(files)}", place.source
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown or "nothing"


def _cached(place: _Place, package: ModuleType) -> Path:
    """Return the model in the cache [1], without a look at the network."""
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
            f"the model must be in the cache of Hugging Face, since offline was asked for; {folder} does not hold it "
            f"(fetch it once with the network, or get it by hand at {_PAGE}/{place.repository} and pass its path)",
            place.source,
        )
    return check_local(model)


@contextmanager
def _explained(place: _Place, package: ModuleType) -> Iterator[None]:
    """Turn what the package raises into one error of ours that says what to do."""
    errors, name = package.errors, place.repository
    try:
        yield
    except ModelError as error:
        raise ModelError(error.message, place.source) from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"a repository must be open to you; {name} is gated (accept its terms at {_PAGE}/{name}, and log in: "
            "hf auth login)",
            place.source,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"a revision must be a branch, a tag or a commit of {name}; there is no {place.revision!r}",
            place.source,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"there must be a repository {name!r} on Hugging Face; there is none, or it is private (log in: hf auth login)",
            place.source,
        ) from error
    # Its errors have no common base but these; a server out of reach is one of its package for http.
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model could not be fetched: {said_by(error)} (get it by hand at {_PAGE}/{name} and pass its path)",
            place.source,
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "requests", "httpcore")):
            raise
        raise ModelError(
            f"Hugging Face must be in reach; it is not: {said_by(error)} (what is in its cache needs no network: set "
            "HF_HUB_OFFLINE=1)",
            place.source,
        ) from error
