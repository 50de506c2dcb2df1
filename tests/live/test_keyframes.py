"""Streams that are joined between two keyframes, or lose packets, show no smeared picture."""

import io
import itertools
import logging

import av
import numpy as np
import pytest

from movinet_lite.live import open_source
from movinet_lite.live.connection import Connection
from tests.live.servers import ffmpeg_camera, free_port, running

RATE = 50
GROUP = 20
NUM_FRAMES = 60
BACKGROUND = np.random.default_rng(0).integers(0, 256, (24, 32), np.uint8)


def picture_at(number):
    """Return a picture with a background that never changes, and a bar that tells its number."""
    gray = BACKGROUND.repeat(4, axis=0).repeat(4, axis=1)
    gray[:16] = number * 4
    return np.stack([gray] * 3, axis=-1)


def is_whole(pixels):
    """Tell whether each part of the background is there."""
    return worst_part(pixels) < 20


def worst_part(pixels):
    """Return by how much that 16 x 16 part of the background differs which differs most."""
    apart = np.abs(pixels[32:].astype(int) - picture_at(0)[32:]).mean(axis=-1)
    return apart.reshape(4, 16, 8, 16).mean(axis=(1, 3)).max()


def encoded(path, codec, *, group=GROUP, options=None):
    """Write a stream with a keyframe every *group* frames."""
    with av.open(path, "w") as file:
        stream = file.add_stream(
            codec, rate=RATE, options={"g": str(group), "sc_threshold": "0"}
        )
        stream.options |= options or {}
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(picture_at(number), "rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def cut(path, first):
    """Write the stream again without its first packets."""
    shorter = path.with_stem("cut")
    with av.open(path) as whole, av.open(shorter, "w") as file:
        stream = file.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if number >= first and packet.size:
                packet.stream = stream
                file.mux(packet)
    return shorter


def without_pictures(path, lost, *, places=range(10_000)):
    """Write a transport stream again without some pictures, or without the packets at some places in each."""
    data = path.read_bytes()
    shorter = path.with_stem("lossy")
    number, place = -1, 0
    with shorter.open("wb") as file:
        for start in range(0, len(data), 188):
            packet = data[start : start + 188]
            is_video = packet[1] & 0x1F == 1 and packet[2] == 0
            if is_video:
                begins = bool(packet[1] & 0x40)
                number, place = number + begins, 0 if begins else place + 1
            if not (is_video and number in lost and place in places):
                file.write(packet)
    return shorter


def played(path, **options):
    """Return all frames that a source gives of a file."""
    with open_source(path, fps=None, **options) as source:
        return [frame.pixels for frame in source]


def numbers_of(frames):
    """Return which pictures the frames are."""
    return [round(float(frame[4:12].mean()) / 4) for frame in frames]


@pytest.mark.parametrize(
    ("codec", "options", "first"),
    [
        ("mpeg4", {}, 20),
        ("libx264", {"tune": "zerolatency"}, 20),
        ("libx264", {"bf": "2"}, 20),
        ("libx265", {"x265-params": "log-level=none:bframes=0"}, 20),
        # Its first whole picture follows a recovery point by a whole sweep.
        (
            "libx264",
            {"tune": "zerolatency", "x264-params": "intra-refresh=1"},
            22,
        ),
    ],
)
def test_a_stream_joined_in_its_middle_begins_with_a_whole_picture(
    tmp_path, codec, options, first
):
    """Of a stream that is read from between two keyframes on, nothing is given until a picture is whole."""
    path = cut(encoded(tmp_path / "whole.mkv", codec, options=options), 7)
    frames = played(path)

    assert all(is_whole(frame) for frame in frames)
    assert first <= numbers_of(frames)[0] <= first + 20
    assert len(frames) >= NUM_FRAMES - 2 * GROUP - 2


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx264", "libx265"])
def test_a_loss_costs_the_pictures_until_the_next_keyframe(tmp_path, codec):
    """After packets were lost, no picture is given that refers to them; from the next keyframe on all are."""
    options = {"bf": "0"} | ({"tune": "zerolatency"} if codec == "libx264" else {})
    if codec == "libx265":
        options = {"x265-params": "log-level=none:bframes=0"}
    path = encoded(tmp_path / "whole.ts", codec, options=options)
    for lost, until in ((27, 40), (20, 40), (39, 40)):
        frames = played(without_pictures(path, {lost}))

        assert all(is_whole(frame) for frame in frames)
        numbers = set(numbers_of(frames))
        assert numbers.isdisjoint(range(lost, until))
        # The parser may report a loss one packet early, and a decoder may hold back some of what came before.
        assert numbers >= {*range(lost - 3), *range(until, NUM_FRAMES)}


def test_a_damaged_keyframe_is_none(tmp_path):
    """A keyframe of which a part was lost is not taken for a whole one, also where the decoder does not tell."""
    options = {"x265-params": "log-level=none:bframes=0"}
    path = encoded(tmp_path / "whole.ts", "libx265", options=options)
    frames = played(without_pictures(path, {20}, places=range(20, 24)))

    assert all(is_whole(frame) for frame in frames)
    assert set(numbers_of(frames)) >= {*range(17), *range(40, NUM_FRAMES)}


def test_a_stream_without_keyframes_is_shown_as_it_is(tmp_path, caplog):
    """Where no keyframe comes in half of the time-out, what can be decoded is given, and the log says so once."""
    path = cut(encoded(tmp_path / "whole.mkv", "mpeg4", group=300), 7)
    with caplog.at_level(logging.WARNING, "movinet_lite.live"):
        mpeg4 = played(path, timeout_s=0.8)
    path = encoded(tmp_path / "other.mkv", "libx264", group=300)
    with caplog.at_level(logging.WARNING, "movinet_lite.live"):
        h264 = played(cut(path, 7), timeout_s=0.8)

    for frames in (mpeg4, h264):
        assert 20 < len(frames) <= NUM_FRAMES - 7 - 10
    assert [record.getMessage() for record in caplog.records] == [
        "cut.mkv: no keyframe arrived in time; frames may be damaged until one does"
    ] * 2


def test_damage_is_held_back_again_after_a_late_keyframe(tmp_path):
    """A source that gave up waiting shows what is damaged until a keyframe comes, and waits again at the next loss."""
    path = encoded(tmp_path / "whole.ts", "mpeg4", options={"bf": "0"})
    lossy = without_pictures(path, {2, 37})
    frames = played(lossy, timeout_s=0.2)  # it waits for half of that: five pictures

    numbers = numbers_of(frames)
    assert set(numbers) >= {*range(10, 35), *range(40, 60)}
    assert {37, 38, 39}.isdisjoint(numbers)


def test_a_camera_joined_over_udp_shows_no_smeared_picture():
    """Of a camera that has sent for a while, the first frame is as whole as those that follow."""
    url = f"udp://127.0.0.1:{free_port()}"
    camera = ffmpeg_camera("-f", "mpegts", url, codec=("mpeg4", "-g", "30"))
    begun = io.BytesIO()
    with running(camera):
        with av.open(url, format="mpegts", timeout=10.0) as container:
            for packet in itertools.islice(container.demux(video=0), 10):
                begun.write(bytes(packet))  # so that it is in the middle of a group
        with open_source(url, fps=None, policy="all", timeout_s=8.0) as source:
            frames = [source.take(15.0).pixels.astype(int) for _ in range(10)]

    assert begun.tell()
    assert max(np.abs(frame - frames[-1]).mean() for frame in frames) < 50


def test_every_connection_waits_for_its_own_keyframe(tmp_path, monkeypatch):
    """A source that connects again, in the middle of a stream, shows nothing smeared then either."""
    path = cut(encoded(tmp_path / "whole.mkv", "mpeg4"), 7)
    monkeypatch.setattr(Connection, "_is_recording", lambda *_: False)
    with open_source(path, fps=None, policy="all") as source:
        frames = [source.take(10.0).pixels for _ in range(2 * GROUP + 20)]
        assert source.status.reconnects >= 1

    assert all(is_whole(frame) for frame in frames)
