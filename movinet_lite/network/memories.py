"""How a forward pass reads and writes stream states.

A `Memory` is made for one call and thrown away after it: the step around it stays a pure function of frames and
states.
"""

from __future__ import annotations

from collections.abc import Mapping

from movinet_lite.network.layers import Tensor, Timeline, shape_of, size_of
from movinet_lite.network.states import FRAME_COUNT
from movinet_lite.network.tensorflow import tf

__all__ = ["ClipMemory", "StateMemory"]


class ClipMemory:
    """The memory of a causal model that takes whole clips: there is nothing before them, and nothing is kept.

    Attributes:
        timeline: Of the clips.
    """

    def __init__(self, timeline: Timeline) -> None:
        """Take the timeline of the clips; its counts are not needed."""
        self.timeline = timeline

    def window(self, _path: str, rows: Tensor, length: int) -> Tensor:
        """Return the frames of the clips behind zeros; see `Memory.window`."""
        present = self.timeline.by_stream(rows)
        return tf.pad(present, [[0, 0], [length, 0], [0, 0], [0, 0]])

    def running_mean(self, _path: str, rows: Tensor) -> Tensor:
        """Return the mean over the frames of its clip up to each; see `Memory.running_mean`."""
        present = self.timeline.by_stream(rows)
        counts = tf.cumsum(tf.ones_like(present[..., :1]), axis=1)
        return tf.reshape(tf.cumsum(present, axis=1) / counts, shape_of(rows))


class StateMemory:
    """The memory of streams whose states have the network's own layout.

    Attributes:
        timeline: Of this call.
        new_states: The states after this call, once the network has run.
    """

    def __init__(self, states: Mapping[str, Tensor] | None, frames: Tensor) -> None:
        """Take the states before this call.

        Args:
            states: In the network's own layout; `None` for streams that have seen no frame.
            frames: ``(batch, frames, height, width, 3)``, those of this call.
        """
        batch, count = size_of(frames, 0), size_of(frames, 1)
        self._states = states
        ages = tf.zeros([batch], tf.int32) if states is None else states[FRAME_COUNT]
        self.timeline = Timeline.after(ages, batch, count)
        self.new_states: dict[str, Tensor] = {}
        self._new_ages = tf.convert_to_tensor(ages) + count

    def finish(self) -> dict[str, Tensor]:
        """Return the states after this call, in the order of those before it."""
        found = {**self.new_states, FRAME_COUNT: self._new_ages}
        return (
            found
            if self._states is None
            else {name: found[name] for name in self._states}
        )

    def window(self, path: str, rows: Tensor, length: int) -> Tensor:
        """Return the frames of this call behind the *length* before them; see `Memory.window`."""
        name = f"state/{path}/stream_buffer"
        present = self.timeline.by_stream(rows)
        batch, _, pixels, channels = (size_of(present, axis) for axis in range(4))
        if self._states is None:
            past = tf.zeros([batch, length, pixels, channels], rows.dtype)
        else:
            past = tf.reshape(self._states[name], [batch, length, pixels, channels])
        window = tf.concat([past, present], axis=1)
        kept = [batch, length, size_of(rows, 1), size_of(rows, 2), channels]
        self.new_states[name] = tf.reshape(window[:, -length:], kept)
        return window

    def running_mean(self, path: str, rows: Tensor) -> Tensor:
        """Return the mean over all frames so far; see `Memory.running_mean`."""
        name = f"state/{path}/pool_buffer"
        sums = tf.cumsum(self.timeline.by_stream(rows), axis=1)
        if self._states is not None:
            sums += tf.squeeze(self._states[name], axis=1)
        self.new_states[name] = sums[:, -1:, :, tf.newaxis]
        return tf.reshape(sums, tf.shape(rows)) / self.timeline.counts
