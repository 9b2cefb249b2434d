"""Commands that are told of to be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence


def resume_command(file: object, overrides: Sequence[str] = (), inputs: Iterable[str] = ()) -> str:
    """The command that goes on with what is unfinished; file: "" if it is not known."""
    words = [word for path in inputs for word in ("--input", path)]
    return shlex.join(["xpipe", "run", str(file) or "ORGANISM.YAML", "--resume", *words, *_set(overrides)])


def outputs_command(file: object, overrides: Sequence[str] = ()) -> str:
    """The command that shows what was answered."""
    return shlex.join(["xpipe", "outputs", str(file), *_set(overrides)])


def _set(overrides: Sequence[str]) -> list[str]:
    if not overrides:
        return []
    from xpipe.config.overrides import without_secrets

    return [word for text in overrides for word in ("--set", without_secrets(text))]
