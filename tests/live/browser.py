"""A real browser without a window, spoken to over a pipe in the Chrome DevTools protocol: no package is needed for it."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
"""The browser; `None` where there is none."""


_ON_3_AND_4 = """
import os, sys
ends = [os.dup(int(number)) for number in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
    os.set_inheritable(number, True)  # dup2 leaves it as it is where both are one
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts the browser, which speaks its protocol on descriptors 3 and 4."""


class Browser:
    """One tab of one browser. Use `opened`."""

    def __init__(self, process, to_browser, from_browser):
        self._process = process
        self._to = to_browser
        self._from = from_browser
        self._numbers = itertools.count(1)
        self._session = None
        self.errors = []

    def start(self):
        """Open a tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call(
            "Target.attachToTarget", targetId=target, flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Return what a command answers."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        """Keep what goes wrong on the page."""
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        if event.get("method") == "Log.entryAdded":
            entry = params["entry"]
            if entry["level"] == "error":
                self.errors.append(entry["text"])

    def _read(self):
        message = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has gone")
            message += byte
        return bytes(message)

    def size(self, width, height, *, dark=False, scale=1):
        """Set the size of the page in CSS pixels, and whether the system is dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {
            "name": "prefers-color-scheme",
            "value": "dark" if dark else "light",
        }
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address):
        """Go to a page."""
        self.call("Page.navigate", url=address)

    def value(self, code):
        """Return the value of JavaScript, which may be a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, condition, *, timeout_s=20):
        """Wait until JavaScript is true, also over the loading of another page."""
        for _ in range(int(timeout_s * 10)):
            with contextlib.suppress(RuntimeError):  # between two pages there is none
                if self.value(
                    f"Boolean({condition}) || new Promise(done => setTimeout(done, 100))"
                ):
                    return
        raise AssertionError(f"it never came true: {condition}")

    def picture(self, path=None, *, whole=False):
        """Return what the page looks like, a PNG, and write it to *path*."""
        answer = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole
        )
        content = base64.b64decode(answer["data"])
        if path is not None:
            path.write_bytes(content)
        return content


@contextlib.contextmanager
def opened(profile):
    """Give a browser that keeps its files in *profile*."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    command = [
        *(sys.executable, "-c", _ON_3_AND_4, str(to_read), str(from_write), CHROMIUM),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-dev-shm-usage", "--hide-scrollbars", "--disable-extensions"),
        *("--disable-background-networking", "--disable-component-update"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"),
    ]
    process = subprocess.Popen(
        command,
        pass_fds=(to_read, from_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    with os.fdopen(to_write, "wb") as sink, os.fdopen(from_read, "rb") as source:
        browser = Browser(process, sink, source)
        try:
            browser.start()
            yield browser
        finally:
            with contextlib.suppress(Exception):
                browser._session = None
                browser.call("Browser.close")
            process.kill()
            process.wait()
