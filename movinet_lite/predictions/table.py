"""Converts the predictions of a run to a table: rows, CSV, or a pandas data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from movinet_lite.errors import MissingDependencyError
from movinet_lite.labels import label_indices
from movinet_lite.predictions.prediction import Prediction, common_labels

__all__ = ["PredictionTable", "predictions_to_table"]


@attrs.frozen
class PredictionTable:
    """The scores of a run, one row per prediction.

    Attributes:
        columns: ``frame_index``, ``time_s``, and the labels.
        rows: A row for each prediction: its frame's index and time in seconds, `None` where unknown, and the score of
            each label, from 0 to 1.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int | float | None, ...], ...]

    def to_csv(self) -> str:
        r"""Return the table as comma-separated values with a header; `None` is an empty field.

        Example:
            >>> PredictionTable(("frame_index", "time_s", "squat"), ((0, None, 0.5),)).to_csv()
            'frame_index,time_s,squat\n0,,0.5\n'
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()

    def to_pandas(self) -> Any:
        """Return the table as a `pandas.DataFrame`.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingDependencyError("pandas") from error
        return pd.DataFrame(list(self.rows), columns=list(self.columns))


def predictions_to_table(
    predictions: Iterable[Prediction], *, labels: Sequence[str] | None = None
) -> PredictionTable:
    """Return the scores of *predictions*, with one row per prediction and one column per label.

    Args:
        predictions: Any number of predictions of one model.
        labels: The labels of the columns, in this order; `None` for all.

    Raises:
        ArrayError: If there is no prediction.
        LabelsError: If a label is unknown, or the predictions have different labels.

    Example:
        >>> from movinet_lite import Prediction
        >>> table = predictions_to_table([Prediction([0.0, 0.0], ("walking", "running"), frame_index=0, time_s=0.2)])
        >>> table.columns, table.rows
        (('frame_index', 'time_s', 'walking', 'running'), ((0, 0.2, 0.5, 0.5),))
    """
    found = list(predictions)
    known = common_labels(found)
    chosen = known if labels is None else tuple(labels)
    places = label_indices(chosen, known)
    rows = []
    for prediction in found:
        scores = prediction.scores[list(places)].tolist()
        rows.append((prediction.frame_index, prediction.time_s, *scores))
    return PredictionTable(("frame_index", "time_s", *chosen), tuple(rows))
