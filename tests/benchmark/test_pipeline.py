"""The benchmark tells where the CPU time between a file and its predictions goes."""

import json

import pytest

from movinet_lite import demo
from movinet_lite.benchmark.pipeline import measure_pipeline
from movinet_lite.cli.program import main
from movinet_lite.errors import VideoNotFoundError


def test_the_stages_of_a_video_are_measured():
    """Each stage has its time, and the frames are counted."""
    cost = measure_pipeline(demo.CLIP, "demo", threads=1)

    assert 0 < cost.num_sampled <= cost.num_decoded <= cost.num_frames
    assert cost.num_decoded < cost.num_frames
    for seconds in (cost.demux_s, cost.scale_s, cost.infer_s, cost.total_s):
        assert seconds > 0
    lines = cost.to_text().splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == [
        "demux",
        "decode",
        "scale",
        "infer",
        "rest",
        "total",
    ]
    assert f"{cost.num_decoded} of {cost.num_frames} decoded" in lines[0]


def test_the_command_prints_it(capsys):
    """The command prints the table, or one JSON object."""
    command = ["benchmark", "--stream", "demo", "--pipeline", str(demo.CLIP)]
    assert main([*command, "--quality", "fast"]) == 0
    assert "every frame" in capsys.readouterr().out

    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["quality"] == "exact"


def test_what_is_missing_is_told(capsys, tmp_path):
    """It wants a model, and a video."""
    assert main(["benchmark", "--pipeline", str(demo.CLIP)]) == 2
    assert "--pipeline needs --stream MODEL" in capsys.readouterr().err
    with pytest.raises(VideoNotFoundError, match="there is no such file"):
        measure_pipeline(tmp_path / "none.mp4", "demo")
