"""Sessions over models: `BaseClassifier` for whole clips, `StreamingClassifier` for frames as they arrive.

A classifier is a thin session around an engine's model. The model holds the weights and is shared; a session owns the
states of its one stream.
"""

from movinet_lite.classifiers.batch import step_many
from movinet_lite.classifiers.clips import BaseClassifier
from movinet_lite.classifiers.few_shot import FewShotBaseClassifier, FewShotClassifier
from movinet_lite.classifiers.streams import StreamingClassifier

__all__ = [
    "BaseClassifier",
    "FewShotBaseClassifier",
    "FewShotClassifier",
    "StreamingClassifier",
    "step_many",
]
