"""Maps names, Kaggle handles and URLs to download addresses and cache keys."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import urllib.parse
from pathlib import Path

import attrs

from movinet_lite.errors import ModelError, VariantError
from movinet_lite.hub.cache import models_folder
from movinet_lite.network.variants import Mode

__all__ = [
    "DEMO_NAME",
    "MODEL_NAMES",
    "Remote",
    "find_remotes",
    "is_demo",
    "is_kaggle_handle",
]

DEMO_NAME = "demo"
"""The model that ships with the package."""

MODEL_NAMES = ("a0", "a1", "a2", "a3", "a4", "a5")
"""The names of the published models; each exists as a base and as a stream model."""

_TFHUB = "https://tfhub.dev"
_KAGGLE = "https://www.kaggle.com"
_KAGGLE_FRAMEWORKS = {"tensorflow2": "tensorFlow2", "tflite": "tfLite"}
_KAGGLE_EXAMPLE = "google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3"


@attrs.frozen
class Remote:
    """A model on a server.

    Attributes:
        entry: Name of its folder in the cache.
        address: URL of the download.
        page: URL of the page to open in a browser.
        kaggle_handle: Handle to download with `kagglehub` instead of the URL; `None` to use the URL.
    """

    entry: str
    address: str
    page: str
    kaggle_handle: str | None = None

    @property
    def folder(self) -> Path:
        """The cache folder of the model, which may not exist yet."""
        return models_folder() / self.entry


def is_demo(source: object) -> bool:
    """Return whether *source* is the name of the model that ships with the package."""
    return isinstance(source, str) and source.lower() == DEMO_NAME


def is_kaggle_handle(source: str) -> bool:
    """Return whether *source* has the form ``owner/model/framework/variation``, with a framework of Kaggle's models."""
    parts = source.split("/")
    return len(parts) in {4, 5} and parts[2].lower() in _KAGGLE_FRAMEWORKS


def find_remotes(source: str, mode: Mode) -> tuple[Remote, ...]:
    """Return the places to download a model from, in order.

    Args:
        source: A name, Kaggle handle or URL.
        mode: Whether a name refers to the stream model or the base model.

    Raises:
        ModelError: If a URL or handle is invalid, or is known to be a model of the other mode.
        VariantError: If *source* is not one of these.
    """
    name = source.lower()
    if name in MODEL_NAMES:
        version = 3 if mode == "base" else 2
        variation = f"{name}-{mode}-kinetics-600-classification"
        return (
            _tfhub_remote(
                f"tensorflow/movinet/{name}/{mode}/kinetics-600/classification/3"
            ),
            *_kaggle_remotes(f"google/movinet/tensorFlow2/{variation}/{version}"),
        )
    if "://" in source:
        return _find_address(source, mode)
    if is_kaggle_handle(source):
        _check_mode(source, source, mode)
        return _kaggle_remotes(_check_kaggle_handle(source, source))
    known = (DEMO_NAME, *MODEL_NAMES)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise VariantError(
        f"a model must be one of {', '.join(known)}, a URL, a Kaggle handle, or an existing path; got {source!r}{hint}",
        source,
        known,
    )


def _find_address(address: str, mode: Mode) -> tuple[Remote, ...]:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise ModelError(f"this is not a valid URL: {error}", address) from error
    if "@" in parts.netloc:
        # Not repeated in the message: it may contain a password.
        raise ModelError(
            "a URL must not contain a user name or password; this one does "
            "(download the model by hand, and pass its path)"
        )
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ModelError(
            "a URL must start with http:// or https:// and have a host", address
        )
    host = parts.hostname.removeprefix("www.")
    path = parts.path.strip("/")
    if host == "tfhub.dev":
        _check_mode(path, address, mode)
        return (_tfhub_remote(path),)
    if host == "kaggle.com" and path.startswith("models/"):
        _check_mode(path, address, mode)
        words = {"frameworks", "variations", "versions"}
        handle = [part for part in path.split("/")[1:] if part.lower() not in words]
        return _kaggle_remotes(_check_kaggle_handle("/".join(handle), address))
    entry = _entry_name(f"{host}/{path}", address)
    return (Remote(entry, address, address),)


def _check_mode(path: str, source: str, mode: Mode) -> None:
    match = re.search(r"\b(a[0-5])[-/](base|stream)[-/]", path)
    if match is None or match[2] == mode:
        return
    variant, found = match.groups()
    user = "BaseClassifier" if found == "base" else "StreamingClassifier"
    raise ModelError(
        f"a {mode} model is needed here; this is a {found} model "
        f"(use {variant!r}, which finds the right one, or pass this one to {user})",
        source,
        mode,
        found,
    )


def _check_kaggle_handle(handle: str, source: str) -> str:
    parts = handle.split("/")
    framework = _KAGGLE_FRAMEWORKS.get(parts[2].lower()) if len(parts) > 2 else None
    if framework is None or len(parts) != 5 or not parts[4].isdecimal():
        raise ModelError(
            "a Kaggle handle must be owner/model/framework/variation/version, with framework tensorFlow2 or tfLite "
            f"(such as {_KAGGLE_EXAMPLE})",
            source,
        )
    parts[2] = framework
    return "/".join(parts)


def _tfhub_remote(path: str) -> Remote:
    wanted = (
        "lite-format=tflite" if "lite-model/" in path else "tf-hub-format=compressed"
    )
    return Remote(
        entry=_entry_name(f"tfhub.dev/{path}"),
        address=f"{_mirror() or _TFHUB}/{path}?{wanted}",
        page=f"{_TFHUB}/{path}",
    )


def _kaggle_remotes(handle: str) -> tuple[Remote, ...]:
    """Return the two ways to download from Kaggle: its package, which can log in, and plain HTTP."""
    entry = _entry_name(f"kaggle/{handle}")
    page = f"{_KAGGLE}/models/{handle}"
    address = f"{_mirror() or _KAGGLE}/api/v1/models/{handle}/download"
    plain = Remote(entry, address, page)
    if _mirror() is not None:
        return (plain,)
    return (attrs.evolve(plain, kaggle_handle=handle), plain)


def _entry_name(path: str, address: str | None = None) -> str:
    """Return a readable folder name for *path* that is unique to it and *address*."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", path.replace("/", "--"))
    if address is None and name.replace("--", "/") == path and len(name) < 120:
        return name
    checksum = hashlib.sha256((address or path).encode()).hexdigest()[:8]
    return f"{name[:100].strip('-.')}-{checksum}"


def _mirror() -> str | None:
    mirror = os.environ.get("MOVINET_LITE_HUB", "").rstrip("/")
    if not mirror:
        return None
    if not mirror.startswith(("http://", "https://")):
        raise ModelError(
            "the environment variable MOVINET_LITE_HUB must start with http:// or https://",
            mirror,
        )
    return mirror
