"""Finds models by name, URL, Kaggle handle or path, downloads them, and caches them."""

from movinet_lite.hub.cache import (
    CacheEntry,
    cache_folder,
    cached_models,
    clear_cache,
)
from movinet_lite.hub.handles import MODEL_NAMES
from movinet_lite.hub.local import find_model
from movinet_lite.hub.resolving import (
    available_models,
    download_model,
    resolve_model,
    resolve_weights,
)

__all__ = [
    "MODEL_NAMES",
    "CacheEntry",
    "available_models",
    "cache_folder",
    "cached_models",
    "clear_cache",
    "download_model",
    "find_model",
    "resolve_model",
    "resolve_weights",
]
