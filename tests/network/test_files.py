"""A network file gives back what was saved, and says so when it cannot."""

import hashlib
import json
import subprocess
import sys

import attrs
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from movinet_lite.errors import LabelsError, ModelError
from movinet_lite.network.files import load_network, read_network_spec, save_network
from movinet_lite.network.model import fold
from tests.networks import LABELS, moving_clips, small_network, tiny_variant


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def network():
    """Return a network all of whose facts differ from the defaults."""
    return small_network(
        "stream",
        labels=LABELS,
        gate="keras2_hard_sigmoid",
        positional_encoding=True,
        frame_size=(64, 48),
        fps=7.5,
        source="somewhere",
    )


@pytest.fixture
def path(network, tmp_path):
    """Return a file with the network in it."""
    path = tmp_path / "network.safetensors"
    save_network(network, path)
    return path


def checksum(weights):
    """Return what the header says of the weights: the SHA-256 of their names and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


def damage(path, change, *, with_checksum=False):
    """Change what stands in a file: *change* gets weights and header, and changes them in place."""
    weights = load_file(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["movinet_lite"])
    change(weights, header)
    if with_checksum:
        header["sha256"] = checksum(weights)
    save_file(weights, path, {"movinet_lite": json.dumps(header)})


def test_loading_gives_the_same_network(network, path):
    """The same facts, and the same logits to the last bit."""
    loaded = load_network(path)

    assert loaded.spec == network.spec
    assert read_network_spec(path) == network.spec
    clips = moving_clips()
    np.testing.assert_array_equal(loaded(clips), network(clips))


def test_weights_are_plain_arrays_under_published_names(path):
    """Any program that reads safetensors reads them."""
    weights = load_file(path)

    assert weights["b1/l0/bneck/feature/bn_temporal/gamma"].shape == (24,)
    assert weights["b0/l0/scale"].shape == ()


def test_weights_stored_as_float16_come_back_as_float32(network, path, tmp_path):
    """Half the size, the nearest float16 of every weight, and a checksum that notices one bit."""
    small = tmp_path / "small.safetensors"
    save_network(network, small, dtype="float16")
    loaded = load_network(small)

    stored = load_file(small)
    assert {str(value.dtype) for value in stored.values()} == {"float16"}
    assert small.stat().st_size < 0.6 * path.stat().st_size
    assert loaded.spec == network.spec
    for name, weight in loaded.named_weights.items():
        expected = np.asarray(network.named_weights[name]).astype(np.float16)
        assert np.asarray(weight).dtype == np.float32
        np.testing.assert_array_equal(np.asarray(weight), expected)

    content = bytearray(small.read_bytes())
    content[-100] ^= 1
    small.write_bytes(content)
    with pytest.raises(ModelError, match="must have the checksum"):
        load_network(small)


def test_only_what_can_be_stored_is_stored(tmp_path):
    """A weight that float16 does not reach is no infinity in the file, and there is no third kind of numbers."""
    network = small_network("base")
    bias = network.named_weights["classifier_head/classifier/conv3d/bias"]
    bias.assign(np.full(bias.shape, 7e4, np.float32))
    path = tmp_path / "network.safetensors"
    with pytest.raises(ModelError, match="at most 65504; 'classifier_head/"):
        save_network(network, path, dtype="float16")
    with pytest.raises(ModelError, match="dtype must be one of float32, float16"):
        save_network(network, path, dtype="int8")
    assert not path.exists()
    save_network(network, path)
    assert np.asarray(load_network(path).head.classifier.bias)[0] == 7e4


def test_the_caller_knows_better(path, network):
    """Labels and frame size that are given take the place of those in the file."""
    names = tuple("abcde")
    loaded = load_network(path, labels=names, frame_size=(20, 30))

    expected = attrs.evolve(network.spec, labels=names, frame_size=(20, 30))
    assert loaded.spec == expected
    with pytest.raises(LabelsError, match="as many as num_classes, 5; got 2"):
        load_network(path, labels=("a", "b"))


def test_facts_are_read_without_tensorflow(path):
    """A program that only asks what a file is does not wait for TensorFlow."""
    program = (
        "import sys\n"
        "from movinet_lite.network import variants\n"
        "from tests.networks_table import TINY\n"
        "variants._VARIANTS['tiny'] = TINY\n"
        "from movinet_lite.network.files import read_network_spec\n"
        "print(read_network_spec(sys.argv[1]).fps, 'tensorflow' in sys.modules)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["7.5", "False"]


def test_a_file_that_is_there_is_replaced_whole(network, path, monkeypatch):
    """If writing fails, the old file stays and nothing else is left."""
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_network(network, path)

    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kept", [0, 4, 200, 0.5, 0.999])
def test_a_file_cut_short_is_refused(path, kept):
    """Wherever it ends early."""
    content = path.read_bytes()
    path.write_bytes(
        content[: int(kept * len(content)) if isinstance(kept, float) else kept]
    )

    with pytest.raises(ModelError, match=r"must be a complete \.safetensors file"):
        load_network(path)


def test_a_changed_number_is_refused(path):
    """The checksum notices one bit."""
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelError, match="must have the checksum"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda _, header: header.update(format=2),
            "must be of format 1; it is of format 2",
        ),
        (lambda _, header: header.update(variant="a9"), "not: variant must be one of"),
        (lambda _, header: header.update(num_classes=4), "not: labels must be as many"),
        (lambda _, header: header.update(gate="tanh"), "not: gate must be"),
        (
            lambda _, header: header.pop("fps"),
            "the facts in a network file must be readable",
        ),
        (
            lambda _, header: header.update(frame_size=3),
            "the facts in a network file must be readable",
        ),
        (lambda _, header: header.update(extra=1), "it also has extra"),
        (lambda _, header: header.update(frame_size=[0, 9]), "not: frame_size must be"),
        (lambda _, header: header.update(fps="fast"), "not: fps must be a number"),
        (lambda _, header: header.update(labels=[1] * 5), "not: labels must be text"),
    ],
)
def test_facts_that_do_not_fit_are_refused(path, change, message):
    """A later format, and facts that are missing or contradict each other."""
    damage(path, change)

    with pytest.raises(ModelError, match=message):
        load_network(path)


def test_weights_that_do_not_fit_are_refused(network, path):
    """One missing, one too many, one of another shape; the checksum is that of the weights in the file."""

    def write(change):
        save_network(network, path)
        damage(path, lambda weights, _: change(weights), with_checksum=True)

    write(lambda weights: weights.pop("b0/l0/scale"))
    with pytest.raises(
        ModelError, match=r"1 missing: b0/l0/scale \(written by another"
    ):
        load_network(path)

    write(lambda weights: weights.update({"b0/l0/scale": np.zeros(())}))
    with pytest.raises(ModelError, match="must be float32 or float16; got float64"):
        load_network(path)

    write(lambda weights: weights.update({"b9/l0/scale": np.zeros(())}))
    with pytest.raises(ModelError, match="1 left over: b9/l0/scale"):
        load_network(path)

    write(lambda weights: weights.update({"b0/l0/scale": np.zeros(2, "float32")}))
    with pytest.raises(
        ModelError,
        match=r"'b0/l0/scale' of tiny stream must have shape \(\); got \(2,\)",
    ):
        load_network(path)


def test_other_files_are_refused(tmp_path, network):
    """No file, a file of another program, a folded network."""
    with pytest.raises(ModelError, match="a network file must exist"):
        load_network(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(1)}, other)
    with pytest.raises(ModelError, match="must have 'movinet_lite' in its metadata"):
        load_network(other)
    with pytest.raises(ModelError, match="must not be folded"):
        save_network(fold(network), tmp_path / "folded.safetensors")


def test_labels_of_any_alphabet_survive(tmp_path):
    """Headers are UTF-8."""
    names = ("tanzen", "прыжок", "跳", 'say "a"', "tab\there")
    path = tmp_path / "network.safetensors"
    network = small_network("base", labels=names)
    save_network(network, path)

    assert attrs.asdict(read_network_spec(path))["labels"] == names
