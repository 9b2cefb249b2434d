"""Options of the commands: declared once, and what their values mean. All of it is checked before anything runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli.formats import FORMATS, format_of
from xpipe.cli.times import parse_time
from xpipe.core.errors import UsageError, reason_of

if TYPE_CHECKING:
    from xpipe.cli.sources import Send

_INPUT, _LIMITS, _OUTPUT = "Messages", "Running", "Results"
# While a run lasts, fd 1 is stderr: these paths would not lead to the stdout that the user means.
_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value of the file: PATH=VALUE (YAML), such as listeners.NAME.concurrency=4. Repeatable.",
        rich_help_panel="The organism",
        show_default=False,
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE|-",
        help="Send each document in FILE (XML, JSON or JSON Lines); - reads stdin. Repeatable.",
        rich_help_panel=_INPUT,
        show_default=False,
    ),
]
Sends = Annotated[
    list[str] | None,
    typer.Option(
        "--send",
        "-s",
        metavar="LISTENER=PAYLOAD",
        help="Send PAYLOAD (XML or JSON) to LISTENER; @FILE reads it from a file, - from stdin. Repeatable.",
        rich_help_panel=_INPUT,
        show_default=False,
    ),
]
Messages = Annotated[
    bool,
    typer.Option(
        "--messages/--no-messages",
        metavar="",
        help="Send the messages listed in the organism file.",
        rich_help_panel=_INPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Finish what earlier runs left in the backend, and continue --input files where they stopped; skip the "
        "messages listed in the organism file.",
        rich_help_panel=_INPUT,
        show_default=False,
    ),
]
Serve = Annotated[
    bool,
    typer.Option(
        "--serve",
        help="Keep running: wait for messages of `xpipe send` and other runs until Ctrl-C or SIGTERM.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers",
        "-w",
        metavar="N",
        help="Number of worker processes for cpu_bound listeners; overrides process_pool.workers.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Stop after DURATION (30, 250ms, 5m, 1h); exit with 5 if anything is unfinished.",
        rich_help_panel=_LIMITS,
        show_default=False,
    ),
]
Grace = Annotated[
    str,
    typer.Option(
        "--grace",
        metavar="DURATION",
        help="Time for running handlers to finish after Ctrl-C or SIGTERM; a second signal quits at once.",
        rich_help_panel=_LIMITS,
    ),
]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        metavar="",
        help="List every thread with its call chain instead of one row per listener.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        help="Print one JSON document: outputs, faults, threads, registry, totals, timings.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
JsonLines = Annotated[
    bool,
    typer.Option(
        "--jsonl",
        metavar="",
        help="Print outputs as JSON Lines, each as it arrives; same as --format jsonl.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE|-",
        help="Write outputs to FILE; - writes outputs, and nothing else, to stdout.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="xml|json|jsonl",
        autocompletion=lambda: list(FORMATS),
        help="Format of the outputs \\[default: from the extension of FILE, else jsonl].",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]


def parse_overrides(texts: Sequence[str] | None) -> tuple[str, ...]:
    """What each `--set` gives, looked at as far as that goes without the file. Raises UsageError."""
    for text in texts or ():
        path, equals, _ = text.partition("=")
        if not equals or not path.strip():
            from xpipe.core.secrets import redacted_line

            hint = "write it like --set listeners.NAME.concurrency=4"
            raise UsageError(f"--set {redacted_line(text)!r} is not PATH=VALUE; {hint}")
        if any("\ud800" <= one <= "\udfff" for one in text):
            raise UsageError("--set: the value is not valid UTF-8; correct it")
    return tuple(texts or ())


def parse_workers(text: str | None) -> int | None:
    """The number of worker processes. Raises UsageError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000):
        raise UsageError(f"--workers {text!r} is not a number of processes; pass 1 or more")
    return int(text)


def parse_timeout(text: str | None) -> float | None:
    """The seconds given to `--timeout`, None for no bound. Raises UsageError."""
    if text is None:
        return None
    seconds = parse_time("--timeout", text)
    if not seconds:
        raise UsageError(f"--timeout {text} leaves no time to run; pass a longer one, or omit it for no limit")
    return seconds


def check_inputs(names: Sequence[str]) -> None:
    """That every input can be opened. Raises UsageError."""
    for name in names:
        if name == "-":
            _check_stdin("--input -")
        else:
            _try(lambda name=name: _probe(name), f"--input {name}")  # type: ignore[misc]  # bound early on purpose


def _check_stdin(option: str) -> None:
    _try(lambda: os.fstat(0), option)


def _probe(name: str) -> None:
    # Opening a FIFO would wait for whoever writes to it.
    if stat.S_ISREG(os.stat(name).st_mode) or os.path.isdir(name):
        with open(name, "rb"):
            return
    if not os.access(name, os.R_OK):
        raise PermissionError(13, "Permission denied")


def _try(action: Callable[[], object], option: str) -> None:
    try:
        action()
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} cannot be read: {reason_of(error)}; pass a file, or - for stdin") from None


def parse_sends(texts: Sequence[str], option: str = "--send ") -> list[Send]:
    """What each LISTENER=PAYLOAD after `option` asks for, payloads in files and on stdin read. Raises UsageError."""
    return [_parse_send(text, option) for text in texts]


def _parse_send(text: str, option: str) -> Send:
    from xpipe.cli.sources import Send

    to, equals, payload = text.partition("=")
    if not equals or not to:
        example = f"""{option}'greeter={{"name": "Ada"}}'"""
        raise UsageError(f"{option}{text!r} is not LISTENER=PAYLOAD; write it like {example}")
    if payload == "-":
        return Send(to, _read(f"{option}{to}=-", lambda: _whole(0)), "stdin")
    if payload.startswith("@"):
        file = payload[1:]
        return Send(to, _read(f"{option}{to}=@{file}", lambda: _whole(file)), file)
    return Send(to, os.fsencode(payload), f"{option}{to}")


def _read(option: str, action: Callable[[], bytes]) -> bytes:
    data = b""

    def read() -> None:
        nonlocal data
        data = action()

    _try(read, option)
    return data


def _whole(file: int | str) -> bytes:
    with open(file, "rb", closefd=not isinstance(file, int)) as stream:
        return stream.read()


def check_one_stdin(inputs: Sequence[str], sends: Sequence[str], option: str = "--send ") -> None:
    """That stdin is asked for once at most. Raises UsageError."""
    readers = [f"--input {name}" for name in inputs if name == "-"]
    readers += [f"{option}{text}" for text in sends if text.partition("=")[2] == "-"]
    if len(readers) > 1:
        raise UsageError(f"{readers[0]} and {readers[1]} both read stdin, which can be read only once")


def choose_format(name: str | None, out: str | None, streams: bool = False) -> str | None:
    """The name of the format to write outputs in, None when they are only shown at the end. Raises UsageError.

    `streams`: they are written as they come in any case.
    """
    if name is not None and name not in FORMATS:
        raise UsageError(f"--format {name!r} is not one of {', '.join(FORMATS)}")
    if name is None and out is None:
        return "jsonl" if streams else None
    return name or format_of(out or "")


def stream_format(name: str | None, out: str | None, jsonl: bool) -> str | None:
    """What `--format` asks for, or `--jsonl` in its place. Raises UsageError."""
    if jsonl and out not in (None, "-"):
        raise UsageError(f"--jsonl prints the outputs; to write them to {out}, pass --format jsonl instead")
    if jsonl and name not in (None, "jsonl"):
        raise UsageError(f"--jsonl and --format {name} exclude each other; pass one of them")
    return "jsonl" if jsonl else name


def out_file(text: str | None, organism: str, inputs: Sequence[str]) -> str | None:
    """What `--out` names, checked: a file, `-` for stdout under any of its names, or None. Raises UsageError."""
    if text in _STDOUT:
        return "-"
    if text is not None:
        _check_out(text, organism, inputs)
    return text


def _check_out(out: str, organism: str, inputs: Sequence[str]) -> None:
    """That `out` can be written and is not read at the same time. Raises UsageError."""
    if not out:
        raise UsageError("--out names no file; pass one, or - for stdout")
    path = Path(out)
    if path.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: the folder {path.absolute().parent} does not exist; create it first")
    target = path if path.exists() else path.absolute().parent
    if not os.access(target, os.W_OK):
        raise UsageError(f"--out {out} cannot be written: Permission denied")
    if path.exists() and os.path.exists(organism) and os.path.samefile(organism, path):
        raise UsageError(f"--out {out} is the organism itself; write to another file")
    same = [name for name in inputs if name != "-" and path.exists() and os.path.samefile(name, path)]
    if same and path.is_file():
        raise UsageError(f"--out {out} is also read by --input {same[0]}; write to another file")
