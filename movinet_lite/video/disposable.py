"""Finds packets with frames that no other frame refers to, which need not be decoded.

Such frames are called disposable. The test follows the specification of each format and requires a packet with one
whole frame; in doubt, a packet is not disposable.

References:
    [1] ITU-T H.264, 7.4.1: a slice with nal_ref_idc 0 belongs to a picture that is never referred to.
    [2] ITU-T H.265, table 7-1 and 3.159: a sub-layer non-reference picture is not referred to by pictures of its own
        temporal sub-layer; those of higher ones may refer to it.
    [3] ISO/IEC 14496-2, 6.3.5: no video object plane is predicted from a B-VOP.
    [4] ISO/IEC 14496-15: the storage of H.264 and H.265 in MP4 and Matroska, each unit after its length; elsewhere each
        unit follows the bytes 0, 0, 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

__all__ = ["IsDisposable", "disposable_test"]

_START_CODE = b"\0\0\1"


class IsDisposable(Protocol):
    """Determines whether a packet is disposable; call it for each packet of a stream, in decoding order."""

    def __call__(self, packet: bytes, /) -> bool:
        """Return whether *packet* contains only a frame that no other frame refers to."""
        ...


def disposable_test(codec: str, extradata: bytes | None) -> IsDisposable | None:
    """Return the test for a stream, or `None` if no frames of the codec are known to be disposable.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: The decoder configuration of the file.
    """
    make = _TESTS.get(codec)
    return None if make is None else make(extradata or b"")


class _H264:
    """Checks the types of the units of a packet [1].

    If fields may be coded separately, two packets can form one frame, so no packet is disposable.
    """

    def __init__(self, extradata: bytes) -> None:
        self._length_size = 0
        self._has_fields: bool | None = None  # until there are parameters
        if extradata[:1] == b"\1" and len(extradata) > 6:
            self._length_size = (extradata[4] & 3) + 1
            count, place = extradata[5] & 31, 6
            for _ in range(count):
                end = place + 2 + int.from_bytes(extradata[place : place + 2])
                self._take_parameters(extradata[place + 2 : end])
                place = end
        else:
            for unit in _units_behind_start_codes(extradata):
                if unit[0] & 31 == _H264_PARAMETERS:
                    self._take_parameters(unit)

    def __call__(self, packet: bytes, /) -> bool:
        kinds = set()
        for unit in _units(packet, self._length_size):
            kind = unit[0] & 31
            if kind == _H264_PARAMETERS:
                self._take_parameters(unit)
            is_slice = kind == _H264_SLICE and unit[0] >> 5 == 0
            kinds.add("slice" if is_slice else kind)
        return (
            "slice" in kinds
            and kinds <= {"slice", *_H264_HARMLESS}
            and self._has_fields is False
        )

    def _take_parameters(self, unit: bytes) -> None:
        self._has_fields = bool(self._has_fields) or _may_hold_fields(unit)


_H264_SLICE: Final = 1
_H264_PARAMETERS: Final = 7
_H264_HARMLESS: Final = {6, 9, 12}  # supplemental information, delimiter, filler


class _Hevc:
    """Checks the types of the units of a packet, and their temporal sub-layers [2]."""

    def __init__(self, extradata: bytes) -> None:
        self._length_size = 0
        self._highest: int | None = None  # until there are parameters
        if len(extradata) > 23 and extradata[:3] > b"\0\0\1":
            self._length_size = (extradata[21] & 3) + 1
            units = _units_of_hevc_record(extradata)
        else:
            units = _units_behind_start_codes(extradata)
        for unit in units:
            if _hevc_kind(unit) == _HEVC_PARAMETERS:
                self._take_parameters(unit)

    def __call__(self, packet: bytes, /) -> bool:
        has_slice, is_disposable = False, True
        for unit in _units(packet, self._length_size):
            kind = _hevc_kind(unit)
            if kind == _HEVC_PARAMETERS:
                self._take_parameters(unit)
            if kind in _HEVC_DISPOSABLE and self._is_of_highest(unit):
                has_slice = True
            elif kind not in _HEVC_HARMLESS:
                is_disposable = False
        return has_slice and is_disposable

    def _is_of_highest(self, unit: bytes) -> bool:
        layer = (unit[0] & 1) << 5 | unit[1] >> 3
        return layer == 0 and (unit[1] & 7) - 1 == self._highest

    def _take_parameters(self, unit: bytes) -> None:
        if len(unit) > 2:
            self._highest = max(self._highest or 0, unit[2] >> 1 & 7)


_HEVC_PARAMETERS: Final = 33
_HEVC_DISPOSABLE: Final = {0, 2, 4, 6, 8}  # TRAIL_N, TSA_N, STSA_N, RADL_N, RASL_N
_HEVC_HARMLESS: Final = {
    35,  # delimiter
    38,  # filler
    39,  # supplemental information
    40,
    62,  # of Dolby Vision: how a display may map the tones
}


class _Mpeg4:
    """Checks for a single video object plane of type B [3]."""

    def __init__(self, extradata: bytes) -> None:
        del extradata

    def __call__(self, packet: bytes, /) -> bool:
        units = list(_units_behind_start_codes(packet))
        return (
            len(units) == 1
            and units[0][0] == _MPEG4_PLANE
            and len(units[0]) > 1
            and units[0][1] >> 6 == _MPEG4_B
        )


_MPEG4_PLANE: Final = 0xB6
_MPEG4_B: Final = 2


class _EachAlone:
    """For intra-only codecs."""

    def __init__(self, extradata: bytes) -> None:
        del extradata

    def __call__(self, packet: bytes, /) -> bool:
        return bool(packet)


_TESTS: Final[dict[str, Callable[[bytes], IsDisposable]]] = {
    "h264": _H264,
    "hevc": _Hevc,
    "mpeg4": _Mpeg4,
    "prores": _EachAlone,
    "dnxhd": _EachAlone,
}


def _units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """Yield the start of each unit of a packet; if they cannot be separated, one of a type that is never disposable."""
    if not length_size:
        yield from _units_behind_start_codes(packet)
        return
    place = 0
    while place < len(packet):
        start = place + length_size
        place = start + int.from_bytes(packet[place:start])
        if place == start or place > len(packet):
            yield _UNKNOWN
            return
        # Parameter sets are short, and the header of a slice is enough.
        yield packet[start : min(place, start + _MAX_PARAMETERS)]


_UNKNOWN: Final = b"\xff\xff"
_MAX_PARAMETERS: Final = 1024


def _units_behind_start_codes(data: bytes) -> Iterator[bytes]:
    start = data.find(_START_CODE)
    while start >= 0:
        start += len(_START_CODE)
        end = data.find(_START_CODE, start)
        unit = data[start : None if end < 0 else end][:_MAX_PARAMETERS]
        if unit:
            yield unit
        start = end


def _units_of_hevc_record(record: bytes) -> Iterator[bytes]:
    """Yield the units of an HEVCDecoderConfigurationRecord [4]."""
    place = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[place + 1 : place + 3])
        place += 3
        for _ in range(count):
            if place >= len(record):
                return
            end = place + 2 + int.from_bytes(record[place : place + 2])
            yield record[place + 2 : end]
            place = end


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63 if len(unit) > 1 else 63


def _may_hold_fields(parameters: bytes) -> bool:
    """Return whether a sequence parameter set of H.264 allows fields [1, 7.3.2.1.1]; also if it cannot be read."""
    try:
        return not _frames_only(_Bits(parameters[1:]))
    except IndexError:
        return True


def _frames_only(bits: _Bits) -> bool:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.number()
    if profile in _HIGH_PROFILES:
        _pass_over_format(bits)
    bits.number()  # log2_max_frame_num
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.take(1)
        bits.number()
        bits.number()
        for _ in range(bits.number()):
            bits.number()
    bits.number()  # max_num_ref_frames
    bits.take(1)
    bits.number()  # width and height
    bits.number()
    return bool(bits.take(1))


_HIGH_PROFILES: Final = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}


def _pass_over_format(bits: _Bits) -> None:
    chroma = bits.number()
    if chroma == 3:
        bits.take(1)
    bits.number()  # bit depths
    bits.number()
    bits.take(1)
    if bits.take(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _pass_over_scaling_list(bits, 16 if index < 6 else 64)


def _pass_over_scaling_list(bits: _Bits, length: int) -> None:
    last = following = 8
    for _ in range(length):
        if following:
            following = (last + bits.signed_number()) % 256
        last = following or last


class _Bits:
    """Reads a unit bit by bit.

    Raises:
        IndexError: At the end of the unit.
    """

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\0\0\3", b"\0\0")  # emulation prevention
        self._num_left = len(payload) * 8
        self._value = int.from_bytes(payload)

    def take(self, count: int) -> int:
        self._num_left -= count
        if self._num_left < 0:
            raise IndexError
        return self._value >> self._num_left & ((1 << count) - 1)

    def number(self) -> int:
        """Return the next number in Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_number(self) -> int:
        number = self.number()
        return (number + 1) // 2 if number % 2 else -(number // 2)
