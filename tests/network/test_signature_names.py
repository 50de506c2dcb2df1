"""The names of signatures, read without TensorFlow."""

import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.network.signature_names import signature_names
from tests.saved_models import write_base_saved_model, write_stream_saved_model


def test_names_are_those_that_tensorflow_reads(tmp_path):
    """For stream models, for base models, and for a model without signatures."""
    paths = [
        write_stream_saved_model(tmp_path / "stream"),
        write_base_saved_model(tmp_path / "base"),
        write_stream_saved_model(tmp_path / "object", signatures=False),
    ]
    for path in paths:
        # TensorFlow adds one that only initialises.
        names = signature_names(path) - {"__saved_model_init_op"}
        assert names == set(tf.saved_model.load(str(path)).signatures)
    assert signature_names(paths[0]) >= {"call", "init_states"}


def test_a_file_cut_anywhere_is_no_error(tmp_path):
    """What can be read is no more than what is there; nothing is raised."""
    path = write_stream_saved_model(tmp_path / "stream")
    whole = signature_names(path)
    file = path / "saved_model.pb"
    content = file.read_bytes()
    for size in range(0, len(content), len(content) // 50):
        file.write_bytes(content[:size])
        assert signature_names(path) < whole


@given(content=st.binary())
def test_other_bytes_are_no_error(content, tmp_path_factory):
    """Any file has some names or none."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "saved_model.pb").write_bytes(content)
    assert isinstance(signature_names(folder), frozenset)


def test_no_file_has_no_names(tmp_path):
    """Neither a missing folder nor a file in its place."""
    (tmp_path / "file").touch()
    assert not signature_names(tmp_path / "missing")
    assert not signature_names(tmp_path / "file")
