"""What a network is, written beside a SavedModel and read again."""

import json

import attrs
import pytest

from movinet_lite.errors import ModelError
from movinet_lite.network.spec import (
    FACTS_NAME,
    NetworkSpec,
    check_facts,
    read_facts,
    write_facts,
)

SPEC = NetworkSpec(
    variant="a0",
    mode="stream",
    num_classes=2,
    gate="hard_sigmoid",
    positional_encoding=False,
    frame_size=(96, 64),
    fps=7.5,
    labels=("tanzen", "прыжок"),
    source="somewhere",
    activation="swish",
)


def test_facts_come_back(tmp_path):
    """What is written is read, whatever alphabet the labels are in."""
    write_facts(SPEC, tmp_path)

    assert read_facts(tmp_path) == SPEC


def test_facts_without_an_activation_have_that_of_the_published_models(tmp_path):
    """So were they written before there was a choice."""
    for mode, gate, activation in (
        ("stream", "hard_sigmoid", "hard_swish"),
        ("base", "sigmoid", "swish"),
    ):
        write_facts(attrs.evolve(SPEC, mode=mode, gate=gate), tmp_path)
        facts = json.loads((tmp_path / FACTS_NAME).read_text("utf-8"))
        del facts["activation"]
        (tmp_path / FACTS_NAME).write_text(json.dumps(facts), "utf-8")

        assert read_facts(tmp_path).activation == activation


def test_a_model_of_others_has_no_facts(tmp_path):
    """A SavedModel with nothing beside it, or with the note of an older cache, says nothing of itself."""
    assert read_facts(tmp_path) is None
    note = {"address": "https://x", "fetched": "2026-11-25T10:00:00Z"}
    (tmp_path / FACTS_NAME).write_text(json.dumps(note))

    assert read_facts(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text[:50],
        lambda _: "[1]",
        lambda _: "3",
        lambda _: "null",
        lambda text: text.replace('"a0"', '"a9"'),
        lambda text: text.replace('"a0"', "0"),
        lambda text: text.replace("96", '"96"'),
        lambda text: text.replace("7.5", "-1"),
        lambda text: text.replace('"fps": 7.5,', ""),
        lambda text: text.replace('"num_classes": 2', '"num_classes": 3'),
    ],
)
def test_damaged_facts_are_an_error(tmp_path, change):
    """Facts that cannot be read are not left out silently: the model would get frames of another size."""
    write_facts(SPEC, tmp_path)
    path = tmp_path / FACTS_NAME
    path.write_text(change(path.read_text("utf-8")), "utf-8")

    with pytest.raises(ModelError, match=r"movinet_lite\.json is not: .*damaged\?"):
        read_facts(tmp_path)


def test_facts_of_another_model_are_an_error():
    """A file that was copied beside another SavedModel is noticed."""
    check_facts(SPEC, variant="a0", mode="stream", num_classes=2, source="m")
    check_facts(SPEC, variant=None, mode="stream", num_classes=2, source="m")
    with pytest.raises(
        ModelError,
        match="describes a0 stream with 2 classes, and this is a1 stream with 600 classes",
    ):
        check_facts(SPEC, variant="a1", mode="stream", num_classes=600, source="m")
