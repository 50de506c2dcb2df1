"""The parity command finds agreement where there is, and difference where there is."""

import re

import pytest

from movinet_lite.network.export import export_saved_model
from movinet_lite.network.model import Movinet
from tests.model_garden.parity import COLUMNS, compare, main
from tests.networks import small_network, tiny_variant


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Return a folder with an export of our own in it, which stands in for one of the Model Garden."""
    folder = tmp_path_factory.mktemp("exports")
    network = small_network("stream", positional_encoding=True)
    export_saved_model(network, folder / "tiny_stream" / "saved_model")
    return folder


@pytest.mark.slow
def test_a_row_an_export_is_printed(exports):
    """Every way of calling has its figure."""
    lines = []

    main(
        [str(exports), "--frames", "6", "--size", "32"],
        write=lines.append,
    )

    assert len(lines) == 3
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:2] == ["tiny_stream", "hard_sigmoid"]
    assert len(cells) == 2 + len(COLUMNS)
    assert all(re.fullmatch(r"\d\.\de[+-]\d\d", cell) for cell in cells[2:])
    assert all(float(cell) <= 1e-4 for cell in cells[2:])


@pytest.mark.slow
def test_a_difference_is_found(exports, monkeypatch):
    """The comparison would not pass if the network's step computed something else."""
    original = Movinet.step

    def step(self, frames, states):
        logits, states = original(self, frames, states)
        return logits * 1.001, states

    monkeypatch.setattr(Movinet, "step", step)
    _, found = compare(exports / "tiny_stream" / "saved_model", frames=6, size=32)

    for column in ("frames", "clip", "pieces", "odd", "batch"):
        assert found[column] == pytest.approx(1e-3, rel=0.1)


def test_too_few_frames_are_refused(exports, capsys):
    """The oldest stream of the batch needs its frames."""
    with pytest.raises(SystemExit):
        main([str(exports), "--frames", "5"])
    assert "--frames must be more than 5; got 5" in capsys.readouterr().err
