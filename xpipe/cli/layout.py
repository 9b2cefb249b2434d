"""Cells as lines of text: in columns that are aligned, and folded where there is no room for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

from xpipe.cli.text import columns as columns_of
from xpipe.cli.text import fold, least_columns

GAP = "  "
READABLE = 6
"""Characters a line that the cells of a column have in a table."""
LEAST_COLUMN = 3
"""Characters a line that the cells of a column have while there is any other way."""


class Column(NamedTuple):
    """A column of a table.

    whole: its values are ids, which are not folded while there is any other way; name: they are names, which are folded
    only when all others are as narrow as their words.
    """

    title: str
    align: Literal["left", "right"] = "left"
    whole: bool = False
    name: bool = False


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[list[str]]:
    """The lines that each of `rows` takes, in at most `width` columns of text."""
    room = None if width is None else width - len(GAP) * (len(columns) - 1)
    widths = _widths(columns, rows, room)
    for row in rows:
        pieces = [fold(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield [_line(parts, widths, columns) for parts in zip_longest(*pieces, fillvalue="")]


def is_too_narrow(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the table of `rows` would not be readable in `width` columns of text."""
    least = [
        longest if column.whole else min(longest, READABLE)
        for column, longest in zip(columns, _longest(rows, columns_of), strict=True)
    ]
    return sum(least) + len(GAP) * (len(columns) - 1) > width


def stacked_rows(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[str]]:
    """The lines of each row but the first, that of the titles, where there is no room for columns."""
    titles, *others = rows
    labels = max(map(columns_of, titles)) + len(GAP)
    for row in others:
        lines = []
        for title, cell in zip(titles, row, strict=True):
            first, *rest = fold(cell, max(8, width - labels))
            lines += [f"{title:<{labels}}{first}".rstrip(), *(f"{'':<{labels}}{piece}" for piece in rest)]
        yield lines


def _line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        blank = " " * (width - columns_of(cell))
        padded.append(blank + cell if column.align == "right" else cell + blank)
    return GAP.join(padded).rstrip()


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """How wide each column is, so that all of them take no more than `room`."""
    widths = _longest(rows, columns_of)
    if room is None or sum(widths) <= room:
        return widths
    widths = [min(width, room) for width in widths]
    for least in _floors(columns, rows, widths):
        _shrink(widths, least, room)
    return widths


def _floors(columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[list[int]]:
    """How narrow each column may get; the last resort comes last."""
    words = _longest(rows, lambda cell: least_columns(cell, 1))
    parts = _longest(rows, least_columns)
    kept = [column.whole for column in columns]
    yield _either([column.whole or column.name for column in columns], widths, words)
    yield _either(kept, widths, parts)
    yield _either(kept, words, parts)
    yield _either(kept, words, [LEAST_COLUMN] * len(columns))
    yield [LEAST_COLUMN] * len(columns)
    yield [1] * len(columns)


def _either(which: Sequence[bool], these: Sequence[int], others: Sequence[int]) -> list[int]:
    return [this if yes else other for yes, this, other in zip(which, these, others, strict=True)]


def _longest(rows: Sequence[Sequence[str]], measure: Callable[[str], int]) -> list[int]:
    return [max(map(measure, cells)) for cells in zip(*rows, strict=True)]


def _shrink(widths: list[int], least: Sequence[int], room: int) -> None:
    """Take from the widest of `widths` that are not at their `least` until there is `room` for all."""
    while sum(widths) > room:
        wide = [at for at, width in enumerate(widths) if width > least[at]]
        if not wide:
            return
        widths[max(wide, key=widths.__getitem__)] -= 1
