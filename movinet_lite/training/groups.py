"""Groups video files of the same recording by their names."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["group_of"]

_SCHEMES: Final = (
    re.compile(r"(.*_g\d+)_c\d+"),  # UCF-101 [1]
    re.compile(r"(.+)_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_(?:bad|med|goo)_\d+"),  # HMDB51 [2]
    re.compile(r"([\w-]{11})_\d{6}_\d{6}"),  # Kinetics, as trimmed [3]
)


def group_of(stem: str) -> str | None:
    """Return the group of a video by its name without extension; `None` if the name has no known form.

    Example:
        >>> group_of("v_Archery_g07_c02"), group_of("my_video")
        ('v_Archery_g07', None)

    References:
        [1] https://www.crcv.ucf.edu/data/UCF101.php: "v_X_gY_cZ.avi"; the videos of a group Y share background or actor.
        [2] H. Kuehne et al., "HMDB: A Large Video Database for Human Motion Recognition", ICCV 2011; the README of the
            data set: the title of the recording and the class, then visible part, camera motion, number of people,
            direction, quality and number.
        [3] https://github.com/cvdfoundation/kinetics-dataset: "ID_START_END.mp4"; the ID is the YouTube video's.
    """
    for scheme in _SCHEMES:
        if match := scheme.fullmatch(stem):
            return match[1]
    return None
