"""Variants for tests; apart from the other helpers, since they need no TensorFlow."""

import attrs

from movinet_lite.network.variants import BlockSpec, Variant

TINY = Variant(
    name="tiny",
    min_image_size=36,
    frame_size=(32, 32),
    fps=5.0,
    clip_frames=6,
    base_accuracy=None,
    stream_accuracy=None,
    gflops=None,
    stem_channels=8,
    blocks=(
        BlockSpec(8, (16,), ((1, 5, 5),), 2),
        BlockSpec(16, (24,), ((3, 3, 3),), 1),
        BlockSpec(24, (32, 24), ((5, 3, 3), (3, 3, 3)), 2),
    ),
    head_channels=40,
    hidden_channels=640,
)

SHALLOW = attrs.evolve(TINY, blocks=(BlockSpec(16, (24,), ((3, 3, 3),), 2),))
"""`TINY` with one layer, for what does not depend on the layers: TensorFlow builds and saves its graphs in a third of the time."""
