"""Credentials never show, however an address writes them."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movinet_lite import VideoNotFoundError, read_frames
from movinet_lite.errors import LiveSourceError
from movinet_lite.live.addresses import Address
from movinet_lite.video.redaction import Credentials, redact

SECRETS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "@:/?#&=%+!$*~;,.-_|^"),
    min_size=3,
    max_size=20,
).map(lambda text: f"Xq{text}zW")
"""Passwords that people have, with marks by which they are found again."""


@given(SECRETS, SECRETS, SECRETS.map(lambda text: quote(text, "")))
@example("Xqadminz", "Xqp@ss/w:rd?#zW", "Xqabc1zW")
@pytest.mark.parametrize("encoded", [False, True])
def test_no_part_of_a_login_shows(encoded, user, password, token):
    """Neither user nor password nor token shows in a name, a message or a repr, whatever characters they hold."""
    if encoded:
        user, password = quote(user, ""), quote(password, "")
    url = f"rtsp://{user}:{password}@10.0.0.5:554/live/ch1?token={token}&channel=2"

    address = Address.of(url)
    told = [
        redact(url),
        redact(f"cannot open '{url}': 401"),
        address.name,
        repr(address),
        repr(Credentials.of(url)),
        Credentials.of(url).hide_in(f"for {user} with {password}, {token}"),
        str(LiveSourceError("it was lost", address.name)),
    ]

    for text in told:
        assert "Xq" not in text
        assert "zW" not in text
    assert address.name == "rtsp://10.0.0.5:554/live/ch1?channel=2"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/stream", "rtsp://cam/stream"),
        ("RTSP://me@cam/stream", "RTSP://cam/stream"),
        (
            "rtsp://cam/realmonitor?channel=1&subtype=0",
            "rtsp://cam/realmonitor?channel=1&subtype=0",
        ),
        (
            "rtsp://cam/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp",
            "rtsp://cam/user=***",
        ),
        ("http://cam/video.mjpg?user=me&pwd=1234", "http://cam/video.mjpg"),
        ("srt://cam:9000?passphrase=hunter2&mode=caller", "srt://cam:9000"),
        ("https://host/live.m3u8?sig=abc#frag", "https://host/live.m3u8"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x"),
        ("C:/videos/clip.mp4", "C:/videos/clip.mp4"),
        ("lobby.mp4", "lobby.mp4"),
    ],
)
def test_what_tells_cameras_apart_stays(address, shown):
    """Host, port, path and the channel stay; logins, tokens and fragments go."""
    assert redact(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Basic bWU6c2VjcmV0", "Authorization: ***"),
        ("password=hunter2, host=cam", "password=***, host=cam"),
        ("nothing to hide", "nothing to hide"),
        ("a http://a:b@c/d and http://e:f@g/h", "a http://c/d and http://g/h"),
    ],
)
def test_messages_lose_their_secrets(text, shown):
    """What follows "password=" and the like is hidden outside addresses, too, and nothing else is."""
    assert redact(text) == shown


@pytest.mark.parametrize("scheme", ["rtsp", "http", "https"])
def test_a_file_that_is_an_address_shows_no_password(scheme):
    """The error of `read_frames` about an address holds no password, nor does what caused it."""
    with pytest.raises(VideoNotFoundError, match="open") as caught:
        read_frames(f"{scheme}://me:hunter2@cam/stream")

    assert "hunter2" not in f"{caught.value}{caught.value!r}{caught.value.args}"
    assert caught.value.__suppress_context__
