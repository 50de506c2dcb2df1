"""Tests that state dicts of PyTorch become networks that compute what PyTorch computes."""

import functools

import attrs
import numpy as np
import pytest
from safetensors.numpy import save_file

from movinet_lite.errors import ModelError
from movinet_lite.network.files import load_network, save_network
from movinet_lite.network.model import Movinet, fold
from movinet_lite.network.pytorch import importing
from movinet_lite.network.pytorch.naming import places
from tests.networks import (
    LABELS,
    assert_same_logits,
    moving_clips,
    small_network,
    step_through,
    tiny_variant,
)
from tests.pytorch_files import save, save_legacy, torch_state_dict

MODES = ("base", "stream")
import_pytorch = functools.partial(importing.import_pytorch, padding="same")
GATES = {"base": "sigmoid", "stream": "keras2_hard_sigmoid"}


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    with tiny_variant():
        yield


def _network(mode):
    return small_network(mode, gate=GATES[mode])


def _refused(state, path, match):
    save(state, path)
    with pytest.raises(ModelError, match=match):
        import_pytorch(path)


@pytest.mark.parametrize("mode", MODES)
def test_the_network_of_a_state_dict_gives_the_logits_of_its_weights(tmp_path, mode):
    """Every tensor gets to its place, in the order of axes that it has there."""
    network = _network(mode)
    path = save(torch_state_dict(network), tmp_path / "x.pt")

    found = import_pytorch(path, mode=mode, labels=LABELS)

    assert (found.spec.variant, found.spec.mode) == ("tiny", mode)
    assert (found.spec.num_classes, found.spec.labels) == (5, LABELS)
    for name, weight in network.named_weights.items():
        np.testing.assert_array_equal(found.named_weights[name], weight, name)
    clips = moving_clips()
    assert_same_logits(found(clips), network(clips))


def _in_lightning(state):
    inner = {f"model.{name}": value for name, value in state.items()}
    return {"epoch": 3, "state_dict": inner, "hyper_parameters": {"lr": 1}}


def _in_data_parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


def _in_checkpoint(state):
    momentum = {0: {"step": 1, "exp_avg": np.ones(2, np.float32)}}
    optimizer = {"state": momentum, "param_groups": [{"lr": 1}]}
    return {"model_state_dict": state, "optimizer_state_dict": optimizer}


@pytest.mark.parametrize(
    "wrap", [_in_lightning, _in_data_parallel, _in_checkpoint, lambda s: {"model": s}]
)
def test_a_state_dict_is_found_in_a_checkpoint(tmp_path, wrap):
    """What training programs put around a state dict, and before its names, makes no difference."""
    network = _network("base")
    path = save(wrap(torch_state_dict(network)), tmp_path / "x.pth")

    assert_same_logits(import_pytorch(path)(moving_clips()), network(moving_clips()))


def test_other_formats_give_the_same_network(tmp_path):
    """A .safetensors file and PyTorch's older format hold the same weights."""
    network = _network("stream")
    state = torch_state_dict(network)
    save_file(
        {name: np.array(value, order="C") for name, value in state.items()},
        tmp_path / "x.safetensors",
    )
    save_legacy(state, tmp_path / "old.pt")

    for name in ("x.safetensors", "old.pt"):
        found = import_pytorch(tmp_path / name)
        assert_same_logits(found(moving_clips()), network(moving_clips()))


@pytest.mark.parametrize("mode", MODES)
def test_a_classifier_that_was_replaced_is_found(tmp_path, mode):
    """The tutorial of MoViNet-pytorch puts a plain 3-D convolution in place of the classifier of both modes."""
    network = _network(mode)
    state = torch_state_dict(network)
    kind = "conv2d" if mode == "stream" else "conv3d"
    weight = state.pop(f"classifier.3.conv_1.{kind}.weight")
    state["classifier.3.weight"] = weight.reshape(*weight.shape[:2], 1, 1, 1)
    state["classifier.3.bias"] = state.pop(f"classifier.3.conv_1.{kind}.bias")
    path = save(state, tmp_path / "x.pt")

    assert_same_logits(import_pytorch(path)(moving_clips()), network(moving_clips()))


def test_missing_and_left_over_tensors_are_named(tmp_path):
    """A state dict that is not exactly that of a network says which tensors differ."""
    state = torch_state_dict(_network("base"))
    path = tmp_path / "x.pt"
    lost = dict(state)
    del lost["blocks.b1_l0.alpha"]

    _refused(lost, path, r"1 missing: blocks.b1_l0.alpha \(an incomplete state")
    _refused(
        {**state, "fc.weight": state["blocks.b1_l0.alpha"]},
        path,
        r"1 left over: fc.weight \(additional modules",
    )
    _refused(
        {**state, "blocks.b0_l0.num_batches_tracked": np.asarray(1)},
        path,
        "1 left over: blocks.b0_l0.num_batches_tracked",
    )


def test_tensors_beside_a_wrapped_network_are_named(tmp_path):
    """What a Lightning module trained beside the network is not dropped in silence."""
    state = {f"model.{k}": v for k, v in torch_state_dict(_network("base")).items()}
    state["loss.weight"] = np.ones(5, np.float32)

    _refused({"state_dict": state}, tmp_path / "x.pt", "1 do not: loss.weight")


def test_a_tensor_of_another_shape_is_named(tmp_path):
    """A weight of another shape is an error that says both shapes."""
    state = torch_state_dict(_network("base"))
    state["conv1.conv_1.norm.bias"] = np.ones(9, np.float32)

    _refused(
        state,
        tmp_path / "x.pt",
        r"'conv1.conv_1.norm.bias' of tiny base must have shape \(8,\); got \(9,\)",
    )


def test_settings_of_the_constructor_that_no_mode_has_are_named(tmp_path):
    """A model that is causal with 3-D convolutions, or not causal with 2-D ones, is told by its squeeze-excitation."""
    path = tmp_path / "x.pt"
    base, stream = (torch_state_dict(_network(mode)) for mode in MODES)
    for name in base:
        if ".se.fc1." in name and name.endswith("weight"):
            base[name] = np.concatenate([base[name]] * 2, axis=1)
    for name in stream:
        if ".se.fc1." in name and name.endswith("weight"):
            stream[name] = stream[name][:, : stream[name].shape[1] // 2]

    _refused(base, path, "built with causal=True and conv_type='3d'")
    _refused(stream, path, "built with causal=False and conv_type='2plus1d'")


def test_a_file_of_another_network_is_refused(tmp_path):
    """Tensors with other names, or none at all, are no MoViNet."""
    path = tmp_path / "x.pt"

    _refused({"conv1.weight": np.ones(3, np.float32)}, path, "must have the names of")
    _refused({"epoch": 3}, path, "must contain one state dict, .*; it contains 'epoch'")
    _refused([1, 2], path, "must contain a state dict; it contains a list")
    _refused(
        {"model": TINY_STATE, "state_dict": TINY_STATE},
        path,
        "it contains 'state_dict', 'model'",
    )


TINY_STATE = {"x": np.ones(1, np.float32)}


def test_a_backbone_without_its_classifier_is_refused(tmp_path):
    """Without a classifier there are no scores."""
    state = torch_state_dict(_network("base"))
    rest = {k: v for k, v in state.items() if not k.startswith("classifier")}

    _refused(rest, tmp_path / "x.pt", "must include a classifier")


def test_another_number_of_layers_is_refused(tmp_path):
    """The layers tell the variant; those of no variant are listed beside the known ones."""
    state = torch_state_dict(_network("base"))
    rest = {k: v for k, v in state.items() if not k.startswith("blocks.b2")}

    _refused(rest, tmp_path / "x.pt", r"must be those of a variant .*got \(1, 1\)")


def test_whole_numbers_are_no_weights(tmp_path):
    """A quantised state dict is refused, rather than taken as if its numbers were real ones."""
    state = torch_state_dict(_network("base"))
    state["conv1.conv_1.norm.bias"] = np.ones(8, np.int64)

    _refused(state, tmp_path / "x.pt", "must have a floating-point dtype; got int64")


def test_a_model_of_the_other_mode_is_refused(tmp_path):
    """A base model where a stream model is needed is the error that every form of a model gives."""
    path = save(torch_state_dict(_network("base")), tmp_path / "x.pt")

    with pytest.raises(ModelError, match="this one is a base model"):
        import_pytorch(path, mode="stream")


def test_the_padding_is_assumed_aloud(tmp_path):
    """Nothing in a file tells the padding: who does not give it is told what is assumed, but for the published files."""
    network = _network("base")
    path = save(torch_state_dict(network), tmp_path / "mine.pt")
    published = save(torch_state_dict(network), tmp_path / "modelA0_statedict_v3")

    with pytest.warns(UserWarning, match=r"mine.pt: .* TensorFlow's is assumed"):
        found = importing.import_pytorch(path)

    assert found.spec.padding == "same"
    assert importing.import_pytorch(published).spec.padding == "same"


@pytest.mark.parametrize("mode", MODES)
def test_the_other_padding_stays_with_the_network(tmp_path, mode):
    """A network with PyTorch's own padding gives other logits, and keeps it in our file and when it is compiled."""
    network = _network(mode)
    path = save(torch_state_dict(network), tmp_path / "x.pt")

    found = importing.import_pytorch(path, padding="pytorch")

    clips = moving_clips(size=(32, 32))
    logits = np.asarray(found(clips))
    assert np.abs(logits - np.asarray(network(clips))).max() > 1e-2
    save_network(found, tmp_path / "x.safetensors")
    assert_same_logits(load_network(tmp_path / "x.safetensors")(clips), logits, 0)
    assert_same_logits(fold(found)(clips), logits)
    if mode == "stream":
        assert_same_logits(step_through(found, clips)[0][:, -1], logits)


def test_the_states_have_the_sizes_of_the_padding():
    """A stream's buffers fit its frames also where PyTorch's padding makes smaller ones of them."""
    spec = attrs.evolve(_network("stream").spec, variant="a0", padding="pytorch")
    network = Movinet(spec)
    before = network.init_states(1, (45, 34))

    _, after = network.step(moving_clips(frames=1, size=(45, 34)), before)

    for name, state in before.items():
        assert after[name].shape == state.shape, name


@pytest.mark.parametrize("variant", ["a0", "a1", "a2", "a3", "a4", "a5", "t0"])
@pytest.mark.parametrize("mode", MODES)
def test_every_variant_has_as_many_places_as_published_weights(variant, mode):
    """The names on both sides are as many as the models on TF Hub have, and each is there once."""
    from movinet_lite.network.variants import get_variant

    found = list(places(get_variant(variant), mode, 600))

    assert len({place.tensor for place in found}) == len(found)
    assert len({place.weight for place in found}) == len(found)
    if (variant, mode) in {("a0", "base"), ("a0", "stream")}:
        assert len(found) == {"base": 334, "stream": 389}[mode]


@pytest.mark.parametrize("mode", MODES)
def test_the_logits_are_those_of_pytorch(shared_torch, mode):
    """A0 with weights that PyTorch drew and saved gives the logits that PyTorch computed."""
    network = import_pytorch(shared_torch(f"a0_{mode}/state_dict.pt"))
    reference = np.load(shared_torch(f"a0_{mode}/reference.npz"))

    assert (network.spec.variant, network.spec.mode) == ("a0", mode)
    assert_same_logits(network(reference["video"]), reference["clip_logits"], 1e-4)
    if mode == "stream":
        logits = network.call_by_frame(reference["video"])[0]
        assert_same_logits(logits, reference["frame_logits"], 1e-4)
