"""A classifier scales frames as its fit says, and evaluates as was published for its model's variant."""

import attrs
import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.testing import FakeClipModel, FakeStreamModel
from movinet_lite.video import prepare_clip


@pytest.mark.parametrize(
    ("variant", "frame_size", "short_side"),
    [("a2", (224, 224), 256), ("a0", (86, 86), 96), (None, (7, 7), 8)],
)
def test_evaluation_takes_the_short_side_of_the_variant(
    variant, frame_size, short_side
):
    """Both classifiers give what they give for frames that were prepared as published."""
    clip = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), np.uint8)
    clip_model = FakeClipModel(frame_size=frame_size)
    stream_model = FakeStreamModel(frame_size=frame_size)
    for model in (clip_model, stream_model):
        model.info = attrs.evolve(model.info, variant=variant)
    prepared = prepare_clip(clip, frame_size, fit="evaluation", short_side=short_side)

    whole = BaseClassifier(clip_model, fit="evaluation")
    stream = StreamingClassifier(stream_model, fit="evaluation")

    np.testing.assert_array_equal(
        whole.predict(clip).logits, whole.predict(prepared).logits
    )
    np.testing.assert_array_equal(
        whole.predict_many([clip])[0].logits, whole.predict(prepared).logits
    )
    last = stream.predict_frames(clip)[-1].logits
    stream.reset()
    np.testing.assert_array_equal(last, stream.predict_frames(prepared)[-1].logits)
