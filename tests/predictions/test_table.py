"""Tables of predictions: every score has its place."""

import csv
import io
import sys
import types

import numpy as np
import pytest

from movinet_lite import (
    ArrayError,
    LabelsError,
    MissingDependencyError,
    Prediction,
    predictions_to_table,
    softmax,
)

LABELS = ("walking", "a, b", "running")
LOGITS = ([0.0, 1.0, 2.0], [3.0, 0.0, -1.0])
PREDICTIONS = [
    Prediction(row, LABELS, frame_index=i, time_s=i / 5) for i, row in enumerate(LOGITS)
]


def test_each_prediction_is_a_row_and_each_label_a_column():
    """A row holds a frame's index, its time and the score of every label, in the order of the labels."""
    table = predictions_to_table(iter(PREDICTIONS))
    assert table.columns == ("frame_index", "time_s", *LABELS)
    assert [row[:2] for row in table.rows] == [(0, 0.0), (1, 0.2)]
    np.testing.assert_allclose(
        np.array([row[2:] for row in table.rows]), softmax(LOGITS), rtol=1e-6
    )


def test_chosen_labels_keep_their_order():
    """Labels that are asked for get a column each, in the order asked for."""
    chosen = predictions_to_table(PREDICTIONS, labels=["running", "walking"])
    every = predictions_to_table(PREDICTIONS)
    assert chosen.columns[2:] == ("running", "walking")
    assert [row[2:] for row in chosen.rows] == [(r[4], r[2]) for r in every.rows]


def test_csv_reads_back():
    """What a reader of CSV gets is what was written; an unknown time is an empty field."""
    table = predictions_to_table([*PREDICTIONS, Prediction(LOGITS[0], LABELS)])
    header, *rows = csv.reader(io.StringIO(table.to_csv()))
    assert tuple(header) == table.columns
    assert rows[-1][:2] == ["", ""]
    assert [float(value) for value in rows[1]] == list(table.rows[1])


def test_pandas_gets_columns_and_rows(monkeypatch):
    """Where pandas is installed, the table becomes a data frame of it."""
    given = {}
    fake = types.ModuleType("pandas")
    fake.DataFrame = lambda rows, columns: given.update(rows=rows, columns=columns)
    monkeypatch.setitem(sys.modules, "pandas", fake)
    table = predictions_to_table(PREDICTIONS)
    table.to_pandas()
    assert given == {"rows": list(table.rows), "columns": list(table.columns)}


def test_missing_pandas_says_what_to_install(monkeypatch):
    """Without pandas one line says what to install."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        predictions_to_table(PREDICTIONS).to_pandas()


def test_what_makes_no_table_is_refused():
    """No prediction, an unknown label, or predictions of several models give one clear error."""
    with pytest.raises(ArrayError, match="at least one prediction; got none"):
        predictions_to_table([])
    with pytest.raises(LabelsError, match="'jogging'"):
        predictions_to_table(PREDICTIONS, labels=["jogging"])
    with pytest.raises(LabelsError, match="same labels"):
        predictions_to_table([*PREDICTIONS, Prediction([0.0], ("other",))])
