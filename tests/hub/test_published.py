"""Only models known to be the published ones get the labels of Kinetics-600."""

import shutil

import pytest

from movinet_lite import StreamingClassifier, kinetics_600_labels
from movinet_lite.errors import ModelError
from movinet_lite.hub.cache import write_note
from movinet_lite.hub.published import is_kinetics_600
from tests.saved_models import write_stream_saved_model


@pytest.mark.parametrize(
    "source",
    [
        "a0",
        "A5",
        "https://tfhub.dev/tensorflow/movinet/a0/stream/kinetics-600/classification/3",
        "https://tfhub.dev/tensorflow/lite-model/movinet/a0/stream/kinetics-600/classification/tflite/int8/1",
        "google/movinet/tensorFlow2/a2-stream-kinetics-600-classification/2",
        "/home/me/.cache/kagglehub/models/google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3",
    ],
)
def test_published_names_addresses_and_handles_are_known(source, tmp_path):
    """However someone asks for one."""
    assert is_kinetics_600(source, tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "demo",
        "./a0",
        "my_model",
        "https://models.example.org/our-movinet-kinetics-600.tar.gz",
        "me/movinet/tensorFlow2/a2-stream-kinetics-600-classification/2",
    ],
)
def test_other_models_are_not(source, tmp_path):
    """A name that someone else gave proves nothing."""
    (tmp_path / "model.tflite").write_bytes(b"not the published one")
    assert not is_kinetics_600(source, tmp_path)
    assert not is_kinetics_600(source, tmp_path / "model.tflite")


def test_what_was_fetched_is_known_by_its_note(tmp_path):
    """A path in the cache is as good as the address, through a mirror too."""
    mirror = "https://mirror.example.org/hub/tensorflow/movinet/a0/base/kinetics-600"
    write_note(tmp_path, address=mirror)
    (tmp_path / "inner").mkdir()
    assert is_kinetics_600("./x", tmp_path)
    assert is_kinetics_600("./x", tmp_path / "inner")
    write_note(tmp_path, address="https://models.example.org/a0.tar.gz")
    assert not is_kinetics_600("./x", tmp_path)


def test_the_published_int8_file_is_known_wherever_it_lies(shared_data, tmp_path):
    """By its checksum: its users have it as a file."""
    path = shutil.copy(shared_data("movinet_a0_int8.tflite"), tmp_path / "m.tflite")
    assert StreamingClassifier.load(path).labels == kinetics_600_labels()


def test_600_classes_of_another_model_get_no_names(tmp_path):
    """Whoever knows that they are those of Kinetics-600 says so in a word."""
    path = write_stream_saved_model(tmp_path / "m", num_classes=600)
    options = {"engine": "tensorflow", "frame_size": (8, 8)}
    with pytest.raises(
        ModelError, match=r"names of its 600 classes.*labels='kinetics-600' if it is"
    ):
        StreamingClassifier.load(path, **options)
    session = StreamingClassifier.load(path, labels="kinetics-600", **options)
    assert session.labels == kinetics_600_labels()
