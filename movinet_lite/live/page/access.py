"""Access control of the page.

If the page is served on this machine only, the host name in the address must be one of this machine, which prevents DNS
rebinding by other sites. If others can reach the port, the token is required, in a header or, after logging in, in a
cookie that contains a value derived from it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from typing import Final

from movinet_lite.errors import PageError

__all__ = [
    "COOKIE",
    "MIN_TOKEN",
    "Access",
    "check_token",
    "is_this_machine",
    "new_token",
]

COOKIE: Final = "movinet_lite"

MIN_TOKEN: Final = 16
"""Minimum length of a token, in characters."""


def is_this_machine(host: str) -> bool:
    """Return whether *host*, a name or an address, can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(24)


def check_token(token: str) -> str:
    """Return *token*, after checking it.

    Raises:
        PageError: If it is too short, or contains characters not allowed in a header.
    """
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
        raise PageError(
            f"the token must have at least {MIN_TOKEN} printable ASCII characters; got {len(token)} characters "
            "(to create one: openssl rand -base64 24)"
        )
    return token


class Access:
    """The access rules of a page.

    Args:
        token: The required token; `None` for a page on this machine only.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        key = b"" if token is None else token.encode()
        self.cookie = hmac.new(key, b"movinet-lite page", hashlib.sha256).hexdigest()

    @property
    def needs_token(self) -> bool:
        """Whether a token is required."""
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """Return whether *given* is the token, in constant time."""
        expected = self._token or ""
        same = hmac.compare_digest(given.encode(), expected.encode())
        return same and self._token is not None

    def allows_host(self, host: str) -> bool:
        """Return whether the ``Host`` header is one of this machine, or a token protects the page."""
        if self.needs_token:
            return True
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return is_this_machine(name.strip("[]"))

    def allows(self, authorization: str, cookies: str) -> bool:
        """Return whether the headers ``Authorization`` and ``Cookie`` contain the token."""
        if not self.needs_token:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        # Not with `http.cookies`, which takes none where a cookie of another program on this host is malformed.
        pairs = (part.strip().partition("=") for part in cookies.split(";"))
        return any(
            name == COOKIE and hmac.compare_digest(value.encode(), self.cookie.encode())
            for name, _, value in pairs
        )
