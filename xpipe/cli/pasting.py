"""Commands to paste into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence


def command_line(command: str, file: object, *options: str, overrides: Sequence[str] = ()) -> str:
    """`xpipe COMMAND FILE OPTIONS`, with the `overrides` as --set; file: "" if it is not known."""
    return shlex.join(["xpipe", *command.split(), str(file) or "ORGANISM.YAML", *options, *_set(overrides)])


def resume_command(file: object, overrides: Sequence[str] = (), inputs: Iterable[str] = ()) -> str:
    """The command that resumes unfinished work."""
    options = [word for path in inputs for word in ("--input", path)]
    return command_line("run", file, "--resume", *options, overrides=overrides)


def _set(overrides: Sequence[str]) -> list[str]:
    if not overrides:
        return []
    from xpipe.config.overrides import without_secrets

    return [word for text in overrides for word in ("--set", without_secrets(text))]
