"""Clips: what is kept of a stream, what a file of it holds, and what a recorder leaves on the disk."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import attrs
import av
import pytest

from movinet_lite import LiveSourceError, load_clip, read_video_info
from movinet_lite.live import ClipRecorder, open_source
from movinet_lite.live.clips import write_clip
from movinet_lite.live.packets import PacketRing
from movinet_lite.testing import FakeLiveSource
from tests.live.servers import wait_for
from tests.video_files import number_in, write_numbered

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = 10
KEYFRAMES = 5


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A video of six seconds at 10 fps, every frame of which shows its number, with a keyframe each half second."""
    path = tmp_path_factory.mktemp("stream") / "stream.mp4"
    options = {"g": str(KEYFRAMES), "bf": "0", "sc_threshold": "0"}
    return write_numbered(path, 60, rate=RATE, options=options)


def feed(ring, path, *, first_s=0.0, first=0, count=None, corrupt=()):
    """Let a ring have the packets of a file from the *first* on, as one connection that begins at *first_s*."""
    with av.open(path) as container:
        video = container.streams.video[0]
        ring.begin(video)
        for number, packet in enumerate(container.demux(video)):
            packet.is_corrupt = number in corrupt
            if packet.size and first <= number and (count is None or number < count):
                ring.add(packet, first_s + float(packet.pts * packet.time_base))


def save(ring, path, start_s, end_s):
    """Write a clip of what a ring holds."""
    return write_clip(
        path,
        ring.since(0),
        source="cam",
        start_s=start_s,
        end_s=end_s,
        started_at=BEGAN,
    )


def test_a_clip_is_the_stream_from_a_keyframe_on(stream, tmp_path):
    """A clip holds the very packets from the keyframe before its start to its end, and says which."""
    ring = PacketRing(60.0)
    feed(ring, stream)

    clip = save(ring, tmp_path / "clip.mp4", 2.3, 4.0)

    numbers = [number_in(frame) for frame in load_clip(clip.path)]
    assert numbers == list(range(20, 40))
    assert (clip.start_s, clip.end_s) == pytest.approx((2.0, 4.0))
    assert clip.begun_at == BEGAN + timedelta(seconds=clip.start_s)
    assert clip.num_bytes == clip.path.stat().st_size
    assert read_video_info(clip.path).fps == pytest.approx(RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_only_the_last_seconds_are_kept(stream):
    """What is older than wanted goes, whole groups of pictures at a time; what is left begins with a keyframe."""
    ring = PacketRing(2.0)
    feed(ring, stream)

    kept = ring.since(0)
    assert kept[0].is_keyframe
    assert 5.9 - 2.0 - KEYFRAMES / RATE <= kept[0].time_s <= 5.9 - 2.0
    assert ring.num_bytes == sum(len(packet.data) for packet in kept)


def test_memory_is_bounded(stream):
    """A stream of more bytes than allowed keeps fewer seconds."""
    ring = PacketRing(60.0, max_bytes=3000)
    feed(ring, stream)

    assert 0 < ring.num_bytes <= 3000
    assert ring.since(0)[0].is_keyframe


def test_what_is_kept_begins_with_a_keyframe(stream, tmp_path):
    """Of a connection that begins between two keyframes, or with a damaged one, nothing before a whole one is kept."""
    for first, corrupt, number in ((3, (), 5), (3, (5,), 10), (5, (), 5)):
        ring = PacketRing(60.0)
        feed(ring, stream, first=first, corrupt=corrupt)
        path = tmp_path / f"{first}-{len(corrupt)}.mp4"
        clip = save(ring, path, 0.1, 2.0)

        assert ring.since(0)[0].is_keyframe
        assert clip.start_s == pytest.approx(number / RATE)
        assert [number_in(one) for one in load_clip(path)] == list(range(number, 20))


def test_what_is_kept_of_each_connection_begins_with_a_keyframe(stream, tmp_path):
    """After a reconnection the clip of an event begins at the keyframe of the new one, as does what is kept."""
    ring = PacketRing(60.0)
    feed(ring, stream, count=8)
    feed(ring, stream, first_s=10.0, first=3)
    after = save(ring, tmp_path / "after.mp4", 10.4, 12.0)

    assert after.start_s == pytest.approx(10.5)
    assert [packet.is_keyframe for packet in ring.since(8)[:2]] == [True, False]
    assert [number_in(frame) for frame in load_clip(after.path)] == list(range(5, 20))


def test_packets_are_found_by_their_number(stream):
    """Whoever asks from a number on gets each packet once, also after some were dropped."""
    ring = PacketRing(1.0)
    feed(ring, stream, count=30)
    first = ring.since(0)
    feed(ring, stream, first_s=3.0)

    rest = ring.since(first[-1].number + 1)
    assert first[-1].number == 29
    assert [packet.number for packet in rest] == list(
        range(rest[0].number, rest[-1].number + 1)
    )
    assert rest[-1].number == 89


def test_a_clip_ends_where_the_connection_was_lost(stream, tmp_path):
    """A clip never joins two connections: it ends with the one in which it begins."""
    ring = PacketRing(60.0)
    feed(ring, stream, count=18)
    feed(ring, stream, first_s=5.0)

    before = save(ring, tmp_path / "before.mp4", 1.2, 8.0)
    after = save(ring, tmp_path / "after.mp4", 5.3, 6.0)

    assert [number_in(frame) for frame in load_clip(before.path)] == list(range(10, 18))
    assert [number_in(frame) for frame in load_clip(after.path)] == list(range(10))


def test_two_packets_of_one_time_are_both_in_a_clip(stream, tmp_path):
    """A stream that gives two packets one time, as cameras do after a hitch, makes a whole clip."""
    ring = PacketRing(60.0)
    feed(ring, stream)
    packets = ring.since(0)
    packets[7] = attrs.evolve(packets[7], dts=packets[6].dts, pts=packets[6].pts)

    clip = write_clip(
        tmp_path / "clip.mp4",
        packets,
        source="cam",
        start_s=0.0,
        end_s=2.0,
        started_at=BEGAN,
    )

    assert [number_in(frame) for frame in load_clip(clip.path)] == list(range(20))


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    """A file where the clips shall go is one error that names it."""
    (tmp_path / "clips").touch()

    with pytest.raises(LiveSourceError, match=r"clips: .*File exists"):
        ClipRecorder(tmp_path / "clips")


@pytest.mark.parametrize("span", [(10.0, 12.0), (-9.0, -8.0)])
def test_a_clip_of_a_time_that_is_not_kept_is_an_error(stream, tmp_path, span):
    """Where nothing is kept, no file is left."""
    ring = PacketRing(60.0)
    if span[0] < 0:
        feed(ring, stream)

    with pytest.raises(LiveSourceError, match="no packets are stored for that time"):
        save(ring, tmp_path / "clip.mp4", *span)
    assert list(tmp_path.iterdir()) == []


def test_what_mp4_cannot_hold_is_an_error(tmp_path):
    """A codec that mp4 does not take is one clear error, and no file is left."""
    ring = PacketRing(60.0)
    feed(ring, write_numbered(tmp_path / "a.webm", 10, rate=10))

    with pytest.raises(LiveSourceError, match="mp4 does not support its codec"):
        save(ring, tmp_path / "clip.mp4", 0.0, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.webm"]


@pytest.mark.parametrize(
    ("name", "span", "message"),
    [
        ("clip.avi", (0.0, 1.0), "must be an .mp4 file; got 'clip.avi'"),
        ("clip.mp4", (1.0, 1.0), "start_s must be below end_s; got 1 and 1"),
    ],
)
def test_impossible_clips_are_refused(stream, tmp_path, name, span, message):
    """A wrong name and a span that ends before it begins are one clear error."""
    ring = PacketRing(60.0)
    feed(ring, stream)

    with pytest.raises(LiveSourceError, match=message):
        save(ring, tmp_path / name, *span)


class KeptSource(FakeLiveSource):
    """A fake source that keeps packets, which the test adds."""

    keep_s = 60.0

    def __init__(self):
        super().__init__(name="Front door", ends=False)
        self.ring = PacketRing(60.0)
        self.time_s = 0.0

    @property
    def now_s(self):
        """The time that the test set."""
        return self.time_s

    def packets_since(self, number):
        """Return the packets that the test added."""
        return self.ring.since(number)


def recorded(stream, folder, *, finish_s=3.0, count=None, **options):
    """Record one event from 2.0 s to *finish_s*; return the recorder and what it told."""
    told = []
    source = KeptSource()
    feed(source.ring, stream, count=count)
    recorder = ClipRecorder(
        folder, pre_s=1.0, post_s=1.0, on_clip=told.append, **options
    )
    clip_id = recorder.begin(source, start_s=2.0, label="Jumping jacks")
    if finish_s is not None:
        recorder.finish(clip_id, end_s=finish_s)
    source.time_s = 6.0
    return recorder, told, clip_id


def test_an_event_becomes_a_clip_with_what_was_before_and_after(stream, tmp_path):
    """A clip begins *pre_s* before an event and ends *post_s* after it, and can be found by its id."""
    recorder, told, clip_id = recorded(stream, tmp_path)
    with recorder:
        (clip,) = wait_for(lambda: told)

    assert [number_in(frame) for frame in load_clip(clip.path)] == list(range(10, 40))
    assert (clip.source, clip.label, clip.error) == (
        "Front door",
        "Jumping jacks",
        None,
    )
    assert recorder.path_of(clip_id) == clip.path
    assert "front-door_jumping-jacks" in clip.path.name
    assert recorder.clips == [clip]


def test_a_clip_goes_on_while_packets_come(stream, tmp_path):
    """Packets that come after the event began are written, too."""
    told = []
    source = KeptSource()
    feed(source.ring, stream, count=25)
    with ClipRecorder(tmp_path, pre_s=1.0, post_s=0.5, on_clip=told.append) as recorder:
        clip_id = recorder.begin(source, start_s=2.0)
        wait_for(lambda: list(tmp_path.glob(".*.tmp")))
        with av.open(stream) as container:
            for number, packet in enumerate(container.demux(video=0)):
                if number >= 25 and packet.size:
                    source.ring.add(packet, float(packet.pts * packet.time_base))
        recorder.finish(clip_id, end_s=4.0)
        (clip,) = wait_for(lambda: told)

    assert [number_in(frame) for frame in load_clip(clip.path)] == list(range(10, 45))


def test_closing_finishes_what_is_in_progress(stream, tmp_path):
    """A clip whose event goes on when the recorder is closed is complete as far as it goes."""
    recorder, told, _ = recorded(stream, tmp_path, finish_s=None)
    recorder.close()

    assert [number_in(frame) for frame in load_clip(told[0].path)] == list(
        range(10, 60)
    )
    assert not [thread for thread in threading.enumerate() if "clips" in thread.name]
    with pytest.raises(LiveSourceError, match="the recorder is closed"):
        recorder.begin(KeptSource(), start_s=0.0)


def test_a_source_that_is_closed_does_not_cost_its_clips(stream, tmp_path):
    """A clip that has just begun when its source is closed holds what the source had sent."""
    told = []
    with (
        ClipRecorder(tmp_path, on_clip=told.append) as recorder,
        open_source(stream, fps=None, keep_s=7.0) as source,
    ):
        for _ in range(5):
            source.take(20.0)
        recorder.begin(source, start_s=0.1)
        source.close()

    (clip,) = told
    assert clip.error is None
    assert len(load_clip(clip.path)) >= 5


def test_an_event_without_end_is_cut(stream, tmp_path):
    """No clip is longer than allowed, and one that was cut says so."""
    recorder, told, _ = recorded(stream, tmp_path, finish_s=None, max_clip_s=2.0)
    with recorder:
        (clip,) = wait_for(lambda: told)

    assert clip.error == "it was cut after 2 s"
    assert clip.end_s - clip.start_s == pytest.approx(2.1)


def test_a_connection_that_is_lost_ends_a_clip_cleanly(stream, tmp_path):
    """A clip whose source was lost meanwhile holds what came before, and says so."""
    told = []
    source = KeptSource()
    feed(source.ring, stream, count=28)
    feed(source.ring, stream, first_s=20.0)
    with ClipRecorder(tmp_path, pre_s=1.0, post_s=1.0, on_clip=told.append) as recorder:
        clip_id = recorder.begin(source, start_s=2.0)
        recorder.finish(clip_id, end_s=25.0)
        (clip,) = wait_for(lambda: told)

    assert [number_in(frame) for frame in load_clip(clip.path)] == list(range(10, 28))
    assert clip.error == "the connection was lost during the clip"


def test_an_event_after_a_reconnection_has_it_in_its_clip(stream, tmp_path):
    """Where the connection was lost shortly before an event, its clip begins with the new connection."""
    told = []
    source = KeptSource()
    feed(source.ring, stream, count=28)
    feed(source.ring, stream, first_s=4.0)
    source.time_s = 20.0
    with ClipRecorder(tmp_path, pre_s=2.0, post_s=1.0, on_clip=told.append) as recorder:
        recorder.finish(recorder.begin(source, start_s=4.5), end_s=5.0)
        (clip,) = wait_for(lambda: told)

    assert [number_in(frame) for frame in load_clip(clip.path)] == list(range(20))
    assert (clip.start_s, clip.error) == (pytest.approx(4.0), None)


def test_the_oldest_clips_go_first_and_nothing_else(stream, tmp_path):
    """The folder stays within its limit; files that a recorder did not write are never removed."""
    (tmp_path / "holiday.mp4").write_bytes(bytes(10_000))
    (tmp_path / "20260101T000000Z_a_b.mp4").write_bytes(bytes(10_000))
    old = tmp_path / "20260101T000000Z_cam_jump_0123456789ab.mp4"
    old.write_bytes(bytes(5_000))
    newer = tmp_path / "20260102T000000Z_cam_jump_0123456789ac.mp4"
    newer.write_bytes(bytes(5_000))

    recorder, told, _ = recorded(stream, tmp_path, max_bytes=8_000)
    with recorder:
        (clip,) = wait_for(lambda: told)

    assert 1_000 < clip.num_bytes <= 3_000
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "holiday.mp4",
        "20260101T000000Z_a_b.mp4",
        newer.name,
        clip.path.name,
    }


def test_a_recorder_knows_the_clips_of_earlier_runs(stream, tmp_path):
    """Clips found in the folder are listed by what their names tell."""
    recorder, told, clip_id = recorded(stream, tmp_path)
    with recorder:
        wait_for(lambda: told)

    (clip,) = ClipRecorder(tmp_path).clips
    assert (clip.clip_id, clip.source, clip.label) == (
        clip_id,
        "front-door",
        "jumping-jacks",
    )


def test_a_clip_that_fails_leaves_nothing_and_stops_no_other(stream, tmp_path):
    """A clip that cannot be written is told of with its reason, and the next one is written."""
    told = []
    with ClipRecorder(tmp_path, on_clip=told.append) as recorder:
        empty = KeptSource()
        empty.time_s = 60.0
        recorder.finish(recorder.begin(empty, start_s=2.0), end_s=3.0)
        failed = wait_for(lambda: told)[0]
        source = KeptSource()
        feed(source.ring, stream)
        source.time_s = 60.0
        recorder.finish(recorder.begin(source, start_s=2.0), end_s=3.0)
        wait_for(lambda: len(told) == 2)

    assert failed.error == "no packets are stored for that time"
    assert not failed.path.exists()
    assert told[1].error is None
    assert [path.name for path in tmp_path.iterdir()] == [told[1].path.name]


def test_a_folder_that_is_lost_costs_no_later_clip(stream, tmp_path):
    """While the folder cannot be written to, clips fail with a reason; the next one after that is written."""
    folder, told = tmp_path / "clips", []
    source = KeptSource()
    feed(source.ring, stream)
    with ClipRecorder(folder, on_clip=told.append) as recorder:
        clip_id = recorder.begin(source, start_s=2.0)
        wait_for(lambda: list(folder.iterdir()))
        folder.rename(tmp_path / "away")
        folder.write_bytes(b"")  # nothing in it can be removed, as on a read-only disk
        recorder.finish(clip_id, end_s=3.0)
        source.time_s = 60.0
        wait_for(lambda: told)
        folder.unlink()
        recorder.finish(recorder.begin(source, start_s=2.0), end_s=3.0)
        wait_for(lambda: len(told) == 2)

    assert told[0].error.endswith("cannot be written: Not a directory")
    assert (told[1].error, told[1].path.is_file()) == (None, True)


def test_a_clip_that_cannot_be_deleted_stops_no_other(stream, tmp_path, monkeypatch):
    """Where an old clip cannot be deleted, the recorder says so and goes on."""
    old = tmp_path / "20260101T000000Z_cam_jump_0123456789ab.mp4"
    old.write_bytes(bytes(9_000))
    told, source = [], KeptSource()
    feed(source.ring, stream)
    source.time_s = 60.0

    def refuse(*_, **__):
        raise PermissionError("no")

    with ClipRecorder(tmp_path, max_bytes=9_500, on_clip=told.append) as recorder:
        monkeypatch.setattr(type(old), "unlink", refuse)
        for count in (1, 2):
            recorder.finish(recorder.begin(source, start_s=2.0), end_s=3.0)
            wait_for(lambda count=count: len(told) == count)

    assert recorder.last_error.startswith("an old clip cannot be deleted")
    assert old.exists()


def test_a_clock_that_was_set_back_costs_no_new_clip(stream, tmp_path):
    """Clips of this run are deleted after those of earlier runs, whatever the clock said then."""
    later = tmp_path / "20990101T000000Z_cam_jump_0123456789ab.mp4"
    later.write_bytes(bytes(5_000))

    recorder, told, clip_id = recorded(stream, tmp_path, max_bytes=6_000)
    with recorder:
        wait_for(lambda: told)

    assert recorder.path_of(clip_id) is not None
    assert not later.exists()


def test_names_that_only_look_like_clips_do_no_harm(tmp_path):
    """A folder with the name of a clip is left alone; a clip with a day that does not exist is the oldest."""
    (tmp_path / "20260101T000000Z_cam_jump_0123456789ab.mp4").mkdir()
    for name in (
        "20269999T999999Z_a_b_0123456789ac",
        "20260101T000000Z_a_b_0123456789ad",
    ):
        (tmp_path / f"{name}.mp4").write_bytes(bytes(10))

    clips = ClipRecorder(tmp_path, max_bytes=15).clips

    assert [clip.clip_id for clip in clips] == ["0123456789ad"]


def test_a_source_that_keeps_nothing_cannot_be_recorded(tmp_path):
    """A source without packets in memory is refused, with what to do."""
    with pytest.raises(LiveSourceError, match="open the source with keep_s=7"):
        ClipRecorder(tmp_path).begin(FakeLiveSource(ends=False), start_s=0.0)


@pytest.mark.parametrize("name", ["file", "file/clips"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, name):
    """A recorder whose folder is a file, or lies in one, is refused before anything is recorded."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(LiveSourceError, match="the folder of clips must be writable"):
        ClipRecorder(tmp_path / name)


def test_a_folder_that_is_read_only_is_refused(tmp_path, monkeypatch):
    """Who may not write to the folder is told so at the beginning, not at the first event."""
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere

    with pytest.raises(LiveSourceError, match="must be writable; it is read-only"):
        ClipRecorder(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_disk_that_is_full_costs_the_clip_and_leaves_nothing(stream, tmp_path):
    """Where the clip cannot be written to its end, that is an error, and no part of it is left."""
    code = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from movinet_lite import LiveSourceError
from movinet_lite.live.packets import PacketRing
from tests.live.test_clips import feed, save

ring = PacketRing(60.0)
feed(ring, sys.argv[1])
folder = Path(sys.argv[2])
save(ring, folder / "whole.mp4", 0.0, 6.0)
size = (folder / "whole.mp4").stat().st_size
for limit in (100, size // 2, size - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save(ring, folder / "clip.mp4", 0.0, 6.0)
    except LiveSourceError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(stream), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (
        done.stdout.splitlines()
        == ["cam: the clip clip.mp4 cannot be written: File too large"] * 3
    )
    assert [path.name for path in tmp_path.iterdir()] == ["whole.mp4"]
