"""Tests of the transformer over the embeddings of frames: what it computes, and what a stream of it remembers."""

import math

import attrs
import numpy as np
import pytest

from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.errors import ModelError
from movinet_lite.network.export import export_litert, export_saved_model
from movinet_lite.network.facts import TRANSFORMER_WINDOW, TransformerFacts
from movinet_lite.network.files import load_network, read_network_spec, save_network
from movinet_lite.network.layers import Timeline
from movinet_lite.network.memories import StateMemory
from movinet_lite.network.model import fold, replace_head
from movinet_lite.network.states import to_published_states
from movinet_lite.network.weights import import_weights
from tests.networks import (
    LABELS,
    assert_same_logits,
    moving_clips,
    small_network,
    step_through,
    tiny_variant,
)
from tests.networks_table import TINY

FACTS = TransformerFacts(embed_dim=12, depth=2, num_heads=3, mlp_dim=20, causal=True)
BASE = attrs.evolve(FACTS, causal=False)
CHANNELS = TINY.blocks[-1].out_channels


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    with tiny_variant():
        yield


def _network(mode, facts=FACTS, **options):
    causal = (
        {"activation": "hard_swish", "gate": "hard_sigmoid"} if facts.causal else {}
    )
    return small_network(mode, transformer=facts, **causal, **options)


def _layer_norm(x, weights, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    prefix = f"classifier_head/transformer/{name}"
    return x * weights[f"{prefix}/gamma"] + weights[f"{prefix}/beta"]


def _dense(x, weights, name):
    prefix = f"classifier_head/transformer/{name}"
    return x @ weights[f"{prefix}/kernel"] + weights[f"{prefix}/bias"]


def _logits_of(embeddings, network):
    """Return the logits of a sequence of embeddings, one head and one frame after the other."""
    facts = network.spec.transformer
    weights = {k: np.asarray(v, np.float64) for k, v in network.named_weights.items()}
    x = _layer_norm(np.asarray(embeddings, np.float64), weights, "norm")
    half = facts.embed_dim // 2
    for place in range(len(x)):
        angles = [place / 10_000 ** (i / (half - 1)) for i in range(half)]
        x[place] += [*map(math.sin, angles), *map(math.cos, angles)]
    width = facts.embed_dim // facts.num_heads
    for index in range(facts.depth):
        y = _layer_norm(x, weights, f"l{index}/attention_norm")
        query, key, value = np.split(
            _dense(y, weights, f"l{index}/attention/input"), 3, -1
        )
        taken = np.zeros_like(x)
        for start in range(0, facts.embed_dim, width):
            part = slice(start, start + width)
            scores = np.exp(query[:, part] @ key[:, part].T / math.sqrt(width))
            taken[:, part] = scores / scores.sum(-1, keepdims=True) @ value[:, part]
        x = x + _dense(taken, weights, f"l{index}/attention/output")
        y = _layer_norm(x, weights, f"l{index}/mlp_norm")
        y = _dense(y, weights, f"l{index}/mlp/hidden")
        y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
        x = x + _dense(y, weights, f"l{index}/mlp/output")
    pooled = _layer_norm(x, weights, "last_norm").mean(0)
    classifier = next(
        k
        for k in weights
        if k.startswith("classifier_head/classifier") and k.endswith("kernel")
    )
    kernel = weights[classifier]
    return (
        pooled @ kernel.reshape(kernel.shape[-2:])
        + weights[classifier.replace("kernel", "bias")]
    )


def _answers(head, rows, timeline, memory=None):
    return head.classify(head.features(rows, timeline, memory), timeline)


@pytest.mark.parametrize("facts", [FACTS, BASE])
def test_the_logits_of_a_clip_are_those_of_the_formulas(facts):
    """Position, attention, dense layers and norms are those of the paper's code, over all frames of a clip."""
    network = _network("base", facts)
    head = network.head
    rows = np.random.default_rng(0).normal(size=(7, 2, 2, CHANNELS)).astype(np.float32)
    timeline = Timeline(1, 7, None)

    found = np.asarray(_answers(head, rows, timeline))[0, 0]

    projected = head.project(rows, timeline=timeline)
    embeddings = np.asarray(head.embed(projected, timeline))[:, 0, 0]
    assert_same_logits(found[0], _logits_of(embeddings, network))


def test_a_stream_gives_the_logits_of_the_clip_so_far():
    """After each frame, one a call or several, the logits are those of the whole clip up to it."""
    stream, clip = _network("stream"), _network("base")
    frames = moving_clips(frames=7)
    expected = np.stack([np.asarray(clip(frames[:, :n]))[0] for n in range(1, 8)])

    for pieces in (1, 3, 7):
        logits, _ = step_through(stream, frames, pieces)
        assert_same_logits(logits[0], expected)
    assert_same_logits(stream(frames), expected[-1:])


def test_a_stream_looks_back_over_a_fixed_number_of_frames():
    """When a stream is older than the window, its logits are those of the last frames alone, as a clip of their own."""
    stream, clip = (_network(mode).head for mode in ("stream", "base"))
    count = TRANSFORMER_WINDOW + 9
    rows = (
        np.random.default_rng(1).normal(size=(count, 2, 2, CHANNELS)).astype(np.float32)
    )
    memory = StateMemory(None, np.zeros((1, count, 2, 2, 3), np.float32))

    found = np.asarray(_answers(stream, rows, memory.timeline, memory))[:, 0, 0]

    for last in (TRANSFORMER_WINDOW, count - 1):
        seen = rows[last - TRANSFORMER_WINDOW + 1 : last + 1]
        expected = _answers(clip, seen, Timeline(1, len(seen), None))
        assert_same_logits(found[last], np.asarray(expected)[0, 0, 0])


def test_streams_of_one_batch_do_not_see_each_other():
    """Two streams in one call give what each gives alone."""
    network = _network("stream")
    frames = moving_clips(clips=2)

    together, _ = step_through(network, frames, 2)

    for index in range(2):
        alone, _ = step_through(network, frames[index : index + 1], 2)
        assert_same_logits(together[index], alone[0])


def test_a_folded_network_gives_the_same_logits():
    """Folding for inference changes nothing that is computed."""
    for mode in ("base", "stream"):
        network = _network(mode)
        assert_same_logits(fold(network)(moving_clips()), network(moving_clips()))


@pytest.mark.parametrize("mode", ["base", "stream"])
def test_a_saved_network_is_the_same_when_loaded(tmp_path, mode):
    """Our own file keeps the facts of the transformer and its weights."""
    network = _network(mode)
    save_network(network, tmp_path / "x.safetensors")

    assert read_network_spec(tmp_path / "x.safetensors") == network.spec
    loaded = load_network(tmp_path / "x.safetensors")
    assert_same_logits(loaded(moving_clips()), network(moving_clips()), 0)


def test_a_stream_that_was_exported_can_be_imported(tmp_path):
    """A SavedModel of ours runs by its signatures, and gives its network back, transformer, padding and all."""
    network = _network("stream", padding="pytorch")
    export_saved_model(network, tmp_path / "model")

    found = import_weights(tmp_path / "model")

    assert found.network.spec.transformer == FACTS
    assert found.network.spec.padding == "pytorch"
    assert found.difference < 1e-5


def test_a_new_classifier_keeps_the_transformer():
    """For fine-tuning the classifier alone starts anew."""
    network = _network("base")

    replaced = replace_head(network, labels=["sit", "run"])

    assert replaced(moving_clips()).shape == (1, 2)
    for name, weight in replaced.named_weights.items():
        if not name.startswith("classifier_head/classifier"):
            np.testing.assert_array_equal(weight, network.named_weights[name])


def test_a_compiled_stream_gives_the_same_logits_and_states(tmp_path):
    """In LiteRT the embeddings of the last frames are states like all others: same names, same numbers, restored anew."""
    network = _network("stream")
    frames = moving_clips(frames=8, size=(32, 32))
    export_litert(network, tmp_path / "x.tflite")
    model = load_tflite(tmp_path / "x.tflite", threads=1)
    expected, states = step_through(network, frames)

    found, after = model.step(frames[0, :5], model.init_states((32, 32)))
    restored, after = model.step(frames[0, 5:], dict(after))

    assert_same_logits(np.concatenate([found, restored]), expected[0])
    published = to_published_states(states, network.variant, positional_encoding=False)
    assert set(after) == set(published)
    for name, value in published.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("facts", [FACTS, BASE])
def test_a_compiled_clip_model_takes_clips_of_any_length(tmp_path, facts):
    """A causal backbone too goes over whole clips in LiteRT, shorter and longer ones than it was written for."""
    network = _network("base", facts)
    export_litert(network, tmp_path / "x.tflite", num_frames=6)
    model = LiteRTClipModel(tmp_path / "x.tflite", threads=1)

    for frames in (6, 9, 1):
        clips = moving_clips(frames=frames, size=(32, 32))
        assert_same_logits(model.predict(clips), network(clips))


def test_the_sizes_of_a_transformer_are_checked():
    """Sizes that do not go together are refused where they come in."""
    with pytest.raises(
        ModelError, match="a multiple of num_heads; got 12 with 5 heads"
    ):
        attrs.evolve(FACTS, num_heads=5)
    with pytest.raises(ModelError, match="must be whole numbers, at least 1"):
        attrs.evolve(FACTS, depth=0)


def test_the_labels_are_those_of_the_network():
    """What is known of a network stays beside its transformer."""
    assert _network("base", labels=LABELS).spec.labels == LABELS
