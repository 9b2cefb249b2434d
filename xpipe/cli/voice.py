"""What xpipe tells on stderr: how much of it, and in which form. stdout is for data, which never goes through here."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TextIO

import typer

from xpipe.core.errors import UsageError

Level = Literal["debug", "info", "warning", "error"]
LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""As `logging` counts."""
FORMATS = ("text", "json")
_PANEL = "Logging"


def _option(*names: str, metavar: str, help: str, **others: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=_PANEL, show_default=False, **others)


Quiet = Annotated[bool, _option("--quiet", "-q", metavar="", help="Only log errors.")]
Verbose = Annotated[bool, _option("--verbose", "-v", metavar="", help="Log every step.")]
LogFormat = Annotated[
    str | None,
    _option(
        "--log-format",
        metavar="text|json",
        help="Log as text, or as JSON with one object a line \\[default: text]. Output that bypasses Python's print "
        "and logging (os.write, child processes) stays as it is.",
        autocompletion=lambda: list(FORMATS),
    ),
]


class Voice:
    """least: the level below which nothing is told; json: one object a line; stream: None for sys.stderr."""

    least: int = LEVELS["info"]
    json: bool = False
    stream: TextIO | None = None


voice = Voice()
"""That of this process."""


def set_voice(quiet: bool, verbose: bool, log_format: str | None) -> None:
    """Tell things as the options ask for; those that are left out change nothing. Raises UsageError."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; pass only one")
    if log_format is not None and log_format not in FORMATS:
        raise UsageError(f"--log-format {log_format!r} is not one of {', '.join(FORMATS)}")
    if quiet or verbose:
        voice.least = LEVELS["error" if quiet else "debug"]
    if log_format is not None:
        voice.json = log_format == "json"


def tell(text: str, level: Level = "info") -> None:
    """Tell people, or with `--log-format json` programs, `text` on stderr, without credentials."""
    if LEVELS[level] < voice.least:
        return
    from xpipe.core.secrets import redacted  # Most commands tell nothing.

    text = redacted(text)
    if voice.json:
        write(json_record(time.time(), level, "xpipe", text.removeprefix("xpipe: ")))
    else:
        write(text)


def json_record(when: float, level: str, logger: str, message: str, fields: Mapping[str, object] | None = None) -> str:
    """What is told as one line of JSON."""
    from xpipe.cli.formats import encode_json
    from xpipe.cli.times import iso

    record = {"time": iso(when), "level": level, "logger": logger, "message": message, **(fields or {})}
    return encode_json(record).decode()


def write(line: str) -> None:
    """Write `line` to stderr at once; a closed stderr is nobody's problem."""
    stream = voice.stream or sys.stderr
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return
