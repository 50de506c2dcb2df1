"""States in a network's own layout, converted to the published layout on access."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.states import to_published_states
from movinet_lite.network.variants import get_variant

__all__ = ["OwnStates"]


class OwnStates(Mapping[str, NDArray[Any]], abc.ABC):
    """The states of one stream in an engine's layout, converted to the published layout on access."""

    def __init__(self, spec: NetworkSpec) -> None:
        self._spec = spec
        self._shown: dict[str, NDArray[Any]] | None = None

    @property
    @abc.abstractmethod
    def own(self) -> Mapping[str, Any]:
        """The states in the network's layout, as TensorFlow tensors or numpy arrays."""

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = to_published_states(
                self.own,
                get_variant(self._spec.variant),
                positional_encoding=self._spec.positional_encoding,
            )
        return self._shown

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a copy of a state, since the original may be the engine's memory."""
        return np.array(self._show()[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._show())

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self._show())
