"""Scores, rankings, filters, predictions, and tables of them."""

from movinet_lite.predictions.html_table import score_table
from movinet_lite.predictions.label_filter import LabelFilter
from movinet_lite.predictions.over_time import TopKOverTime, top_k_over_time
from movinet_lite.predictions.prediction import Prediction, mean_prediction
from movinet_lite.predictions.scores import Ranking, softmax, top_k
from movinet_lite.predictions.table import PredictionTable, predictions_to_table

__all__ = [
    "LabelFilter",
    "Prediction",
    "PredictionTable",
    "Ranking",
    "TopKOverTime",
    "mean_prediction",
    "predictions_to_table",
    "score_table",
    "softmax",
    "top_k",
    "top_k_over_time",
]
