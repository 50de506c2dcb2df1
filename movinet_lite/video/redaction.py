"""Removes credentials from addresses and messages, so that they can be shown and logged."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import attrs

__all__ = ["Credentials", "redact"]

_HIDDEN: Final = "***"

_URL: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+:)(//?)([^\s\"'<>]+)")
"""An address, possibly without its second slash after normalisation as a path."""

_WORDS_BEFORE: Final = (
    r"pass\w*|pwd|psw|pw|token\w*|secret\w*|api_?key|key|auth\w*|sig\w*|user\w*|usr|login|sid|session\w*|credential\w*|"
    r"access\w*|bearer|basic|digest|nonce|jwt|code|account"
)
_SECRET_IN_PATH: Final = re.compile(rf"(?i)((?:{_WORDS_BEFORE})\s*[=:])[^/]*")
_SECRET_IN_TEXT: Final = re.compile(
    rf"(?i)(\b(?:{_WORDS_BEFORE})\s*[=:]\s*)(?:(?:bearer|basic|digest)\s+)?[^\s\"'&;,)]+"
)

_PLAIN_PARAMETER: Final = re.compile(
    r"(?i)(?:cam(?:era)?|ch(?:annel)?(?:id)?|fps|id|input|profile|resolution|stream(?:id|type)?|subtype|trackid|video)"
    r"=[A-Za-z0-9_.x-]{0,12}"
)
"""The parameters that distinguish the cameras of a host; all others are removed."""

_SHORTEST_SECRET: Final = 4
"""Shorter secrets are not replaced in texts, which would become unreadable."""


def redact(text: str) -> str:
    """Return *text* without the credentials of the addresses in it.

    Each address is reduced to ``scheme://host:port/path``, without user, password and fragment, and with only those
    parameters that select a channel, such as ``channel=2``. Outside addresses, values after ``password=``, ``token:``,
    ``Authorization: Basic`` and the like are hidden.

    Use it for log messages of other libraries; messages of this library are already redacted.

    Args:
        text: An address, or a message that may contain some.

    Returns:
        The redacted text.

    Example:
        >>> redact("rtsp://admin:hunter2@10.0.0.5:554/stream?channel=2&token=abc")
        'rtsp://10.0.0.5:554/stream?channel=2'
        >>> redact("401 for http://me:secret@cam/video (Authorization: Basic bWU6c2VjcmV0)")
        '401 for http://cam/video (Authorization: ***)'
    """
    pieces, end = [], 0
    for match in _URL.finditer(text):
        pieces += [_hide_in_text(text[end : match.start()]), _shown(*match.groups())]
        end = match.end()
    return "".join([*pieces, _hide_in_text(text[end:])])


def _hide_in_text(text: str) -> str:
    return _SECRET_IN_TEXT.sub(rf"\g<1>{_HIDDEN}", text)


def _shown(scheme: str, slashes: str, rest: str) -> str:
    # A password may contain any of "@/?#": everything before the last @ is removed.
    place = rest.rpartition("@")[2].partition("#")[0]
    path, _, query = place.partition("?")
    path = _SECRET_IN_PATH.sub(rf"\g<1>{_HIDDEN}", path)
    shown = [part for part in query.split("&") if _PLAIN_PARAMETER.fullmatch(part)]
    return f"{scheme}{slashes}{path}{'?' if shown else ''}{'&'.join(shown)}"


@attrs.frozen
class Credentials:
    """The secrets of an address, to be removed from messages about it."""

    _secrets: tuple[str, ...] = attrs.field(default=(), repr=False)

    @classmethod
    def of(cls, address: str) -> Credentials:
        """Return the user, password and parameters of an address."""
        rest = address.partition("://")[2]
        login, _, place = rest.rpartition("@")
        found = [login]
        for colon in re.finditer(
            ":", login
        ):  # a user name may contain one, although it is invalid
            found += [login[: colon.start()], login[colon.end() :]]
        for part in place.partition("?")[2].split("&"):
            if not _PLAIN_PARAMETER.fullmatch(part):
                found += [part, part.partition("=")[2]]
        found += [unquote(secret) for secret in found]
        long_enough = {secret for secret in found if len(secret) >= _SHORTEST_SECRET}
        return cls(tuple(sorted(long_enough, key=len, reverse=True)))

    def hide_in(self, text: str) -> str:
        """Return *text* without these secrets and without those of any other address in it."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return redact(text)
