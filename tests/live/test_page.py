"""The page: who may see it, and what it says to people and programs."""

import http.client
import json
import logging
import socket
import sys
from datetime import UTC, datetime

import attrs
import pytest

from movinet_lite import Event, EventDetector, StreamingClassifier
from movinet_lite.errors import MissingDependencyError, PageError, SessionError
from movinet_lite.live.page.access import Access, is_this_machine
from movinet_lite.live.page.event_list import EventList
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.live.watching import Watcher
from movinet_lite.testing import FakeStreamModel
from tests.live import browser
from tests.live.pushed_source import PushedSource

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from movinet_lite.live.page import Page

TOKEN = "correct horse battery"  # noqa: S105 - of a test
DETECTOR = EventDetector(
    enter=0.25, leave=0.2, min_duration_s=0.3, labels=["red", "green"]
)


class Clips:
    """What the page needs of a recorder."""

    def __init__(self):
        self.paths = {}

    def path_of(self, clip_id):
        """Return the file of a clip."""
        return self.paths.get(clip_id)


class Shown:
    """A page with two cameras, one of which saw something."""

    def __init__(self, page, watcher, door, clips):
        self.page = page
        self.watcher = watcher
        self.door = door
        self.clips = clips
        self.event = None

    def ask(self, path, *, method="GET", headers=None, body=None):
        """Return the answer to a request: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.page._port)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found


def showing(token=None):
    """Give a page that is served."""
    clips = Clips()
    classifier = StreamingClassifier(FakeStreamModel())
    with (
        Page("127.0.0.1:0", token=token) as page,
        Watcher(
            classifier,
            detector=DETECTOR,
            snapshots=True,
            on_prediction=page.on_prediction,
        ) as watcher,
    ):
        door = PushedSource('front "door"', age_s=3.0)
        watcher.add(door)
        watcher.add(PushedSource("yard"))
        page.show(watcher, clips)
        shown = Shown(page, watcher, door, clips)
        door.push_all(["red"] * 10)
        shown.event = watcher.take(10.0)
        page.add(shown.event)
        yield shown


@pytest.fixture
def shown():
    """A page that this machine alone can see."""
    yield from showing()


@pytest.fixture
def guarded():
    """A page with a token."""
    yield from showing(TOKEN)


def test_programs_are_answered(shown):
    """Events are JSON, the state is text for Prometheus, and health is a word."""
    status, _, body = shown.ask("/healthz")
    assert (status, body) == (200, b"ok")

    _, _, body = shown.ask("/events")
    (event,) = json.loads(body)["events"]
    assert (event["label"], event["source"]) == ("red", 'front "door"')
    assert event["started_at"].endswith("Z")

    _, headers, body = shown.ask("/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = body.decode().splitlines()
    assert "movinet_lite_cameras 2" in lines
    assert r'movinet_lite_camera_up{camera="front \"door\""} 1' in lines
    assert r'movinet_lite_events_total{camera="front \"door\"",label="red"} 1' in lines
    assert "movinet_lite_overloaded 0" in lines


def test_health_ends_with_the_watcher(shown):
    """A watcher that found its end is not healthy."""
    shown.watcher.close()
    list(shown.watcher)

    status, _, _ = shown.ask("/healthz")
    assert status == 503


def test_scores_of_a_removed_camera_are_forgotten(shown):
    """Who opens the page gets the scores of the cameras that are watched, not of those that were."""

    def scores():
        connection = http.client.HTTPConnection("127.0.0.1", shown.page._port)
        connection.request("GET", "/updates")
        line = connection.getresponse().readline()
        connection.close()
        return json.loads(line.removeprefix(b"data: "))["scores"]

    assert list(scores()) == ['front "door"']
    shown.watcher.remove('front "door"')
    assert scores() == {}


def test_pictures(shown):
    """The last picture of a camera and that of an event are JPEGs; what has none says so."""
    event_id = shown.event.id
    for path in (
        "/cameras/front%20%22door%22/picture.jpg",
        f"/events/{event_id}/picture.jpg",
    ):
        status, headers, body = shown.ask(path)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert body[:2] == b"\xff\xd8"
    for path in (
        "/cameras/yard/picture.jpg",
        "/cameras/no/picture.jpg",
        "/events/no/picture.jpg",
    ):
        assert shown.ask(path)[0] == 404


def test_clips_are_known_by_their_id_alone(shown, tmp_path):
    """A clip is given under the id of its event, also in parts; no other file can be had."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(bytes(range(100)))
    values = shown.page._events._entries[shown.event.id].values
    values["clip_id"] = "abc"
    address = f"/events/{shown.event.id}/clip.mp4"
    assert shown.ask(address)[0] == 404  # it is not written yet

    shown.clips.paths["abc"] = path
    status, headers, body = shown.ask(address)
    assert (status, body) == (200, path.read_bytes())
    assert headers["content-type"] == "video/mp4"
    status, headers, body = shown.ask(address, headers={"Range": "bytes=10-19"})
    assert (status, body) == (206, bytes(range(10, 20)))
    for other in (
        "/events/..%2f..%2fclip/clip.mp4",
        "/events/abc/clip.mp4",
        "/clip.mp4",
        "/../clip.mp4",
    ):
        assert shown.ask(other)[0] == 404


def test_another_name_is_refused(shown):
    """A page of another site, whose name leads to this machine, cannot read anything."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        status, _, body = shown.ask("/events", headers={"Host": host})
        assert (status, b"red" in body) == (403, False)
    assert shown.ask("/events", headers={"Host": "localhost:80"})[0] == 200
    assert shown.ask("/events", headers={"Host": "[::1]:80"})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/events",
        "/metrics",
        "/cameras",
        "/updates",
        "/page.js",
        "/cameras/yard/picture.jpg",
    ],
)
def test_nothing_without_the_token(guarded, path):
    """With a token, nothing of a camera is told without it."""
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Cookie": "movinet_lite=no"},
    ):
        assert guarded.ask(path, headers=headers)[0] == 401


def test_the_token_opens_the_page(guarded, caplog):
    """The token works as a header, and once typed as a cookie; the cookie does not hold it, and no log does."""
    with caplog.at_level(logging.DEBUG):
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert guarded.ask("/events", headers=bearer)[0] == 200
        status, headers, _ = guarded.ask("/")
        assert (status, headers["location"]) == (303, "/login")
        assert guarded.ask("/login")[0] == 200
        assert guarded.ask("/login", method="POST", body="wrong")[0] == 403

        status, headers, _ = guarded.ask("/login", method="POST", body=TOKEN)
        cookie = headers["set-cookie"]
        assert status == 204
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert guarded.ask("/", headers={"Cookie": cookie.split(";")[0]})[0] == 200
    assert TOKEN not in caplog.text


def test_cookies_of_other_programs_do_no_harm():
    """Cookies are shared by all ports of a host: one that no parser takes leaves ours valid; a wrong one opens nothing."""
    access = Access(TOKEN)

    for other in ("x[]=1", '"=', "=", "movinet_lite=wrong", "\xff"):
        assert access.allows("", f"{other}; movinet_lite={access.cookie}")
        assert not access.allows("", other)


def test_an_event_that_outlasts_many_others_is_counted_once():
    """The list keeps the last 500 events, and those that have not ended."""
    known = EventList()

    def add(number, state):
        end_s = 1.0 if state == "ended" else None
        event = Event(
            label="red",
            start_s=0.0,
            end_s=end_s,
            peak=0.5,
            mean=0.5,
            num_frames=1,
            state=state,
        )
        at = datetime(2026, 1, 1, tzinfo=UTC)
        known.add(
            WatchedEvent(id=str(number), source="door", event=event, opened_at=at)
        )

    for number in range(502):
        add(number, "confirmed")
        if number:
            add(number, "ended")
    add(0, "ended")

    assert known.counts() == {("door", "red"): 502}
    assert len(known.since()[1]) == 500
    assert known.find("0")["state"] == "ended"


def test_health_needs_no_token(guarded):
    """Whoever watches over the service needs no secret."""
    assert guarded.ask("/healthz")[0] == 200


def test_headers_keep_others_out(shown):
    """Nothing is loaded from elsewhere, and no other page can frame this one."""
    _, headers, body = shown.ask("/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert b"http://" not in body
    assert b"https://" not in body


@pytest.mark.parametrize(
    ("address", "token", "message"),
    [
        ("0.0.0.0:0", None, "must have a token; got none for 0.0.0.0"),
        ("0.0.0.0:0", "short", "at least 16 printable ASCII characters; got 5"),
        ("nowhere", None, r"\[HOST:\]PORT.*got 'nowhere'"),
        ("127.0.0.1:99999", None, r"\[HOST:\]PORT"),
    ],
)
def test_addresses_that_cannot_work(address, token, message):
    """A page that others can reach needs a token, and an address is [HOST:]PORT."""
    with pytest.raises(PageError, match=message):
        Page(address, token=token)


def test_a_port_in_use():
    """A port that is taken is known at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PageError, match=f"port {port} of 127.0.0.1 must be free"):
            Page(str(port))


def test_a_missing_package(monkeypatch):
    """Without its extra the page says what to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"movinet-lite\[serve\]"):
        Page("0")


def test_a_page_is_shown_once(shown):
    """A page serves one watcher."""
    with pytest.raises(SessionError, match="once"):
        shown.page.show(shown.watcher)


def test_names_of_this_machine():
    """Only what cannot be reached from elsewhere counts as this machine."""
    assert all(map(is_this_machine, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    others = ("0.0.0.0", "10.0.0.1", "example.org", "")  # noqa: S104 - asked about, not bound
    assert not any(map(is_this_machine, others))
    assert not Access(None).is_token("")


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium")
def test_a_browser_shows_the_page(tmp_path):
    """In a real browser: the token opens it; names, scores and events appear, and later ones by themselves."""
    for shown in showing(TOKEN):
        with browser.opened(tmp_path) as page:
            page.size(1280, 800)
            page.open(f"{shown.page.link}#token=wrong")
            page.wait_for("document.querySelector('#wrong')?.textContent")
            page.errors.clear()  # the browser reports the refusal
            page.open(f"{shown.page.link}login#token={TOKEN}")
            page.wait_for("document.querySelector('#event-list li')")
            assert page.value("location.hash + location.pathname") == "/"
            names = page.value(
                "[...document.querySelectorAll('.name')].map(one => one.textContent)"
            )
            assert names == ['front "door"', "yard"]
            text = page.value("document.querySelector('#event-list').innerText")
            assert "red" in text
            assert 'front "door"' in text
            page.wait_for("document.querySelector('.camera.has-picture')")

            shown.door.push_all(["green"] * 60, start_s=2.0)
            event = shown.watcher.take(10.0)
            while event.label != "green":
                event = shown.watcher.take(10.0)
            shown.page.add(event)
            page.wait_for("document.querySelectorAll('#event-list li').length == 2")

            page.value("document.querySelector('#event-list button').click()")
            page.wait_for("document.querySelector('#viewer').open")
            assert (
                page.value("document.querySelector('#viewer-title').textContent")
                == "green"
            )
            page.size(390, 844, dark=True)
            assert page.value("document.documentElement.scrollWidth") == 390
            assert page.errors == []


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium")
def test_a_clip_that_the_browser_cannot_play_is_offered_as_a_file(tmp_path):
    """Clips keep the codec of their camera, which may be none that a browser knows: then there is a link."""
    for shown in showing():
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"no codec of a browser")
        shown.clips.paths["abc"] = path
        shown.page.add(attrs.evolve(shown.event, clip_id="abc"))
        with browser.opened(tmp_path / "profile") as page:
            page.open(shown.page.link)
            page.wait_for("document.querySelector('#event-list .badge')?.textContent")
            page.value("document.querySelector('#event-list button').click()")
            page.wait_for("document.querySelector('#stage a')")

            link = page.value("document.querySelector('#stage a').href")
            assert link.endswith(f"/events/{shown.event.id}/clip.mp4")
