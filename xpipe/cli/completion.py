"""Completion by shells: what they are told, and the options that set it up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from xpipe.core.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
_OPTIONS = {
    "--install-completion": "Install completion for the current shell, or the one named.",
    "--show-completion": "Print the completion script.",
}
_VARIABLE = "_XPIPE_COMPLETE"


def keep_lines_whole() -> None:
    """Where a shell asks, keep what it is told about a candidate on one line: it takes each line for a candidate."""
    if _VARIABLE in os.environ:
        os.environ.update(COLUMNS="100000", TERM="")  # A dumb terminal would have 80 columns.


def with_shell(arguments: Sequence[str]) -> list[str]:
    """`arguments` with a word after each of the options, which may do without one: "" for the shell at hand."""
    words = list(arguments)
    count = next((at for at, word in enumerate(words) if not word.startswith("-")), len(words))
    for at in reversed(range(count)):
        if words[at] in _OPTIONS and (at + 1 == len(words) or at + 1 < count):
            words.insert(at + 1, "")
    return words


def is_completion(param: Any) -> bool:
    """Whether `param` is one of the options."""
    return bool(_OPTIONS.keys() & param.opts)


def take_shell(param: Any) -> None:
    """Let `param`, made as a flag, take the name of a shell."""
    param.is_flag = param.is_bool_flag = False
    param.metavar = f"[{'|'.join(SHELLS)}]"
    param.help = _OPTIONS[param.opts[0]]


def read_shell(word: str) -> str | bool:
    """The shell that is named, True for the one at hand. Raises UsageError."""
    if word and word not in SHELLS:
        raise UsageError(f"there is no completion for the shell {word!r}; name one of {', '.join(SHELLS)}")
    return word or True
