"""Converts HDR and wide-gamut frames to BT.709, the colours of the training videos."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Transfer", "to_bt709", "transfer_of"]

Transfer: TypeAlias = Literal["pq", "hlg", "sdr"]
"""Transfer functions: SMPTE ST 2084, ARIB STD-B67, or the gamma of an SDR picture in BT.2020 colours."""

# By their numbers in ITU-T H.273.
_PQ, _HLG = 16, 18
_BT2020_PRIMARIES = 9

_WHITE_NITS = 203.0
"""The luminance of HDR reference white, in cd/m2, which is mapped to SDR white [3, section 2]."""

_PEAK_NITS = 1000.0
"""The maximum luminance before clipping, in cd/m2: that of the HLG reference display [2]."""

_KNEE = 0.3
"""The end of the linear range, as a share of white; FFmpeg's default for "mobius" [4]."""

_GAMMA = 2.4
"""The gamma of an SDR display, ITU-R BT.1886."""

_TO_BT709 = np.array(
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    np.float32,
)
"""From linear BT.2020 to linear BT.709: ITU-R BT.2087-0, annex 2, inverted."""

_LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)

_ENCODED_LEVELS = 4096


def transfer_of(picture: VideoFrame) -> Transfer | None:
    """Return the transfer function to convert from for *picture*; `None` if no conversion is needed."""
    if picture.color_trc == _PQ:
        return "pq"
    if picture.color_trc == _HLG:
        return "hlg"
    return "sdr" if picture.color_primaries == _BT2020_PRIMARIES else None


def to_bt709(pixels: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """Return *pixels* in the colours and dynamic range of BT.709.

    White of 203 cd/m2 is mapped to white. Luminance is unchanged up to three tenths of that and compressed above, up to
    1,000 cd/m2. Colours outside BT.709 are clipped.

    Args:
        pixels: ``(height, width, 3)``, 0 to 65535, RGB as coded in BT.2020 primaries.
        transfer: The transfer function of *pixels*.

    Returns:
        ``(height, width, 3)``, 0 to 255, RGB.

    References:
        [1] SMPTE ST 2084, the perceptual quantiser.
        [2] ITU-R BT.2100-2, table 5: hybrid log-gamma and its display of 1,000 cd/m2, gamma 1.2.
        [3] ITU-R BT.2408-7: reference white of HDR.
        [4] FFmpeg, ``libavfilter/vf_tonemap.c``, ``mobius``.
    """
    light = _light_table(transfer)[pixels]
    if transfer == "hlg":
        # The system gamma of 1.2 converts scene light to display light.
        luma = light @ _LUMA_BT2020
        light *= (np.maximum(luma, 1e-6) ** np.float32(0.2))[..., np.newaxis]
        light *= np.float32(_PEAK_NITS / _WHITE_NITS)
    light = np.maximum(light @ _TO_BT709.T, 0)
    if transfer != "sdr":
        brightest = light.max(axis=-1, keepdims=True)
        light *= _compressed(brightest) / np.maximum(brightest, 1e-6)
    # Tabulated by the square root of luminance, to preserve the steps of dark tones.
    places = np.sqrt(np.minimum(light, 1)) * np.float32(_ENCODED_LEVELS - 1)
    encoded: NDArray[np.uint8] = _encoding_table()[np.rint(places).astype(np.intp)]
    return encoded


def _compressed(light: NDArray[np.float32]) -> NDArray[np.float32]:
    peak, knee = _PEAK_NITS / _WHITE_NITS, _KNEE
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    scale = (b * b + 2 * b * knee + knee * knee) / (b - a)
    curve = np.float32(scale) * (light + np.float32(a)) / (light + np.float32(b))
    return np.where(light <= knee, light, np.minimum(curve, 1)).astype(np.float32)


@functools.cache
def _light_table(transfer: Transfer) -> NDArray[np.float32]:
    """Return the luminance of each of 65,536 levels, relative to white or, for HLG, to the scene's maximum."""
    coded = np.linspace(0, 1, 65_536)
    if transfer == "sdr":
        light = coded**_GAMMA
    elif transfer == "pq":
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = coded ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        light *= 10_000 / _WHITE_NITS
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return light.astype(np.float32)


@functools.cache
def _encoding_table() -> NDArray[np.uint8]:
    light = np.linspace(0, 1, _ENCODED_LEVELS) ** 2
    return np.rint(light ** (1 / _GAMMA) * 255).astype(np.uint8)
