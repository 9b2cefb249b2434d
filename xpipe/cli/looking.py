"""What the commands that look into a backend share: how many rows, and in which form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from xpipe.cli.text import number
from xpipe.cli.times import parse_time
from xpipe.core.errors import UsageError

ROWS = 50
"""Shown to people, unless they ask for more."""

SHOWING = "Showing"


def option(*names: str, help: str, panel: str, metavar: str = "", values: Sequence[str] = ()) -> Any:
    """An option whose default needs no telling. values: those that a shell completes, all that there are.

    With neither a metavar nor values it is a flag.
    """
    return typer.Option(
        *names,
        metavar=metavar or "|".join(values),
        help=help,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=(lambda: list(values)) if values else None,
    )


Json = Annotated[bool, option("--json", help="Print one JSON document.", panel=SHOWING)]
JsonLines = Annotated[bool, option("--jsonl", help="Print JSON Lines, each row as it is read.", panel=SHOWING)]


def limit(what: str, most: int) -> Any:
    """An option for the maximum number of `what`, `most` by default."""
    help = rf"Maximum number of {what} \[default: {most}; no limit with --json and --jsonl]."
    return option("--limit", "-n", metavar="N|all", help=help, panel=SHOWING)


Limit = Annotated[str | None, limit("rows", ROWS)]


class Form(NamedTuple):
    """How something is shown. most: rows, None for all. With neither `json` nor `jsonl` it is for people."""

    most: int | None
    json: bool
    jsonl: bool


def parse_form(limit: str | None, json: bool, jsonl: bool) -> Form:
    """The form that the options ask for. Raises UsageError."""
    if json and jsonl:
        raise UsageError("--json and --jsonl exclude each other; pass only one")
    if limit is None:
        return Form(None if json or jsonl else ROWS, json, jsonl)
    if limit == "all":
        return Form(None, json, jsonl)
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 10**9):
        raise UsageError(f"--limit {limit!r} is not a number of rows; pass 1 or more, or all")
    return Form(int(limit), json, jsonl)


def parse_age(text: str | None) -> float | None:
    """The seconds given to `--older-than`. Raises UsageError."""
    return None if text is None else parse_time("--older-than", text)


def check_states(states: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """The `states`, all of them known. Raises UsageError."""
    chosen, options = frozenset(states), list(known)
    for state in sorted(chosen.difference(options)):
        raise UsageError(f"--state {state!r} is not one of {', '.join(options)}")
    return chosen


def shown_of(shown: int, total: int, what: str) -> str:
    """`50 of 10 000 threads`, and how to see the others; without those `3 threads`."""
    if shown == total:
        return f"{number(total)} {what if total == 1 else what + 's'}"
    return f"{number(shown)} of {number(total)} {what}s; --limit N or --limit all shows more"
