"""A camera made of GStreamer's RTSP server, run by the system's Python in a process of its own.

It prints a line when it listens, and ends when its standard input does: with whoever started it.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions come first

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={keyframes} bitrate={kbit} ! rtph264pay name=pay0 pt=96 config-interval=1",
    "h264b": "x264enc speed-preset=veryfast bframes=2 key-int-max={keyframes} bitrate={kbit} ! rtph264pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--codec", choices=ENCODERS, default="h264")
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--keyframes", type=int, default=25)
    parser.add_argument("--kbit", type=int, default=500)
    parser.add_argument("--pattern", default="ball")
    parser.add_argument("--login", default="")
    options = parser.parse_args()
    width, height = options.size.split("x")
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    encoder = ENCODERS[options.codec].format(
        keyframes=options.keyframes, kbit=options.kbit
    )
    factory.set_launch(
        f"( videotestsrc is-live=true pattern={options.pattern} ! "
        f"video/x-raw,format=I420,width={width},height={height},framerate={options.fps}/1 ! {encoder} )"
    )
    if options.login:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        user, password = options.login.split(":")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "user, media.factory.access=true, media.factory.construct=true"
            )[0]
        )
    server.get_mount_points().add_factory("/cam", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    loop = GLib.MainLoop()
    GLib.io_add_watch(
        GLib.IOChannel.unix_new(0),
        GLib.PRIORITY_DEFAULT,
        GLib.IOCondition.HUP | GLib.IOCondition.IN,
        lambda *_: loop.quit(),
    )
    print("listening", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
