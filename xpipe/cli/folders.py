"""The organism files in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from xpipe.core.findings import Finding

_ENDINGS = (".yaml", ".yml")
_KEYS = [re.compile(rf"^[\"']?{key}[\"']?[ \t]*:".encode(), re.MULTILINE) for key in ("organism", "listeners")]
_MOST_BYTES = 8 << 20


class Found(NamedTuple):
    """What a search has found: files, sorted, and what was in its way."""

    files: list[str]
    findings: list[Finding]


def search(folder: str) -> Found:
    """The organism files below `folder`, be they right or wrong. One that cannot be read may be one, and counts."""
    closed: list[OSError] = []
    files = sorted(_within(folder, closed))
    findings = [_unreadable(error, folder) for error in closed]
    return Found(files, findings if files or findings else [_nothing(folder)])


def _within(folder: str, closed: list[OSError]) -> Iterator[str]:
    for parent, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__", "node_modules"))]
        for name in names:
            path = os.path.normpath(os.path.join(parent, name))
            if name.endswith(_ENDINGS) and os.path.isfile(path) and _is_organism(path):
                yield path


def _is_organism(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return True
    named = os.path.basename(path).startswith("organism")
    found = [key.search(content) is not None for key in _KEYS]
    return all(found) or (named and any(found))


def _unreadable(error: OSError, folder: str) -> Finding:
    path = os.path.normpath(error.filename or folder)
    message = f"The folder cannot be read: {error.strerror}."
    return Finding(path, 0, 0, "folder-unreadable", message, "Give yourself read access to it, or name files.")


def _nothing(folder: str) -> Finding:
    endings = " or ".join(f"*{one}" for one in _ENDINGS)
    message = f"There is no organism file in this folder: no {endings} with the keys organism and listeners."
    return Finding(folder, 0, 0, "no-organism", message, "Name the file, or make one with `xpipe init NAME`.")
