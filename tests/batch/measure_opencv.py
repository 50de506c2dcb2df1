"""Measure the processor time of `movinet-lite stream` for a video, beside the program that many write by hand.

That program decodes every frame with OpenCV, resizes those that the model is shown, 5 a second, and loops over the object of
the SavedModel, as the TF Hub tutorial does. Both run in processes of their own, in turns; what that program takes without the
start of Python, TensorFlow and the model is told apart. The first run of the command, which compiles the model, does not count.

python -m tests.batch.measure_opencv video.mp4 a0_stream --size 172     # a video and a SavedModel; needs OpenCV
python -m tests.batch.measure_opencv video.mp4 a2_stream --size 224 --rounds 5
"""

# ruff: noqa: T201 - this program prints

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

FPS = 5.0


def main() -> None:
    """Run both in turns, and print what they take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("saved_model", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--by-hand", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.by_hand:
        run_by_hand(args.video, args.saved_model, args.size)
        return
    stream = [
        *(sys.executable, "-m", "movinet_lite", "stream", str(args.video)),
        *("--model", str(args.saved_model), "--labels", "kinetics-600"),
        *("--fps", f"{FPS:g}"),
    ]
    by_hand = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--by-hand"]
    cpu_seconds(stream)
    ratios: dict[str, list[float]] = {"all": [], "its video alone": []}
    for _ in range(args.rounds):
        ours_s, _ = cpu_seconds(stream)
        theirs_s, said = cpu_seconds(by_hand)
        video_s = float(said.split()[-1])
        ratios["all"].append(theirs_s / ours_s)
        ratios["its video alone"].append(video_s / ours_s)
        print(
            f"CPU s: stream {ours_s:.2f}; by hand {theirs_s:.2f}, of which the video {video_s:.2f}",
            flush=True,
        )
    for name, values in ratios.items():
        print(
            f"by hand ({name}) / stream: minimum {min(values):.2f}, median {statistics.median(values):.2f}"
        )


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """Return the processor time of a command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    said = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=quiet,
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used_s, said


def run_by_hand(video: Path, saved_model: Path, size: int) -> None:
    """Decode every frame, and loop over the SavedModel; print the processor time after it was loaded."""
    import cv2  # type: ignore[import-not-found, unused-ignore]
    import numpy as np
    import tensorflow as tf

    model = tf.saved_model.load(saved_model)
    states = model.init_states(tf.constant([1, 1, size, size, 3]))
    capture = cv2.VideoCapture(str(video))
    video_fps = capture.get(cv2.CAP_PROP_FPS)
    begin_s = time.process_time()
    num_read = num_shown = 0
    while True:
        is_read, frame = capture.read()
        if not is_read:
            break
        if num_read >= num_shown * video_fps / FPS:
            num_shown += 1
            resized = cv2.cvtColor(cv2.resize(frame, (size, size)), cv2.COLOR_BGR2RGB)
            image = tf.constant(resized[None, None].astype(np.float32) / 255)
            logits, states = model({**states, "image": image})
            tf.nn.softmax(logits).numpy()
        num_read += 1
    print(
        f"frames {num_read}, shown {num_shown}, CPU s {time.process_time() - begin_s}"
    )


if __name__ == "__main__":
    main()
