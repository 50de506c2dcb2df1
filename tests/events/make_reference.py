"""Computes the reference values of the tests of metrics, with the programs that the metrics must agree with.

Not a test. It runs in an environment of its own, with a checkout of https://github.com/activitynet/ActivityNet:

    python3.10 -m venv reference && . reference/bin/activate
    pip install "numpy<1.24" "setuptools<81" sed_eval==0.2.1 pandas joblib scikit-learn
    python tests/events/make_reference.py ActivityNet/Evaluation tests/events/data/reference.json.gz

The evaluation of ActivityNet is Python 2; lib2to3 translates it into a temporary folder before it runs.
"""

import contextlib
import gzip
import io
import json
import os
import random
import sys
import tempfile
import warnings
from lib2to3.refactor import RefactoringTool, get_fixers_from_package  # type: ignore[import-not-found]
from pathlib import Path

import numpy as np
import sed_eval  # type: ignore[import-not-found]
from sklearn.metrics import average_precision_score  # type: ignore[import-not-found]

NUM_CASES = 240
LABELS = ["climb", "jump", "rest", "run"]
THRESHOLDS = [0.3, 0.4, 0.5, 0.6, 0.7]
COLLARS = [(0.2, 0.5), (1.0, 0.0), (0.5, 0.2), (2.0, 1.0)]
SEGMENTS = [1.0, 0.5, 0.3, 2.5]


def import_activitynet(folder):
    """Return the class of ActivityNet's evaluation of detections, translated to Python 3."""
    tool = RefactoringTool(get_fixers_from_package("lib2to3.fixes"))
    target = Path(tempfile.mkdtemp())
    for name in ("eval_detection.py", "utils.py"):
        text = (Path(folder) / name).read_text()
        (target / name).write_text(str(tool.refactor_string(text, name)))
    sys.path.insert(0, str(target))
    from eval_detection import ANETdetection  # type: ignore[import-not-found]

    return ANETdetection


def random_spans(rng, num_spans, *, on_grid):
    """Return spans of random labels; on a grid, many times are equal."""
    spans = []
    for _ in range(num_spans):
        start = rng.uniform(0, 30)
        length = rng.choice([0.3, 1, 4, 12]) * rng.uniform(0.2, 1.5)
        if on_grid:
            start, length = round(start * 2) / 2, max(0.5, round(length * 2) / 2)
        spans.append([rng.choice(LABELS), start, start + length])
    return spans


def random_case(rng):
    """Return the annotations and the events of some videos, events with scores that all differ."""
    on_grid = rng.random() < 0.4
    reference, estimated = {}, {}
    for number in range(rng.randint(1, 4)):
        name = f"v{number}"
        true = random_spans(rng, rng.choice([0, 1, 3, 8]), on_grid=on_grid)
        found = random_spans(rng, rng.choice([0, 0, 1, 4]), on_grid=on_grid)
        for true_label, true_start, true_end in true:
            if rng.random() < 0.75:
                shift = [rng.gauss(0, rng.choice([0.05, 0.4, 1.5])) for _ in range(2)]
                if on_grid:
                    shift = [round(value * 2) / 2 for value in shift]
                start, end = max(0.0, true_start + shift[0]), true_end + shift[1]
                label = rng.choice(LABELS) if rng.random() < 0.1 else true_label
                if end > start:
                    found.append([label, start, end])
        rng.shuffle(found)
        reference[name] = true
        estimated[name] = [[*span, rng.random()] for span in found]
    return {"reference": reference, "estimated": estimated}


def numbers(result):
    """Return F1, precision and recall, with None for NaN."""
    values = (result["f_measure"], result["precision"], result["recall"])
    return [None if np.isnan(value) else float(value) for value in values]


def as_sed_eval(spans):
    """Return spans as sed_eval takes them."""
    return [
        {"event_label": label, "event_onset": start, "event_offset": end, "file": "f"}
        for label, start, end, *_ in spans
    ]


def run_sed_eval(metrics, case):
    """Return what sed_eval says of a case: overall, the mean over labels, and by label."""
    for name, true in case["reference"].items():
        metrics.evaluate(as_sed_eval(true), as_sed_eval(case["estimated"][name]))
    return {
        "micro": numbers(metrics.overall_f_measure()),
        "macro": numbers(metrics.results_class_wise_average_metrics()["f_measure"]),
        "by_label": {
            label: numbers(metrics.class_wise_f_measure(label)) for label in LABELS
        },
    }


def run_activitynet(evaluation, case, folder):
    """Return average precision, ``(thresholds, labels)``, by the order of the labels; None where none is annotated."""
    database = {
        name: {
            "subset": "validation",
            "annotations": [
                {"label": label, "segment": [start, end]} for label, start, end in spans
            ],
        }
        for name, spans in case["reference"].items()
    }
    known = {label for spans in case["reference"].values() for label, _, _ in spans}
    if not known:
        return None
    # Labels that are annotated nowhere make it fail, so they are left out.
    results = {
        name: [
            {"label": label, "score": score, "segment": [start, end]}
            for label, start, end, score in spans
            if label in known
        ]
        for name, spans in case["estimated"].items()
    }
    truth, found = folder / "truth.json", folder / "found.json"
    truth.write_text(json.dumps({"database": database, "taxonomy": [], "version": ""}))
    found.write_text(
        json.dumps({"results": results, "version": "", "external_data": {}})
    )
    with contextlib.redirect_stdout(io.StringIO()):
        judge = evaluation(
            str(truth),
            str(found),
            tiou_thresholds=np.array(THRESHOLDS),
            check_status=False,
        )
        if judge.prediction.empty:
            return {"ap": dict.fromkeys(known, [0.0] * 5), "mean_ap": 0.0}
        judge.evaluate()
    return {
        "ap": {
            label: judge.ap[:, index].tolist()
            for label, index in judge.activity_index.items()
        },
        "mean_ap": float(judge.average_mAP),
    }


def run_sklearn(rng):
    """Return scores with ties, what is on, and its average precision."""
    num_frames = rng.randint(2, 40)
    scores = [rng.randint(0, 8) / 8 for _ in range(num_frames)]
    is_on = [rng.random() < 0.4 for _ in range(num_frames)]
    is_on[rng.randrange(num_frames)] = True
    return {
        "scores": scores,
        "is_on": [int(on) for on in is_on],
        "ap": float(average_precision_score(is_on, scores)),
    }


def main():
    """Write the cases and the values."""
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    evaluation = import_activitynet(sys.argv[1])
    import eval_detection

    class InOneProcess:
        def __init__(self, **_options):
            pass

        def __call__(self, calls):
            return [function(*args, **named) for function, args, named in calls]

    eval_detection.Parallel = (
        InOneProcess  # a process for every label of every case takes minutes
    )
    rng = random.Random(20)  # noqa: S311
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(NUM_CASES):
            case = random_case(rng)
            collar, percentage = COLLARS[number % len(COLLARS)]
            onset, offset = [(True, True), (True, False), (False, True)][
                number % 7 if number % 7 < 3 else 0
            ]
            case["event"] = {
                "collar_s": collar,
                "percentage_of_length": percentage,
                "onset": onset,
                "offset": offset,
            }
            metrics = sed_eval.sound_event.EventBasedMetrics(
                LABELS,
                evaluate_onset=onset,
                evaluate_offset=offset,
                t_collar=collar,
                percentage_of_length=percentage,
                empty_system_output_handling="zero_score",
            )
            case["event_f1"] = run_sed_eval(metrics, case)
            case["segment_s"] = SEGMENTS[number % len(SEGMENTS)]
            metrics = sed_eval.sound_event.SegmentBasedMetrics(
                LABELS, time_resolution=case["segment_s"]
            )
            metrics.empty_system_output_handling = "zero_score"
            case["segment_f1"] = run_sed_eval(metrics, case)
            case["temporal_map"] = run_activitynet(evaluation, case, Path(folder))
            cases.append(case)
    document = {
        "made_with": {
            "sed_eval": sed_eval.__version__,
            "activitynet": "82304fa9f4a7219421df13dae6347a445c4cf5bc",
        },
        "thresholds": THRESHOLDS,
        "cases": cases,
        "frames": [run_sklearn(rng) for _ in range(200)],
    }
    with gzip.GzipFile(sys.argv[2], "wb", mtime=0) as file:
        file.write(json.dumps(document).encode())


if __name__ == "__main__":
    main()
