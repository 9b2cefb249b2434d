"""`xpipe check`: the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xpipe.cli import options
from xpipe.cli.looking import SHOWING, option
from xpipe.cli.organism_file import VARIABLE, complete_file, find_file
from xpipe.core.errors import UsageError

EXAMPLES = """[bold]Examples[/bold]

  xpipe check

  xpipe check . --no-imports --strict

  xpipe check organism.yaml --connect --set backend.redis_url=redis://localhost:6379/0

  xpipe check organism.yaml --format json | jq '.findings[].code'

  xpipe check . --format github"""

FORMATS = ("text", "json", "github")
_PHASES = "What is checked"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help=rf"Organism files, or folders to search for them \[default: ${VARIABLE}, else ./organism.yaml].",
        show_default=False,
        autocompletion=complete_file,
    ),
]
Imports = Annotated[
    bool,
    typer.Option(
        "--imports/--no-imports",
        metavar="",
        help="Import the handlers and check them; --no-imports runs none of your code.",
        rich_help_panel=_PHASES,
    ),
]
Connect = Annotated[
    bool,
    option(
        "--connect",
        help="Connect to the backend, and start a worker process if a listener is cpu_bound.",
        panel=_PHASES,
    ),
]
Strict = Annotated[bool, option("--strict", help="Exit with 1 on warnings, too.", panel=_PHASES)]
FormatName = Annotated[
    str | None,
    option(
        "--format",
        "-f",
        values=FORMATS,
        help="Output format; github prints workflow commands for GitHub Actions \\[default: text].",
        panel=SHOWING,
    ),
]
Json = Annotated[bool, option("--json", help="Same as --format json.", panel=SHOWING)]


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What shall be checked, and how; every value but the paths is checked."""

    paths: tuple[str, ...]
    overrides: tuple[str, ...]
    imports: bool
    connect: bool
    strict: bool
    format: str


def check(
    files: Files = None,
    set: options.Overrides = None,
    imports: Imports = True,
    connect: Connect = False,
    strict: Strict = False,
    format: FormatName = None,
    json: Json = False,
) -> int:
    """Validate organism files and report every problem at once.

    Checks syntax, keys and values, rules across listeners, handlers, payloads under messages, and with --connect the
    backend and worker processes.

    Exit codes: 0 fine or warnings only, 1 errors in a file that can be loaded, 2 wrong options, 3 bad organism.yaml.
    """
    if json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} exclude each other; pass one of them")
    paths = tuple(files) if files else (find_file(None),)
    if "" in paths:
        raise UsageError("a file name is empty; pass a file or a folder")
    named = "json" if json else format or "text"
    if named not in FORMATS:
        raise UsageError(f"--format {named!r} is not one of {', '.join(FORMATS)}")
    plan = CheckPlan(paths, options.parse_overrides(set), imports, connect, strict, named)
    from xpipe.cli.checking import execute

    return execute(plan)
