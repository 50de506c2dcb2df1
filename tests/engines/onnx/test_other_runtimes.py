"""The exported files run elsewhere as well: in OpenVINO, and in a browser."""

import http.server
import json
import os
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from movinet_lite.network.model import build_movinet
from movinet_lite.network.onnx_graph import export_onnx
from tests.networks import assert_same_logits, moving_clips, randomise

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
LIMIT_S = 120
BROWSER_FILES = Path(__file__).parents[3] / "examples" / "browser"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A0 in a file, a clip, and the logits after each of its frames."""
    network = build_movinet("a0", "stream", 600, labels=[str(i) for i in range(600)])
    randomise(network, 0)
    for name, weight in network.named_weights.items():
        if name.endswith("scale"):
            weight.assign(np.full(weight.shape, 0.2, np.float32))
    path = tmp_path_factory.mktemp("onnx") / "a0.onnx"
    export_onnx(network, path)
    clip = moving_clips(frames=5, size=network.spec.frame_size)
    return path, clip[0], np.asarray(network.call_by_frame(clip))[0]


def test_openvino_gives_the_same_logits(exported):
    """OpenVINO reads the file, and computes the same in float32."""
    openvino = pytest.importorskip("openvino", reason="the package openvino is missing")
    path, clip, expected = exported
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(
        {
            port.get_any_name(): [
                1 if size.is_dynamic else size.get_length()
                for size in port.get_partial_shape()
            ]
            for port in model.inputs
        }
    )
    # Where the CPU has bfloat16, OpenVINO rounds to it unless told otherwise.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    states = {
        port.get_any_name(): np.zeros(list(port.shape), port.element_type.to_dtype())
        for port in model.inputs
        if port.get_any_name() != "image"
    }
    rows = []
    for frame in clip:
        given = compiled({"image": frame[np.newaxis], **states})
        outputs = {
            port.get_any_name(): np.array(value) for port, value in given.items()
        }
        rows.append(outputs.pop("logits")[0])
        states = {name.removeprefix("next/"): value for name, value in outputs.items()}

    assert_same_logits(np.stack(rows), expected, TOLERANCE)


PAGE = """<!doctype html><script type="module">
import * as ort from "./dist/ort.wasm.min.mjs";
import { MovinetStream } from "./movinet.js";
const send = (answer) => fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
try {
  ort.env.wasm.numThreads = 1;
  const model = await MovinetStream.load(ort, "a0.onnx");
  const pixels = new Float32Array(await (await fetch("clip.bin")).arrayBuffer());
  const size = model.height * model.width * 3;
  const rows = [];
  for (let start = 0; start < pixels.length; start += size) {
    rows.push(Array.from(await model.step(pixels.slice(start, start + size))));
  }
  await send({ rows });
} catch (error) {
  await send({ error: String(error) });
}
</script>"""


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Gives the files of a folder, and takes one answer."""

    def __init__(self, *args, answers, **kwargs):
        self.answers = answers
        super().__init__(*args, **kwargs)

    def do_POST(self):
        """Take the answer of the page."""
        length = int(self.headers["Content-Length"])
        self.answers.append(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()
        threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *args):
        """Say nothing."""


def test_a_browser_gives_the_same_logits(exported, tmp_path):
    """examples/browser/movinet.js steps A0 in headless chromium with onnxruntime-web."""
    package = os.environ.get("MOVINET_LITE_ONNXRUNTIME_WEB", "")
    if not package or not Path(package, "dist").is_dir():
        pytest.skip(
            "MOVINET_LITE_ONNXRUNTIME_WEB names no folder of the npm package onnxruntime-web"
        )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    path, clip, expected = exported
    shutil.copy(path, tmp_path)
    shutil.copy(BROWSER_FILES / "movinet.js", tmp_path)
    (tmp_path / "dist").symlink_to(Path(package, "dist").resolve())
    (tmp_path / "clip.bin").write_bytes(clip.tobytes())
    (tmp_path / "index.html").write_text(PAGE)
    answers = []
    handler = partial(_Pages, directory=str(tmp_path), answers=answers)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        late = threading.Timer(LIMIT_S, server.shutdown)
        late.start()
        browser = subprocess.Popen(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                f"http://127.0.0.1:{server.server_address[1]}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            server.serve_forever()
        finally:
            late.cancel()
            browser.terminate()
            browser.wait(LIMIT_S)

    assert answers, f"the page gave no answer within {LIMIT_S} s"
    assert "error" not in answers[0], answers[0]
    assert_same_logits(np.array(answers[0]["rows"], np.float32), expected, TOLERANCE)
