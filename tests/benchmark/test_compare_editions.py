"""The program that compares two editions: which figures it prints."""

from tests.benchmark.compare_editions import _engine, _rows


def test_each_figure_stands_beside_that_of_the_earlier_edition():
    """A share of the limit, how many times faster than another way, seconds and milliseconds."""
    measured = {
        (variant, threads, edition): _report(factor)
        for variant in ("a0", "a2")
        for threads in (1, 2)
        for edition, factor in (("earlier", 1.0), ("now", 2.0))
    }
    rows = [row.split() for row in _rows(measured)]
    assert [
        *["a0", "step,", "1", "thread,", "share", "of", "the", "limit"],
        "20.0%",
        "40.0%",
        "40%",
    ] in rows
    assert rows[2][-3:] == ["3.00x", "6.00x", "1.6x"]
    assert rows[4][-3:] == ["10.00x", "20.00x", "8x"]
    assert [
        *["a0", "run,", "2", "threads,", "share", "of", "the", "limit"],
        "25.0%",
        "50.0%",
        "60%",
    ] in rows
    assert [*["a0", "first", "load,", "s"], "24.0", "12.0", "12"] in rows
    assert [
        *["a2", "step,", "1", "threads,", "ms", "a", "frame"],
        "2.000",
        "1.000",
    ] in rows
    assert [
        *["a2", "run", "over", "a", "clip,", "2", "threads,", "against", "LiteRT"],
        "-",
        "1.50x",
    ] in rows


def test_the_engine_is_that_of_the_edition():
    """LiteRT of editions from before there was another, which do not say it."""
    measured = {("a0", 1, "earlier"): {}, ("a0", 1, "now"): {"engine": "native"}}
    assert _engine(measured, "earlier") == "litert"
    assert _engine(measured, "now") == "native"


def _report(factor):
    ways = {
        "SavedModel, states carried in a loop": (20.0, None),
        "LiteRT signature runner, stock file": (6.0, None),
        "step, one frame a call": (2.0 / factor, 0.2 * factor),
        "run over a clip": (1.0 / factor, 0.25 * factor),
    }
    if factor == 2.0:  # of an edition with an engine beside LiteRT
        ways |= {
            "LiteRT: step, one frame a call": (1.6, 0.25),
            "LiteRT: run over a clip": (0.75, 0.33),
        }
    measurements = [
        {"way": way, "median_ms": ms, "share_of_limit": share}
        for way, (ms, share) in ways.items()
    ]
    start = {"way": "stream: first load, compiled and checked", "load_s": 24 / factor}
    return {"measurements": measurements, "starts": [start]}
