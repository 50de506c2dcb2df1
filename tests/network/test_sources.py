"""Variables are read with their names and places; what cannot be read says so."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.errors import ModelError
from movinet_lite.network.sources import read_source


class Owner(tf.Module):
    """An object with variables and other objects."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def variable(name, value):
    """Return a variable with a name that need not be unique."""
    return tf.Variable(np.float32(value), name=name)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """Return a SavedModel in which two variables have one name."""
    path = tmp_path_factory.mktemp("saved") / "model"
    root = Owner(
        first=Owner(scale=variable("scale", 1.0), weight=variable("b0/l0/kernel", 2.0)),
        second=Owner(
            scale=variable("scale", 3.0), weight=variable("b0/l1/kernel", [4.0, 5.0])
        ),
    )
    tf.saved_model.save(root, str(path))
    return path


def test_names_shapes_and_values_are_read(saved_model):
    """Each variable once, whatever its name."""
    source = read_source(saved_model)

    found = sorted(
        (one.name, one.shape, one.read().tolist()) for one in source.variables
    )
    assert found == [
        ("b0/l0/kernel", (), 2.0),
        ("b0/l1/kernel", (2,), [4.0, 5.0]),
        ("scale", (), 1.0),
        ("scale", (), 3.0),
    ]
    assert source.is_saved_model


def test_the_objects_around_tell_variables_of_one_name_apart(saved_model):
    """One object owns a scale and the weights of its layer, one owns all."""
    around = {
        float(one.read()): {frozenset(names) for names in one.names_around()}
        for one in read_source(saved_model).variables
        if one.name == "scale"
    }

    everything = {"scale", "b0/l0/kernel", "b0/l1/kernel"}
    assert around[1.0] >= {frozenset({"scale", "b0/l0/kernel"}), frozenset(everything)}
    assert around[3.0] >= {frozenset({"scale", "b0/l1/kernel"}), frozenset(everything)}
    assert frozenset({"scale", "b0/l1/kernel"}) not in around[1.0]


def test_a_place_without_weights_is_told(tmp_path):
    """Nothing there, a directory without a model, an index of nothing."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(
            ModelError,
            match=r"a directory with a saved_model\.pb, or a TensorFlow checkpoint",
        ):
            read_source(path)


def test_damaged_saved_models_are_refused(saved_model, tmp_path):
    """The graph, its variables, or files that belong to another model."""

    def copy(name):
        for file in saved_model.rglob("*"):
            if file.is_file():
                target = tmp_path / name / file.relative_to(saved_model)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
        return tmp_path / name

    path = copy("graph")
    (path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(
        ModelError, match=r"saved_model\.pb must be a SavedModel; it cannot be read"
    ):
        read_source(path)
    path = copy("empty")
    (path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="it cannot be read"):
        read_source(path)
    path = copy("index")
    index = path / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:40])
    with pytest.raises(
        ModelError, match="must be an object-based TensorFlow checkpoint"
    ):
        read_source(path)
    path = copy("data")
    (data,) = (path / "variables").glob("*.data*")
    data.unlink()
    with pytest.raises(
        ModelError, match="must be an object-based TensorFlow checkpoint"
    ):
        read_source(path)
    path = copy("other")
    other = Owner(third=Owner(weight=variable("b0/l0/kernel", 2.0)))
    tf.saved_model.save(other, str(tmp_path / "another"))
    (path / "saved_model.pb").write_bytes((saved_model / "saved_model.pb").read_bytes())
    for file in (tmp_path / "another" / "variables").iterdir():
        (path / "variables" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(
        ModelError,
        match=r"must have a value; '.*' has none \(variables of another model\?\)",
    ):
        read_source(path)


def test_weights_cut_short_are_refused_when_read(tmp_path):
    """The index may be whole where the numbers are not."""
    prefix = tf.train.Checkpoint(weight=variable("b0/l0/kernel", np.ones(5000))).write(
        str(tmp_path / "ckpt")
    )
    (data,) = tmp_path.glob("*.data*")
    data.write_bytes(data.read_bytes()[:100])

    with pytest.raises(ModelError, match="damaged, cut short"):
        [one.read() for one in read_source(prefix).variables]


def test_a_checkpoint_without_variables_is_refused(tmp_path):
    """There is nothing to import."""
    prefix = tf.train.Checkpoint().write(str(tmp_path / "ckpt"))

    with pytest.raises(ModelError, match="must hold variables; there are none"):
        read_source(prefix)


def test_a_checkpoint_without_objects_is_refused(tmp_path):
    """Those of TensorFlow 1 have names alone."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weight = tf.compat.v1.get_variable("kernel", initializer=1.0, use_resource=True)
        session.run(weight.initializer)
        prefix = tf.compat.v1.train.Saver().save(session, str(tmp_path / "ckpt"))

    with pytest.raises(
        ModelError,
        match=r"must be an object-based TensorFlow checkpoint.*without tf\.train\.Checkpoint",
    ):
        read_source(prefix)
