"""The routes of the page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movinet_lite.errors import SessionError
from movinet_lite.live.camera import CameraStatus
from movinet_lite.live.page.access import COOKIE, Access
from movinet_lite.live.page.contents import Contents
from movinet_lite.live.page.metrics import CONTENT_TYPE, metrics_text
from movinet_lite.video.jpeg import to_jpeg
from movinet_lite.video.redaction import redact

__all__ = ["make_app"]

_PERIOD_S: Final = 0.5
"""Update interval of an open page, in seconds."""

_PICTURE_WIDTH: Final = 640
"""Maximum width of camera images, in pixels."""

_WEEK_S: Final = 7 * 24 * 3600

_STATIC: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/curves.js": ("curves.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/login": ("login.html", "text/html; charset=utf-8"),
    "/login.js": ("login.js", "text/javascript; charset=utf-8"),
}
_OPEN_TO_ALL: Final = {"/login", "/login.js", "/page.css", "/icon.svg", "/healthz"}
"""Routes without access control, which show nothing of any camera."""

_HEADERS: Final = {
    b"content-security-policy": b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


def make_app(
    contents: Contents, access: Access, *, closing: Callable[[], bool]
) -> ASGIApp:
    """Return the web application.

    Args:
        contents: The data of the page.
        access: The access rules.
        closing: Returns whether the server is shutting down, which must end open connections.
    """
    routes = _Routes(contents, access, closing)
    return Starlette(
        routes=[
            *(
                Route(path, _static(name, kind), methods=["GET"])
                for path, (name, kind) in _STATIC.items()
            ),
            Route("/login", routes.log_in, methods=["POST"]),
            Route("/updates", routes.updates),
            Route("/cameras", routes.cameras),
            Route("/cameras/{name:path}/picture.jpg", routes.picture),
            Route("/events", routes.events),
            Route("/events/{event_id}/picture.jpg", routes.event_picture),
            Route("/events/{event_id}/clip.mp4", routes.clip),
            Route("/metrics", routes.metrics),
            Route("/healthz", routes.health),
        ],
        middleware=[Middleware(_Guard, access=access)],
    )


class _Guard:
    """Middleware that enforces the access rules and adds security headers."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS.items()]
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        headers, path = request.headers, request.url.path
        if not self._access.allows_host(headers.get("host", "")):
            return PlainTextResponse(
                "the address must name this machine, such as http://127.0.0.1", 403
            )
        if path in _OPEN_TO_ALL or self._access.allows(
            headers.get("authorization", ""), headers.get("cookie", "")
        ):
            return None
        if path == "/":
            return Response(status_code=303, headers={"location": "/login"})
        return PlainTextResponse(
            "a token is required", 401, headers={"www-authenticate": "Bearer"}
        )


class _Routes:
    """The request handlers. Slow ones are plain functions, which run in a thread."""

    def __init__(
        self, contents: Contents, access: Access, closing: Callable[[], bool]
    ) -> None:
        self._contents = contents
        self._access = access
        self._closing = closing

    async def log_in(self, request: Request) -> Response:
        """Set a cookie if the body is the token."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > 1000:
                break
        if not self._access.is_token(body.decode("utf-8", "replace").strip()):
            await asyncio.sleep(_PERIOD_S)  # slows down guessing
            return PlainTextResponse("the token is wrong", 403)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            self._access.cookie,
            max_age=_WEEK_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def updates(self, request: Request) -> Response:
        """Send updates as server-sent events, as long as the page is open."""
        return StreamingResponse(
            self._news(request.is_disconnected),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    async def _news(self, is_gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        seen_scores = seen_events = 0
        seen_clips: set[str] = set()
        while not self._closing() and not await is_gone():
            status = _status(self._contents)
            self._contents.scores.keep({one["name"] for one in status["cameras"]})
            seen_scores, scores = self._contents.scores.since(seen_scores)
            seen_events, events = self._contents.events.since(seen_events)
            clips = self._contents.clip_events() - seen_clips
            seen_clips |= clips
            news = {
                **status,
                "scores": scores,
                "events": events,
                "clips": sorted(clips),
            }
            yield f"data: {json.dumps(news)}\n\n"
            await asyncio.sleep(_PERIOD_S)

    def cameras(self, _request: Request) -> Response:
        """Return the status of every camera."""
        return JSONResponse(_status(self._contents))

    def picture(self, request: Request) -> Response:
        """Return the last frame of a camera."""
        try:
            frame = self._contents.watcher.snapshot(request.path_params["name"])
        except SessionError:
            return _missing("there is no such camera")
        if frame is None:
            return _missing("the camera has no frame yet")
        return _jpeg(to_jpeg(frame, max_width=_PICTURE_WIDTH))

    def events(self, _request: Request) -> Response:
        """Return the most recent events, oldest first."""
        _, events = self._contents.events.since()
        return JSONResponse(
            {"events": [self._contents.with_clip(event) for event in events]}
        )

    def event_picture(self, request: Request) -> Response:
        """Return the image of an event."""
        picture = self._contents.events.picture(request.path_params["event_id"])
        if picture is None:
            return _missing("there is no image of that event")
        return _jpeg(picture, "private, max-age=60")

    def clip(self, request: Request) -> Response:
        """Return the clip of an event, or the requested range of it."""
        path = self._contents.clip_path(request.path_params["event_id"])
        if path is None:
            return _missing("there is no clip of that event")
        return FileResponse(path, media_type="video/mp4")

    def metrics(self, _request: Request) -> Response:
        """Return the metrics for Prometheus."""
        contents = self._contents
        text = metrics_text(contents.watcher.status(), contents.events.counts())
        return Response(text, headers={"content-type": CONTENT_TYPE})

    def health(self, _request: Request) -> Response:
        """Return whether the watcher is running."""
        well = not self._contents.watcher.is_over
        return PlainTextResponse("ok" if well else "not watching", 200 if well else 503)


def _static(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("movinet_lite.live.page").joinpath("static", name).read_bytes()

    def give(_request: Request) -> Response:
        return Response(
            content, headers={"content-type": kind, "cache-control": "no-cache"}
        )

    return give


def _status(contents: Contents) -> dict[str, Any]:
    status = contents.watcher.status()
    return {
        "now": time.time(),
        "model": redact(contents.watcher.classifier.info.source),
        "cameras": [_camera(camera) for camera in status.cameras],
        "load": {
            "overloaded": status.overloaded,
            "rate": round(status.load.rate, 3),
            "needed": round(status.load.needed, 3),
            "late_s": round(status.load.late_s, 2),
        },
    }


def _camera(camera: CameraStatus) -> Mapping[str, Any]:
    label, score = camera.leading or (None, None)
    return {
        "name": camera.name,
        "state": camera.source.state,
        "since": camera.source.since.timestamp(),
        "error": camera.source.last_error,
        "fps": round(camera.fps, 2),
        "full_fps": camera.full_fps,
        "lag_s": None if camera.lag_s is None else round(camera.lag_s, 3),
        "size": camera.source.frame_size,
        "leading": label,
        "score": None if score is None else round(float(score), 3),
        "going_on": camera.going_on,
        "num_frames": camera.num_frames,
        "num_events": camera.num_events,
        "reconnects": camera.source.reconnects,
    }


def _jpeg(content: bytes, caching: str = "no-store") -> Response:
    return Response(
        content, media_type="image/jpeg", headers={"cache-control": caching}
    )


def _missing(why: str) -> Response:
    return PlainTextResponse(why, 404)
