"""A camera to try things with: GStreamer's RTSP server sends a test picture."""
