"""Renders rows of text and score as an HTML table, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["score_table"]

_BAR_WIDTH_EM = 10.0  # of a score of 1


def score_table(
    rows: Iterable[tuple[tuple[str, ...], float]], *, caption: str = ""
) -> str:
    """Return an HTML table: a row's texts in cells, then the score as a bar and a percentage.

    It includes its own style and uses the colours of the page, including dark themes. A long table scrolls.

    Args:
        rows: The texts and the score, 0 to 1, of each row. Texts are escaped.
        caption: The caption of the table; none if empty.

    Returns:
        HTML, in ASCII except for the texts.

    Example:
        >>> table = score_table([(("ironing & folding",), 0.25)])
        >>> "ironing &amp; folding" in table, "25.0&nbsp;%" in table
        (True, True)
    """
    head = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(_row(texts, score) for texts, score in rows)
    return (
        '<div style="max-height: 30em; overflow: auto">'
        f'<table style="border-collapse: collapse">{head}<tbody>{body}</tbody></table></div>'
    )


def _row(texts: tuple[str, ...], score: float) -> str:
    cells = "".join(
        f'<td style="text-align: left; padding: 0 0.8em 0 0">{html.escape(text)}</td>'
        for text in texts
    )
    bar = (
        f'<div style="width: {_BAR_WIDTH_EM:g}em; background: rgba(128, 128, 128, 0.25)">'
        f'<div style="width: {100 * score:.1f}%; height: 0.7em; background: #0072B2"></div></div>'
    )
    number = f'<td style="text-align: right; padding: 0 0 0 0.8em">{100 * score:.1f}&nbsp;%</td>'
    return f"<tr>{cells}<td>{bar}</td>{number}</tr>"
