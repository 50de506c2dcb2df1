"""Packets without time stamps get the ones that they must have had."""

from fractions import Fraction
from types import SimpleNamespace

import av
import pytest

from movinet_lite.live.stamps import PacketStamps

STREAM = SimpleNamespace(
    average_rate=None, base_rate=Fraction(10), time_base=Fraction(1, 1000)
)


def packet(stamp=None):
    """Return a packet of a stream with ticks of a millisecond."""
    made = av.Packet(b"x")
    made.time_base = STREAM.time_base
    made.pts = made.dts = stamp
    return made


def stamps_of(packets, *, are_made_up=False, now_s=7.0):
    """Return the stamps of packets that come, in the order in which they are complete."""
    stamps = PacketStamps(STREAM, are_made_up=are_made_up)
    return [done.dts for one in packets for done in stamps.complete(one, now_s)]


def test_the_first_packets_get_the_stamps_before_the_first_stamp():
    """Packets of an RTSP stream that come before the clock is known are timed back from the first one that is."""
    assert stamps_of([packet(), packet(), packet(5000), packet(5100)]) == [
        4800,
        4900,
        5000,
        5100,
    ]


def test_a_packet_without_a_stamp_follows_the_one_before():
    """A hole in the stamps is filled at the rate of the stream."""
    assert stamps_of([packet(5000), packet(), packet(5200)]) == [5000, 5100, 5200]


@pytest.mark.parametrize("are_made_up", [True, False])
def test_a_stream_without_a_clock_is_timed_by_when_it_comes(are_made_up):
    """Where there are no stamps, or FFmpeg made them up, the time of arrival counts."""
    count = 1 if are_made_up else 60

    assert stamps_of([packet()] * count, are_made_up=are_made_up)[-1] == 7000
