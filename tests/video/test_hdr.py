"""Videos of high dynamic range or wide gamut come with the colours of an ordinary video."""

from fractions import Fraction

import av
import numpy as np
import pytest

from movinet_lite.video import load_clip

COLOURS = np.array(
    [[110, 90, 60], [40, 100, 70], [60, 60, 120], [20, 20, 20], [100, 100, 100]]
)
TO_BT2020 = np.array(  # ITU-R BT.2087-0, annex 2
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)


def as_pq(nits):
    """Return how SMPTE ST 2084 codes light."""
    power = (nits / 10_000) ** (2610 / 16384)
    c2, c3 = 2413 / 128, 2392 / 128
    return ((3424 / 4096 + c2 * power) / (1 + c3 * power)) ** (2523 / 32)


def as_hlg(nits):
    """Return how ARIB STD-B67 codes light, for a display of 1,000 cd/m2."""
    shown = nits / 1000
    luma = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * np.maximum(luma, 1e-9)[..., np.newaxis] ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


CODERS = {
    "pq": (16, as_pq),
    "hlg": (18, as_hlg),
    "sdr": (14, lambda nits: (nits / 203) ** (1 / 2.4)),
}


def write(path, coded, transfer):
    """Write one frame, BT.2020 RGB from 0 to 1, as 10 bits without loss."""
    luma = coded @ np.array([0.2627, 0.6780, 0.0593])
    blue = (coded[..., 2] - luma) / 1.8814
    red = (coded[..., 0] - luma) / 1.4746
    planes = np.stack([luma * 876 + 64, blue * 896 + 512, red * 896 + 512])
    frame = av.VideoFrame(planes.shape[2], planes.shape[1], "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : plane.width] = values.round()
        plane.update(rows.tobytes())
    frame.pts, frame.time_base = 0, Fraction(1, 10)
    frame.colorspace, frame.color_range = 9, 1
    frame.color_trc, frame.color_primaries = transfer, 9
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.height, stream.width = planes.shape[1:]
        stream.pix_fmt = "yuv444p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = 9, 1
        context.color_trc, context.color_primaries = transfer, 9
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def video(path, nits, name):
    """Write a video of blocks whose BT.709 light is *nits*, ``(colours, 3)``."""
    transfer, code = CODERS[name]
    blocks = (nits @ TO_BT2020.T).repeat(16, axis=0)[np.newaxis].repeat(32, axis=0)
    return write(path, code(blocks), transfer)


@pytest.mark.parametrize("frame_size", [None, (16, 80)])
@pytest.mark.parametrize("name", ["pq", "hlg", "sdr"])
def test_ordinary_colours_come_back(tmp_path, name, frame_size):
    """What an SDR display shows, coded as HDR or in BT.2020, is read as the SDR numbers it was, at any size."""
    nits = (COLOURS / 255) ** 2.4 * 203
    path = video(tmp_path / "clip.mkv", nits, name)

    (frame,) = load_clip(path, frame_size=frame_size)

    height, width, _ = frame.shape
    found = frame[height // 2, width // 10 :: width // 5].astype(int)
    assert np.abs(found - COLOURS).max() <= 4


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_light_above_white_is_compressed_in_order(tmp_path, name):
    """Brighter light stays brighter up to 1,000 cd/m2, which is white, and grey stays grey."""
    nits = np.repeat([[100.0], [203.0], [400.0], [700.0], [1000.0]], 3, axis=1)
    path = video(tmp_path / "clip.mkv", nits, name)

    (frame,) = load_clip(path)

    found = frame[16, 8::16].astype(int)
    assert np.ptp(found, axis=1).max() <= 1
    assert (np.diff(found[:, 0]) > 3).all()
    assert found[0, 0] > 150
    assert found[-1, 0] >= 254
