"""Fine-tuning: a network learns what moves, keeps its best weights, goes on where it was stopped, and refuses mistakes."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import attrs
import numpy as np
import pytest
from safetensors.numpy import load_file

from movinet_lite import DataError, ModelError, write_video
from movinet_lite.benchmark.training import measure_training_speed
from movinet_lite.cli import main
from movinet_lite.network.files import load_network, read_network_spec
from movinet_lite.network.model import replace_head
from movinet_lite.training import trainer
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.training.checkpoint import read_checkpoint
from movinet_lite.training.examples import Example, ExampleSet, split_examples
from movinet_lite.training.fine_tune import fine_tune
from movinet_lite.training.records import EpochRecord, Recorder
from movinet_lite.training.settings import Settings
from movinet_lite.training.trainer import CHECKPOINT_NAME, NETWORK_NAME, Trainer
from tests.networks import LABELS, small_network, tiny_variant
from tests.video_files import write_numbered

SIZE = (24, 24)
STILL = Augmentation(
    crop=0, flip=False, brightness=0, contrast=0, saturation=0, shift=False
)
QUICK = Settings(
    num_frames=4,
    epochs=2,
    batch_size=4,
    learning_rate=3e-3,
    dropout_rate=0,
    augmentation=STILL,
)

LONG = attrs.evolve(QUICK, long_streams=True)

# For what does not depend on the backbone: TensorFlow takes most of the time of a short training to build its steps, and
# those of two layers take it a third.
HEAD_ALONE = attrs.evolve(QUICK, freeze_backbone=True)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


def brightening(rises, seed):
    """Return a clip that gets brighter, or darker: backwards, one is the other."""
    rng = np.random.default_rng(seed)
    levels = np.linspace(60, 190, 4) + rng.uniform(-30, 30)
    noise = rng.uniform(-20, 20, (4, *SIZE, 3))
    clip = np.clip(levels[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return clip if rises else clip[::-1]


@pytest.fixture(scope="module", name="data")
def make_data_once():
    """Return examples as `make_data` does."""
    return make_data()


def make_data():
    """Return examples of two classes that differ in the order of their frames alone."""
    examples = [
        Example(brightening(label == "sunrise", seed), label)
        for label in ("sunrise", "sunset")
        for seed in range(20)
    ]
    return split_examples(examples, validation=0.2)


@pytest.fixture(scope="module")
def misleading(data):
    """Return the same examples, but those to validate with have each other's labels: what is learnt is wrong of them."""
    other = {"sunrise": "sunset", "sunset": "sunrise"}
    return attrs.evolve(
        data,
        validation=tuple(
            attrs.evolve(one, label=other[one.label]) for one in data.validation
        ),
    )


@pytest.fixture
def network():
    """Return a small stream network of other classes."""
    return small_network("stream", labels=LABELS, frame_size=SIZE)


@pytest.mark.parametrize(
    "mode", ["stream", pytest.param("base", marks=pytest.mark.slow)]
)
def test_a_network_learns_the_order_of_frames(data, tmp_path, mode):
    """Classes that differ in the direction of time alone are told apart, by a stream's and by a base network."""
    network = small_network(mode, labels=LABELS, frame_size=SIZE)
    before = {
        name: np.asarray(one).copy() for name, one in network.named_weights.items()
    }
    settings = attrs.evolve(QUICK, epochs=12, learning_rate=1e-2)

    result = fine_tune(network, data, tmp_path / "out", settings=settings)

    assert result.best.validation_top_1 == 1.0
    losses = [record.loss for record in result.history]
    assert losses[-1] < 0.5 * losses[0]
    best = load_network(tmp_path / "out" / NETWORK_NAME)
    clips = np.stack([one.source for one in data.validation]).astype(np.float32) / 255
    expected = [data.labels.index(one.label) for one in data.validation]
    np.testing.assert_array_equal(np.argmax(best(clips), axis=-1), expected)
    for name, weight in network.named_weights.items():  # the start stays as it was
        np.testing.assert_array_equal(np.asarray(weight), before[name])


@pytest.fixture(scope="module")
def trained_on_few(tmp_path_factory):
    """Return what came of epochs of one step, and the clips."""
    examples = [
        Example(brightening(label == "sunrise", seed), label)
        for label in ("sunrise", "sunset")
        for seed in range(3)
    ]
    data = ExampleSet(("sunrise", "sunset"), tuple(examples), ())
    network = small_network("stream", labels=LABELS, frame_size=SIZE)
    settings = attrs.evolve(QUICK, batch_size=6, learning_rate=2e-2, epochs=4)
    output = tmp_path_factory.mktemp("few") / "out"
    result = fine_tune(network, data, output, settings=settings)
    return result, np.stack([one.source for one in examples]).astype(np.float32) / 255


def test_few_clips_have_the_logits_in_inference_that_they_were_trained_to(
    trained_on_few,
):
    """A few steps are too few for moving statistics; in inference the training clips get the logits of training."""
    result, clips = trained_on_few

    found = load_network(result.path / NETWORK_NAME)
    inference = np.asarray(found.call_by_frame(clips, training=False))
    training = np.asarray(found.call_by_frame(clips, training=True))
    # Not equal: as usual, the stored variance is the unbiased one, and such small clips give few numbers to a norm.
    assert np.abs(inference - training).max() < 0.15 * np.abs(training).max()


def test_new_statistics_are_those_of_all_clips_however_they_are_batched(tmp_path):
    """Batches that differ from each other widen the variance; that of the first norm is exact."""
    dark, light = (np.full((4, *SIZE, 3), value, np.uint8) for value in (40, 210))
    noise = np.random.default_rng(0).integers(0, 40, (4, 4, *SIZE, 3), np.uint8)
    clips = [noise[0] + dark, noise[1] + light, noise[2] + dark, noise[3] + light]
    examples = tuple(
        Example(clip, label) for clip, label in zip(clips, "abab", strict=True)
    )
    found = []
    for batch_size in (1, 4):
        network = replace_head(
            small_network("stream", labels=LABELS, frame_size=SIZE),
            labels=("a", "b"),
            norm_momentum=0.5,
        )
        settings = attrs.evolve(QUICK, batch_size=batch_size)
        data = ExampleSet(("a", "b"), examples, ())
        Trainer(network, data, settings, tmp_path)._renew_statistics(0)
        found.append(
            [
                np.asarray(weight)
                for name, weight in network.named_weights.items()
                if name.startswith("stem/") and "/moving_" in name
            ]
        )

    for alone, together in zip(*found, strict=True):
        np.testing.assert_allclose(alone, together, rtol=1e-3)


def test_the_time_left_is_told_once_it_is_known(trained_on_few):
    """An epoch of one step that builds TensorFlow's graphs says nothing of the next ones, which take far less."""
    first, second, _, last = trained_on_few[0].history

    assert first.seconds_left is None
    assert second.seconds_left is not None
    assert 0 < second.seconds_left < first.seconds
    assert last.seconds_left == 0


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Return what came of two epochs at another size and rate than the network's, and the weights it started from."""
    network = small_network("stream", labels=LABELS, frame_size=SIZE)
    before = {
        name: np.asarray(one).copy() for name, one in network.named_weights.items()
    }
    result = fine_tune(
        network,
        data,
        tmp_path_factory.mktemp("trained") / "out",
        settings=HEAD_ALONE,
        frame_size=(16, 20),
        fps=8,
    )
    return result, network, before


def test_what_is_kept_knows_what_it_is(trained):
    """The file has the new labels, and the size and rate that were trained at; the start stays as it was."""
    result, network, before = trained
    spec = read_network_spec(result.path / NETWORK_NAME)
    assert spec.labels == ("sunrise", "sunset")
    assert (spec.frame_size, spec.fps) == ((16, 20), 8)
    assert (spec.clip_frames, spec.fit) == (4, "stretch")  # what it is judged with
    assert network.spec.labels == LABELS
    for name, weight in network.named_weights.items():
        np.testing.assert_array_equal(np.asarray(weight), before[name])


def test_what_was_measured_is_written_down(trained):
    """For spreadsheets, for TensorBoard, and for a training that goes on, which has every weight."""
    result, network, _ = trained
    with (result.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [record.loss for record in result.history]
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [float(row["loss"]) for row in rows] == losses
    assert list((result.path / "tensorboard").glob("events.*"))
    checkpoint = read_checkpoint(result.path / CHECKPOINT_NAME)
    assert checkpoint.weights.keys() == network.named_weights.keys()
    assert [one["loss"] for one in checkpoint.history] == losses


def test_the_best_epoch_is_kept(misleading, network, tmp_path):
    """What is kept is what was best on the examples to validate with, and not what came last."""
    out = tmp_path / "out"
    found = []

    def keep(_):
        found.append(read_checkpoint(out / CHECKPOINT_NAME).weights)

    settings = attrs.evolve(HEAD_ALONE, epochs=3, learning_rate=1e-2)
    result = fine_tune(network, misleading, out, settings=settings, on_epoch=keep)

    ranks = [(one.validation_top_1, -one.validation_loss) for one in result.history]
    best = ranks.index(max(ranks))
    assert best < 2  # what it learns is wrong of these
    assert result.best is result.history[best]
    kept = load_network(out / NETWORK_NAME).named_weights
    for name, weight in found[best].items():
        np.testing.assert_array_equal(np.asarray(kept[name]), weight)
    name = "classifier_head/classifier/conv2d/conv2d_1/kernel"
    assert not np.array_equal(np.asarray(kept[name]), found[-1][name])


@pytest.mark.parametrize(
    ("judged", "best"),
    [
        ([(1.0, 0.5), (0.8, 0.9), (0.1, 0.7), (0.9, 0.9)], 1),
        ([(1.0, 0.5), (0.8, 0.9), (0.7, 0.9)], 2),
        ([(1.0, 0.5), (1.0, 0.5)], 0),
    ],
)
def test_accuracy_ranks_epochs_and_the_loss_breaks_a_tie(tmp_path, judged, best):
    """The first one stays the best among equals."""
    recorder = Recorder(tmp_path)
    for epoch, (loss, top_1) in enumerate(judged, start=1):
        recorder.add(
            EpochRecord(
                epoch=epoch,
                num_epochs=len(judged),
                loss=1.0,
                top_1=0.0,
                validation_loss=loss,
                validation_top_1=top_1,
                learning_rate=0.1,
                seconds=1.0,
                num_skipped=0,
            )
        )
    assert recorder.best is recorder.history[best]


class Killed(BaseException):
    """Ends a training as ``kill -9`` does: nothing more is written."""


DROPPING = attrs.evolve(
    HEAD_ALONE, epochs=3, dropout_rate=0.5, augmentation=Augmentation()
)


def weights_in(path):
    """Return the weights that a training left, best and last, by name."""
    checkpoint = read_checkpoint(path / CHECKPOINT_NAME)
    last = {f"last/{name}": value for name, value in checkpoint.weights.items()}
    return {**load_file(path / NETWORK_NAME), **last}


def assert_same_training(first, second):
    """Assert that two output folders hold the same weights, bit by bit, and the same records."""
    expected, found = weights_in(first), weights_in(second)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Return the output of a training with dropout and augmentation that ran through."""
    output = tmp_path_factory.mktemp("whole") / "out"
    network = small_network("stream", labels=LABELS, frame_size=SIZE)
    fine_tune(network, data, output, settings=DROPPING)
    return output


@pytest.mark.parametrize("epoch", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_training_that_was_killed_goes_on_as_if_it_had_not(
    data, network, whole, tmp_path, epoch
):
    """Killed within its first or second epoch and resumed, it ends with the same weights bit by bit, dropout and all."""
    out = tmp_path / "out"
    steps = []

    def kill(*step):
        steps.append(step)
        if len(steps) == 8 * (epoch - 1) + 3:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(network, data, out, settings=DROPPING, on_step=kill)
    resumed = []
    result = fine_tune(
        network, data, out, settings=DROPPING, resume=True, on_resume=resumed.append
    )

    assert resumed == [epoch - 1]
    assert [record.epoch for record in result.history] == [1, 2, 3]
    assert_same_training(whole, out)


@pytest.mark.slow
def test_kill_9_loses_nothing(data, whole, tmp_path):
    """A process of its own, killed by the system in its second epoch and resumed, gives the same weights bit by bit."""
    program = (
        "import os, signal, sys, tests.training.test_fine_tune as t\n"
        "steps = []\n"
        "def kill(*step):\n"
        "    steps.append(step)\n"
        "    if len(steps) == 12: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with t.tiny_variant(shallow=True):\n"
        "    start = t.small_network('stream', labels=t.LABELS, frame_size=t.SIZE)\n"
        "    t.fine_tune(start, t.make_data(), sys.argv[1], settings=t.DROPPING, on_step=kill)\n"
    )
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", program, str(out)],
        check=False,
        timeout=120,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    network = small_network("stream", labels=LABELS, frame_size=SIZE)
    fine_tune(network, data, out, settings=DROPPING, resume=True)
    assert_same_training(whole, out)


def test_a_video_that_was_left_out_stays_so_when_resumed(network, tmp_path):
    """One that breaks in the middle: a resumed training does not count it in again, which would change the order."""
    examples = []
    for number in range(5):
        path = write_numbered(tmp_path / f"{number}.mkv", 40, rate=5)
        examples.append(Example(path, ("sunrise", "sunset")[number % 2]))
    content = (tmp_path / "4.mkv").read_bytes()
    (tmp_path / "4.mkv").write_bytes(content[: len(content) // 2])
    data = ExampleSet(("sunrise", "sunset"), tuple(examples))
    settings = attrs.evolve(DROPPING, num_frames=38, batch_size=2)
    totals = []

    def kill(_, total):
        totals.append(total)
        if len(totals) == 3:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(network, data, tmp_path / "out", settings=settings, on_step=kill)
    result = fine_tune(
        network,
        data,
        tmp_path / "out",
        settings=settings,
        resume=True,
        on_step=lambda _, total: totals.append(total),
    )
    assert totals == [3, 3, *[2] * 5]
    assert [one.name for one in result.skipped] == [str(tmp_path / "4.mkv")]


@pytest.mark.parametrize(
    ("function", "call"), [("save_network", 1), ("write_checkpoint", 2)]
)
def test_ctrl_c_while_an_epoch_is_written_loses_nothing(
    data, network, tmp_path, monkeypatch, *, function, call
):
    """Interrupted before its weights or its checkpoint are written, the epoch that was measured is there all the same."""
    original = getattr(trainer, function)
    calls = []

    def interrupt(*args):
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        original(*args)

    monkeypatch.setattr(trainer, function, interrupt)
    result = fine_tune(network, data, tmp_path / "out", settings=HEAD_ALONE)
    assert result.ended_early == "interrupted"
    checkpoint = read_checkpoint(result.path / CHECKPOINT_NAME)
    assert [one["epoch"] for one in checkpoint.history] == [1]
    assert [one.epoch for one in result.history] == [1]
    kept = load_file(result.path / NETWORK_NAME)
    for name, value in checkpoint.weights.items():
        np.testing.assert_array_equal(kept[name], value)
    assert (result.path / "metrics.csv").is_file()


@pytest.mark.parametrize(
    ("function", "name", "num_epochs"),
    [("write_checkpoint", CHECKPOINT_NAME, 1), ("save_network", NETWORK_NAME, 2)],
)
def test_a_full_disk_names_the_file_and_leaves_a_training_to_resume(
    data, network, tmp_path, monkeypatch, *, function, name, num_epochs
):
    """Whichever file it meets in the second epoch: what was written before is whole, and the best weights are not lost."""
    monkeypatch.setattr(Recorder, "best", property(lambda one: one.history[-1]))
    original = getattr(trainer, function)
    epochs = []

    def fail(*args):
        if epochs:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(*args)

    monkeypatch.setattr(trainer, function, fail)
    out = tmp_path / "out"
    with pytest.raises(
        ModelError,
        match=rf"{name}: .*; No space left on device \(free some space, then",
    ):
        fine_tune(network, data, out, settings=HEAD_ALONE, on_epoch=epochs.append)
    monkeypatch.setattr(trainer, function, original)
    checkpoint = read_checkpoint(out / CHECKPOINT_NAME)
    assert len(checkpoint.history) == num_epochs
    if function == "save_network":  # nothing is left to train
        fine_tune(network, data, out, settings=HEAD_ALONE, resume=True)
        kept = load_file(out / NETWORK_NAME)
        for key, value in checkpoint.weights.items():
            np.testing.assert_array_equal(kept[key], value)


def test_what_ends_before_the_first_epoch_leaves_an_empty_folder(
    data, network, tmp_path, monkeypatch
):
    """After Ctrl-C and a full disk there is nothing to keep or resume, and the same command may be given again."""
    out = tmp_path / "out"

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(network, data, out, settings=HEAD_ALONE, on_step=stop)
    assert list(out.iterdir()) == []

    def fill(path, _):
        path.parent.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trainer, "write_checkpoint", fill)
    with pytest.raises(ModelError, match=r"writable; No space left on device$"):
        fine_tune(network, data, out, settings=HEAD_ALONE)
    assert list(out.iterdir()) == []


def test_patience_ends_a_training(misleading, network, tmp_path):
    """After so many epochs that were no better than the best one."""
    settings = attrs.evolve(HEAD_ALONE, epochs=9, learning_rate=1e-2, patience=2)
    result = fine_tune(network, misleading, tmp_path / "out", settings=settings)
    assert result.ended_early == "patience"
    assert len(result.history) == result.best.epoch + 2


def test_a_frozen_backbone_stays_as_it_is(data, network, tmp_path):
    """Only the two last layers learn; not even the statistics of the others move."""
    settings = attrs.evolve(QUICK, freeze_backbone=True)
    fine_tune(network, data, tmp_path / "out", settings=settings)
    found = load_network(tmp_path / "out" / NETWORK_NAME).named_weights
    for name, weight in network.named_weights.items():
        if name.startswith("classifier_head/classifier/"):
            continue
        same = np.array_equal(np.asarray(found[name]), np.asarray(weight))
        assert same != name.startswith("classifier_head/head/"), name


def test_the_loss_is_that_of_every_frame_weighed(network, tmp_path):
    """With the head kept, it is the cross-entropy of smoothed targets; later frames and rare classes count more."""
    labels = ["wave", "jump", "wave", "wave"]
    clips = [brightening(True, number) for number in range(4)]
    data = ExampleSet(("jump", "wave"), tuple(map(Example, clips, labels)))
    settings = attrs.evolve(QUICK, epochs=1, learning_rate=1e-12, freeze_backbone=True)

    result = fine_tune(
        network, data, tmp_path / "out", settings=settings, keep_head=True
    )

    assert read_network_spec(result.path / NETWORK_NAME).labels == LABELS
    frames = np.stack(clips).astype(np.float32) / 255
    logits = np.asarray(network.call_by_frame(frames), np.float64)
    log_shares = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    targets = np.full((4, 5), 0.1 / 5)
    targets[range(4), [LABELS.index(label) for label in labels]] += 0.9
    by_frame = -(log_shares * targets[:, np.newaxis]).sum(axis=-1)
    by_clip = by_frame @ np.array([0.1, 0.2, 0.3, 0.4])
    expected = (by_clip * np.array([2 / 3, 2, 2 / 3, 2 / 3])).mean()
    assert result.history[0].loss == pytest.approx(expected, rel=1e-4)


def test_half_of_long_streams_have_a_past(network, tmp_path):
    """A clip is trained as a stream's beginning or after some of the frames before it, whose predictions do not count."""
    rng = np.random.default_rng(0)
    labels = ["wave", "jump", "wave", "jump"]
    videos = [rng.integers(0, 256, (8, *SIZE, 3), np.uint8) for _ in labels]
    data = ExampleSet(("jump", "wave"), tuple(map(Example, videos, labels)))
    settings = attrs.evolve(
        LONG, epochs=10, learning_rate=1e-12, freeze_backbone=True, dropout_rate=0
    )

    result = fine_tune(
        network, data, tmp_path / "out", settings=settings, keep_head=True, fps=0.8
    )

    assert read_network_spec(result.path / NETWORK_NAME).clip_frames == 4
    frames = np.stack(videos).astype(np.float32) / 255
    targets = np.full((4, 5), 0.1 / 5)
    targets[range(4), [LABELS.index(label) for label in labels]] += 0.9
    expected = []
    for lead in range(5):
        logits = np.asarray(network.call_by_frame(frames[:, 4 - lead :]), np.float64)
        log_shares = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        by_frame = -(log_shares * targets[:, np.newaxis]).sum(axis=-1)[:, lead:]
        weights = np.minimum(np.arange(1, 5) + lead, 4)
        expected.append((by_frame @ (weights / weights.sum())).mean())
    losses = np.array([record.loss for record in result.history])
    off = np.abs(losses[:, np.newaxis] - expected)
    assert off.min(axis=1).max() < 1e-5
    leads = off.argmin(axis=1)
    assert 2 <= (leads == 0).sum() <= 8
    assert len(set(leads)) > 2


@pytest.mark.slow
def test_long_streams_are_resumed_as_they_began(data, network, tmp_path):
    """Killed in its second epoch and resumed, it ends with the same weights bit by bit, whatever came before each clip."""
    settings = attrs.evolve(LONG, epochs=2)
    fine_tune(network, data, tmp_path / "whole", settings=settings, fps=0.8)
    steps = []

    def kill(*step):
        steps.append(step)
        if len(steps) == 11:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(
            network, data, tmp_path / "out", settings=settings, fps=0.8, on_step=kill
        )
    result = fine_tune(
        network, data, tmp_path / "out", settings=settings, fps=0.8, resume=True
    )

    assert [record.epoch for record in result.history] == [1, 2]
    assert_same_training(tmp_path / "whole", tmp_path / "out")


def test_only_streams_are_long(data, tmp_path):
    """A base model sees a clip at once, and nothing before it; that it was asked to is said before anything is trained."""
    network = small_network("base", labels=LABELS, frame_size=SIZE)
    with pytest.raises(DataError, match="long_streams requires a stream model"):
        fine_tune(network, data, tmp_path / "out", settings=LONG)
    assert not (tmp_path / "out").exists()


def test_known_classes_keep_their_weights(network, tmp_path):
    """A class that the model knows by name starts from what it knows: with no learning to speak of, its logits stay."""
    labels = ("jump", "sing")
    examples = ExampleSet(
        labels, tuple(Example(brightening(True, n), labels[n % 2]) for n in range(4))
    )
    settings = attrs.evolve(QUICK, epochs=1, learning_rate=1e-12, freeze_backbone=True)
    result = fine_tune(network, examples, tmp_path / "out", settings=settings)
    tuned = load_network(result.path / NETWORK_NAME)
    clips = brightening(True, 9)[np.newaxis].astype(np.float32) / 255
    expected = np.asarray(network(clips))[0, LABELS.index("jump")]
    np.testing.assert_allclose(np.asarray(tuned(clips))[0, 0], expected, rtol=1e-4)


def test_a_head_is_kept_for_known_labels_alone(network, data, tmp_path):
    """A label that the model does not know is refused before anything is trained."""
    with pytest.raises(DataError, match="it lacks 'sunrise' and 1 more"):
        fine_tune(network, data, tmp_path / "out", keep_head=True)


def test_broken_videos_are_left_out_and_told(network, tmp_path):
    """Two of six files cannot be read: the others are trained on, and the two are named."""
    examples = []
    for number in range(6):
        path = tmp_path / f"{number}.mp4"
        write_video(path, brightening(number % 2 == 0, number), fps=5.0)
        examples.append(Example(path, ("sunrise", "sunset")[number % 2]))
    (tmp_path / "0.mp4").write_bytes(b"no video")
    (tmp_path / "3.mp4").unlink()

    result = fine_tune(
        network,
        ExampleSet(("sunrise", "sunset"), tuple(examples)),
        tmp_path / "out",
        settings=HEAD_ALONE,
    )

    assert [one.name for one in result.skipped] == [
        str(tmp_path / "0.mp4"),
        str(tmp_path / "3.mp4"),
    ]
    assert result.history[-1].num_skipped == 2
    assert result.best.validation_top_1 is None


def test_a_class_of_broken_videos_alone_is_refused(network, tmp_path):
    """Before the first step, with what is wrong with the first of them."""
    (tmp_path / "a.mp4").write_bytes(b"no video")
    data = ExampleSet(
        ("x", "y"),
        (Example(tmp_path / "a.mp4", "x"), Example(brightening(True, 0), "y")),
    )
    with pytest.raises(
        DataError,
        match=r"a\.mp4: each class must have a readable video; 'x' has none",
    ):
        fine_tune(network, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_taken_is_refused(trained, data, tmp_path):
    """Nothing of an earlier training is lost; it says that it could go on."""
    result, network, _ = trained
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        DataError, match=r"the output must be a new folder; this one exists$"
    ):
        fine_tune(network, data, tmp_path)
    with pytest.raises(
        DataError,
        match=r"this one exists \(to continue the training run in it, use resume\)",
    ):
        fine_tune(network, data, result.path)
    with pytest.raises(
        DataError, match="output folder cannot be created: Not a directory"
    ):
        fine_tune(network, data, tmp_path / "notes.txt" / "out")
    with pytest.raises(DataError, match="there is no training run to resume"):
        fine_tune(network, data, tmp_path / "new", resume=True)


def test_another_training_is_not_resumed(trained, data, tmp_path):
    """Another size: the message names what differs. A file that was cut short is told from a good one."""
    result, network, _ = trained
    out = shutil.copytree(result.path, tmp_path / "out")
    with pytest.raises(
        DataError, match=r"frame_size was \[16, 20\] and is now \[24, 24\]"
    ):
        fine_tune(network, data, out, settings=HEAD_ALONE, resume=True)
    content = (out / CHECKPOINT_NAME).read_bytes()
    (out / CHECKPOINT_NAME).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="must be readable; it is not"):
        fine_tune(network, data, out, settings=HEAD_ALONE, resume=True)


def test_a_training_that_is_done_is_not_trained_further(trained, data, tmp_path):
    """Resumed with no epochs left, it gives what it has."""
    result, network, _ = trained
    out = shutil.copytree(result.path, tmp_path / "out")
    again = fine_tune(
        network, data, out, settings=HEAD_ALONE, resume=True, frame_size=(16, 20), fps=8
    )
    assert again.history == result.history
    assert again.best == result.best


def test_a_start_may_be_a_file_or_a_folder(trained, data, tmp_path):
    """What fine-tuning wrote is where the next one begins; a .tflite is not."""
    result, _, _ = trained
    settings = attrs.evolve(HEAD_ALONE, epochs=1)
    second = fine_tune(result.path, data, tmp_path / "out", settings=settings)
    assert second.history[0].loss < result.history[0].loss
    (tmp_path / "x.tflite").write_bytes(b"\x1c\0\0\0TFL3graph")
    with pytest.raises(ModelError, match="are for inference only"):
        fine_tune(tmp_path / "x.tflite", data, tmp_path / "c")


@pytest.mark.slow
def test_the_speed_of_a_training_is_told(capsys):
    """By the command, which runs a real training."""
    assert main(["benchmark", "--training", "tiny", "--calls", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["clips_per_second"] > 0
    assert (facts["variant"], facts["frame_size"]) == ("tiny", [128, 128])
    with pytest.raises(DataError, match="steps must be at least 1"):
        measure_training_speed("tiny", steps=0)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("num_frames", 0, "a whole number, at least 1"),
        ("num_frames", 1.5, "a whole number, at least 1"),
        ("epochs", 2.5, "a whole number, at least 1"),
        ("epochs", float("nan"), "a whole number, at least 1"),
        ("batch_size", True, "a whole number, at least 1"),
        ("long_streams", 1, "True or False"),
        ("patience", 0, "a whole number, at least 1"),
        ("patience", "3", "a whole number, at least 1"),
        ("seed", -1, "a whole number, at least 0"),
        ("learning_rate", "fast", "above 0"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("warmup_epochs", -1.0, "0 or more"),
        ("weight_decay", -1.0, "0 or more"),
        ("label_smoothing", 1.0, "at least 0 and below 1"),
        ("dropout_rate", 1.0, "at least 0 and below 1"),
    ],
)
def test_impossible_settings_are_refused(name, value, rule):
    """By name, with what came."""
    with pytest.raises(DataError, match=f"{name} must be {rule}; got {value!r}"):
        Settings(**{name: value})
