"""Where models come from: names, addresses, Kaggle handles, paths, and the cache of what was downloaded."""

from movinet_lite.hub.cache import (
    CacheEntry,
    cache_folder,
    cached_models,
    clear_cache,
)
from movinet_lite.hub.handles import MODEL_NAMES
from movinet_lite.hub.local import find_model
from movinet_lite.hub.resolving import resolve_model, resolve_weights

__all__ = [
    "MODEL_NAMES",
    "CacheEntry",
    "cache_folder",
    "cached_models",
    "clear_cache",
    "find_model",
    "resolve_model",
    "resolve_weights",
]
