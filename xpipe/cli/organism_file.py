"""Finds the organism file of a command: an argument, XPIPE_ORGANISM, or the current folder."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from xpipe.core.errors import UsageError

NAMES = ("organism.yaml", "organism.yml")
VARIABLE = "XPIPE_ORGANISM"
ENDINGS = (".yaml", ".yml")


def complete_file(incomplete: str) -> list[str]:
    """Shell completion for an organism file: files with its extensions, and folders."""
    folder, start = os.path.split(incomplete)
    try:
        with os.scandir(folder or os.curdir) as entries:
            found = {entry.name: entry.is_dir() for entry in entries if entry.name.startswith(start)}
    except OSError:
        return []
    shown = {name: is_folder for name, is_folder in found.items() if start or not name.startswith(".")}
    return [
        os.path.join(folder, name, "") if is_folder else os.path.join(folder, name)
        for name, is_folder in sorted(shown.items())
        if is_folder or name.endswith(ENDINGS)
    ]


OrganismFile = Annotated[
    str | None,
    typer.Argument(
        metavar="ORGANISM.YAML",
        help=rf"Organism file, or a folder with one \[default: ${VARIABLE}, else ./organism.yaml].",
        show_default=False,
        autocompletion=complete_file,
    ),
]


def find_file(word: str | None, changes: bool = False) -> str:
    """The organism file that `word` means; without it the default, which is named on stderr if the command `changes`
    state. Raises UsageError."""
    file = file_at(word) if word is not None else default_file(changes) or folder_file(changes)
    if file is None:
        raise UsageError("no organism file; pass ORGANISM.YAML, or make one with `xpipe init NAME`")
    return file


def is_file(word: str) -> bool:
    """Whether `word` is an organism file, by its extension or as a folder."""
    return word.endswith(ENDINGS) or os.path.isdir(word)


def file_at(path: str) -> str:
    """`path`, or the organism file in it if it is a folder. Raises UsageError."""
    if not path:
        raise UsageError("the name of the organism file is empty; pass ORGANISM.YAML")
    if not os.path.isdir(path):
        return path
    file = _in_folder(path)
    if file is None:
        raise UsageError(f"no organism file in {path}: it has no {' or '.join(NAMES)}; pass ORGANISM.YAML")
    return file


def default_file(changes: bool = False) -> str | None:
    """The file that XPIPE_ORGANISM names, None if it is not set. Raises UsageError."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    return _taken(file_at(path), f" ({VARIABLE})", changes)


def folder_file(changes: bool = False) -> str | None:
    """The organism file of the current folder, None if there is none. Raises UsageError."""
    file = _in_folder(os.curdir)
    return None if file is None else _taken(file, "", changes)


def _in_folder(folder: str) -> str | None:
    prefix = "" if os.path.normpath(folder) == os.curdir else os.path.join(folder, "")
    found = [prefix + name for name in NAMES if os.path.lexists(prefix + name)]
    if len(found) > 1:
        raise UsageError(f"there are both {found[0]} and {found[1]}; pass one of them")
    return found[0] if found else None


def _taken(file: str, source: str, changes: bool) -> str:
    if changes:
        from xpipe.cli.text import visible
        from xpipe.cli.voice import tell

        tell(f"xpipe: using {visible(file)}{source}")
    return file
