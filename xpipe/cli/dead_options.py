"""Which dead letters a command means."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli.looking import option
from xpipe.cli.times import parse_time
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.inspection.dead_letters import LetterFilter

_WHICH = "Which dead letters"

Number = Annotated[
    str | None,
    typer.Argument(metavar="NUMBER", help="Number of the dead letter, as `list` shows it.", show_default=False),
]
Numbers = Annotated[
    list[str] | None,
    typer.Argument(metavar="NUMBER", help="Numbers of dead letters, as `list` shows them.", show_default=False),
]
Listeners = Annotated[
    list[str] | None,
    option("--listener", "-l", metavar="NAME", help="Only messages for this listener. Repeatable.", panel=_WHICH),
]
Codes = Annotated[
    list[str] | None,
    option("--code", metavar="CODE", help="Only those with this fault code. May be repeated.", panel=_WHICH),
]
OlderThan = Annotated[
    str | None,
    option(
        "--older-than", metavar="DURATION", help="Only those at least DURATION old: 30s, 10m, 2h, 1d.", panel=_WHICH
    ),
]
NewerThan = Annotated[
    str | None,
    option("--newer-than", metavar="DURATION", help="Only those at most DURATION old.", panel=_WHICH),
]
All = Annotated[bool, option("--all", help="All of them.", panel=_WHICH)]


def parse_number(text: str) -> int:
    """The number of a dead letter. Raises UsageError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UsageError(f"{text!r} is not the number of a dead letter; `xpipe dead list` shows their numbers")
    return int(text)


def parse_filter(
    listeners: Sequence[str] | None, codes: Sequence[str] | None, older_than: str | None, newer_than: str | None
) -> LetterFilter:
    """The filter that the options ask for. Raises UsageError."""
    from xpipe.inspection.dead_letters import LetterFilter

    now = time.time()
    after = None if newer_than is None else now - parse_time("--newer-than", newer_than)
    before = None if older_than is None else now - parse_time("--older-than", older_than)
    return LetterFilter(None, frozenset(listeners or ()), frozenset(codes or ()), after, before)


def parse_choice(numbers: Sequence[str], filter: LetterFilter, all: bool) -> LetterFilter:
    """Which ones are to be changed: `numbers`, or what `filter` takes, or `all`; one of them. Raises UsageError."""
    from xpipe.inspection.dead_letters import LetterFilter

    given = [bool(numbers), not filter.takes_all, all]
    if not any(given):
        raise UsageError("no dead letters; pass their numbers, a filter such as --listener, or --all")
    if sum(given) > 1:
        raise UsageError("pass only one of numbers, filters and --all")
    return LetterFilter(frozenset(map(parse_number, numbers))) if numbers else filter
