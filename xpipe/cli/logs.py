"""Records of `logging` and what handlers print, told as xpipe's own words are."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator

from xpipe.cli.leaving import Leaving
from xpipe.cli.text import visible
from xpipe.cli.voice import LEVELS, json_record, voice, write
from xpipe.core.module_names import plain_names
from xpipe.core.secrets import redacted
from xpipe.runtime import speech
from xpipe.runtime.current import Where
from xpipe.runtime.responses import exact

PRINTED = "print"
"""The name of the logger, in JSON, of what is printed."""


class Told(logging.Handler):
    """Tells records on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < voice.least:
            return
        message = "\n".join(filter(None, [speech.message_of(record), speech.trace_of(record)]))
        message = redacted(message)
        place: Where | None = getattr(record, "xpipe", None)
        if voice.json:
            level = record.levelname.lower()
            write(json_record(record.created, level, exact(plain_names(record.name)), message, fields(place)))
        else:
            write(_text(record, message, place))


def fields(where: Where | None) -> dict[str, object]:
    """`where` as JSON has it."""
    if where is None:
        return {}
    return {
        "conversation": where.conversation,
        "thread": where.thread,
        "listener": where.listener,
        "hop": where.hop,
        "attempt": where.attempt,
    }


def _text(record: logging.LogRecord, message: str, where: Where | None) -> str:
    level = "" if record.levelno == LEVELS["info"] else f"{record.levelname.lower()}: "
    first, *others = visible(message.expandtabs(), keep_lines=True).split("\n")
    known = () if _is_ours(record.name) else ("listener",)  # That begins the line.
    names = "".join(f" {name}={visible(str(value))}" for name, value in fields(where).items() if name not in known)
    head = f"{_speaker(record.name, where)}{level}{first}{f'  [{names.strip()}]' if names else ''}"
    lead = f"{_clock(record.created)}  " if voice.least <= LEVELS["debug"] else ""
    return "\n".join([f"{lead}{head}", *(f"{_speaker(record.name, where)}{line}" for line in others)])


def _speaker(logger: str, where: Where | None) -> str:
    if _is_ours(logger):
        return "xpipe: "
    return f"{visible(where.listener)}| " if where is not None else f"{visible(plain_names(logger))}: "


def _is_ours(logger: str) -> bool:
    return logger.partition(".")[0] == "xpipe"


def _clock(at: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"


def tell_printed(said: speech.Said) -> None:
    """Tell a line that was printed."""
    level = "warning" if said.error else "info"
    if LEVELS["warning" if said.error else "info"] < voice.least:
        return
    if voice.json:
        write(json_record(time.time(), level, PRINTED, said.line, fields(said.where)))
    elif said.where is not None:
        write(f"{visible(said.where.listener)}| {visible(said.line.expandtabs())}")
    else:
        write(said.line)


def _open_closed() -> None:
    """A stream that whoever started us has closed is None; what is printed there shall vanish, not fail."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # It stays.
    if sys.stdout is None:
        sys.stdout = sys.stderr


def take_in_records() -> None:
    """From now on records of `logging` are told as the voice of this process is set."""
    root = logging.getLogger()
    if not any(isinstance(one, Told) for one in root.handlers):
        root.addHandler(Told())
        root.setLevel(max(voice.least, LEVELS["warning"]) if voice.least > LEVELS["debug"] else LEVELS["debug"])
        logging.getLogger("asyncio").setLevel(max(root.level, LEVELS["info"]))


@contextlib.contextmanager
def taken_in() -> Iterator[None]:
    """Tell what is logged and printed meanwhile, in worker processes too; user code is loaded and run in here."""
    if speech.is_taken_over():
        yield
        return
    Leaving.orderly = True
    take_in_records()
    speech.mark_records()
    _open_closed()
    voice.stream = sys.stderr
    speech.take_over(tell_printed)
    try:
        yield
    finally:
        speech.give_back()
        voice.stream = None
