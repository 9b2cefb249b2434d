"""`xpipe init`: the command."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from xpipe.cli.voice import tell
from xpipe.core.errors import EXIT_OK, UsageError

EXAMPLES = """[bold]Examples[/bold]

  xpipe init weather

  xpipe init pipelines/weather && cd pipelines/weather && xpipe run"""

FILES = ("organism.yaml", "handlers.py", "input.jsonl", "test_organism.py", "README.md")
_TEMPLATES = Path(__file__).with_name("templates")
_PLACEHOLDER = "__NAME__"
_NAME = re.compile(r"[^\W_][\w.-]{0,99}")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Folder to create or to fill; its last part names the organism.",
        show_default=False,
    ),
]


def init(name: Name) -> int:
    """Create a folder with a small organism: organism.yaml, handlers, sample input, tests.

    It runs and passes its tests as generated. Existing files are never overwritten.

    Exit codes: 0 fine, 2 invalid name, or files exist already.
    """
    folder, shown = _folder(name)
    if not name or not _NAME.fullmatch(folder.name):
        allowed = "letters, digits, _, - and dots, starting with a letter or a digit"
        raise UsageError(f"{folder.name if name else name!r} is not a name for an organism; use {allowed}")
    there = [file for file in FILES if os.path.lexists(folder / file)]
    if there:
        raise UsageError(
            f"{name} already has {_listed(there)}, and existing files are never overwritten; pass another name"
        )
    try:
        _make(folder)
    except OSError as error:
        raise UsageError(f"cannot create {error.filename or name}: {error.strerror}; pass another folder") from None
    _tell_what_next(shown)
    return EXIT_OK


def _folder(name: str) -> tuple[Path, str]:
    """The folder called `name`, and how it is shown. What stands before a `..` has to be there. Raises UsageError."""
    parts = Path(name).parts
    if ".." not in parts:
        return Path(os.path.abspath(name)), name
    for at in range(1, len(parts)):
        before = os.path.join(*parts[:at])
        if parts[at] == ".." and not os.path.isdir(before):
            raise UsageError(f"{name} leads through {before}, which is not a folder; pass another one")
    folder = os.path.realpath(name)
    return Path(folder), os.path.relpath(folder)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        text = (_TEMPLATES / file).read_text(encoding="utf-8")
        with open(folder / file, "x", encoding="utf-8") as made:
            made.write(text.replace(_PLACEHOLDER, folder.name))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _tell_what_next(name: str) -> None:
    import shlex

    tell(f"xpipe: created {_listed([os.path.normpath(os.path.join(name, file)) for file in FILES])}")
    steps = (
        *([] if os.path.samefile(name, os.curdir) else [(f"cd {shlex.quote(name)}", "")]),
        ("xpipe run", "send the message in organism.yaml"),
        ("xpipe run --input input.jsonl", "send each line of a file"),
        ("xpipe check", "validate the organism"),
        ("xpipe graph", "show who calls whom"),
        ("pip install pytest && pytest", "run the tests"),
    )
    tell("Next:")
    for command, about in steps:
        tell(f"  {command:46}{about}".rstrip())
