"""What handlers print and log: whole lines and records, each with the hop it comes from.

In a worker process both go to the pump as frames, so that one process writes all of it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO, cast

import msgspec

from xpipe.runtime import forks
from xpipe.runtime.current import UnderWay, Where, current, where
from xpipe.runtime.responses import exact, user_traceback

LONGEST = 1 << 16
"""Characters of a line; what is longer is said in pieces."""


class Said(msgspec.Struct, array_like=True, tag="said", tag_field="frame"):
    """A line that was printed. `error`: to stderr."""

    line: str
    error: bool
    where: Where | None


class Logged(msgspec.Struct, array_like=True, tag="logged", tag_field="frame"):
    """A record of `logging`."""

    logger: str
    level: int
    message: str
    at: float
    trace: str
    where: Where | None


Say = Callable[[Said], None]


class Speech:
    """In the place of sys.stdout or sys.stderr: gives whole lines to `say`, and everything else to the stream `under`.

    Lines of different hops never mix. What is left of a line when its hop ends is said then.
    """

    def __init__(self, under: TextIO, error: bool, say: Say) -> None:
        self.under = under
        self.error = error
        self.say = say
        self._unended: dict[int, tuple[UnderWay | None, str]] = {}
        self._lock = threading.Lock()
        forks.watch(self)

    def forked(self) -> None:
        """In a forked process: another thread may have held the lock, and buffered output belongs to the parent."""
        self._lock = threading.Lock()
        self._unended.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        hop = current.get()
        key = id(hop) if hop is not None else -threading.get_ident()
        with self._lock:
            _, before = self._unended.pop(key, (hop, ""))
            *lines, rest = (before + text).split("\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], ""
            if rest:
                self._unended[key] = hop, rest  # This keeps the hop, and with it the key its own.
        for line in lines:
            self._say_line(hop, line)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def end(self, hop: UnderWay) -> None:
        """`hop` says no more."""
        if self._unended:
            _, rest = self._unended.pop(id(hop), (hop, ""))
            if rest:
                self._say_line(hop, rest)

    def end_all(self) -> None:
        """Nobody says any more."""
        while self._unended:
            _, (hop, rest) = self._unended.popitem()
            self._say_line(hop, rest)

    def _say_line(self, hop: UnderWay | None, line: str) -> None:
        self.say(Said(exact(line).removesuffix("\r"), self.error, None if hop is None else hop.where()))


_taken: list[Speech] = []
"""The streams that are taken over in this process."""


def take_over(say: Say) -> None:
    """From now on `say` gets what is printed in this process; and in the worker processes that it starts."""
    out, error = Speech(sys.stdout, False, say), Speech(sys.stderr, True, say)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, error)
    _taken.extend((out, error))


def give_back(say_left: bool = True) -> None:
    """Take nothing over any more."""
    for relay in [one for one in logging.getLogger().handlers if isinstance(one, Relay)]:
        logging.getLogger().removeHandler(relay)
    while _taken:
        speech = _taken.pop()
        if say_left:
            speech.end_all()
        if sys.stdout is speech:
            sys.stdout = speech.under
        if sys.stderr is speech:
            sys.stderr = speech.under


def is_taken_over() -> bool:
    """Whether what is printed here is given to somebody."""
    return bool(_taken)


def relay(send: Callable[[Said | Logged], None], prints: bool, level: int) -> None:
    """Be a worker process: send what is printed, if that is wanted, and each record from `level` on."""
    if prints:
        take_over(send)
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(Relay(send))
    mark_records()


def end(hop: UnderWay) -> None:
    """The handler of `hop` has ended."""
    for speech in _taken:
        speech.end(hop)


def repeat(content: Said | Logged) -> None:
    """Say again in this process what was said in a worker process."""
    if isinstance(content, Said):
        for speech in _taken:
            if speech.error == content.error:
                speech.say(content)
        return
    logger = logging.getLogger(content.logger)
    if logger.isEnabledFor(content.level):
        logger.handle(_record(content))


def _record(logged: Logged) -> logging.LogRecord:
    name, level = logged.logger, logged.level
    record = logging.LogRecord(name, level, "", 0, logged.message, None, None)
    record.created, record.msecs = logged.at, logged.at % 1 * 1000
    record.exc_text = logged.trace or None
    record.xpipe = logged.where
    return record


class Relay(logging.Handler):
    """Gives records to `send`."""

    def __init__(self, send: Callable[[Logged], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        at, place = record.created, getattr(record, "xpipe", None)
        self._send(Logged(exact(record.name), record.levelno, message_of(record), at, trace_of(record), place))


def message_of(record: logging.LogRecord) -> str:
    """The text of `record`. Arguments that do not fit or raise are the user's mistake and must not end the run."""
    try:
        return exact(record.getMessage())
    except BaseException:
        pass
    try:
        return exact(f"{record.msg} {record.args}")
    except BaseException:
        return "(a record that cannot be formatted)"


def trace_of(record: logging.LogRecord) -> str:
    """The traceback and the stack that `record` was made with, "" for none."""
    trace = record.exc_text or ""
    if record.exc_info and not trace:
        try:
            trace = logging.Formatter().formatException(record.exc_info)
        except BaseException:  # The exception's attributes are the user's.
            trace = user_traceback(record.exc_info[1]) if record.exc_info[1] is not None else ""
    return exact("\n".join(filter(None, [trace.rstrip("\n"), record.stack_info])))


def mark_records() -> None:
    """From now on each record has an attribute `xpipe`: the Where that it was made in, or None."""
    make = logging.getLogRecordFactory()

    def make_marked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.xpipe = where()
        return record

    logging.setLogRecordFactory(make_marked)
