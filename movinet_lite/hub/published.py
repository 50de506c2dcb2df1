"""Recognises published models, whose classes are those of Kinetics-600."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from movinet_lite.hub.cache import read_note
from movinet_lite.hub.handles import MODEL_NAMES

__all__ = ["is_kinetics_600"]

# In URLs of tfhub.dev, its mirrors and Kaggle, in Kaggle handles, and in the cache folders of kagglehub.
# The last ones are the files of MoViNet-pytorch, which contain the weights of TF Hub.
_PUBLISHED: Final = re.compile(
    r"\b(?:tensorflow/(?:lite-model/)?movinet|google/movinet)/\S*kinetics-600"
    r"|\bmodelA[0-5](?:_stream)?_statedict_v3\b",
    re.IGNORECASE,
)
_PUBLISHED_FILES: Final = frozenset(
    {
        # tensorflow/lite-model/movinet/a0/stream/kinetics-600/classification/tflite/int8/1
        "6125b36e2485eeb5cc1fd6206cf5e5d70235593fbc84610d1dce97fe3aa9c2ac",
    }
)


def is_kinetics_600(source: str, path: Path) -> bool:
    """Return whether a model is one of the known models published for Kinetics-600.

    A model with 600 classes may also have been trained on another data set, so the number of classes is not used.

    Args:
        source: The model as the user specified it.
        path: Its local path.
    """
    if source.lower() in MODEL_NAMES or _PUBLISHED.search(source):
        return True
    folder = path if path.is_dir() else path.parent
    for kept in (folder, folder.parent):  # an archive may contain a folder
        note = read_note(kept)
        if note is not None and _PUBLISHED.search(str(note.get("address"))):
            return True
    if path.suffix != ".tflite":
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() in _PUBLISHED_FILES
