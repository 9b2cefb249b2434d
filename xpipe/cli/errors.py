"""Maps errors to exit codes and messages."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from xpipe.cli.text import counted, visible
from xpipe.cli.voice import voice
from xpipe.core.errors import (
    EXIT_BUG,
    EXIT_CONFIG,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    ConfigError,
    PoolError,
    SystemLimitError,
    UsageError,
    XpipeError,
)

if TYPE_CHECKING:
    from xpipe.core.findings import Finding, Severity

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.EAGAIN)
"""The system has none left: files, processes."""
_ISSUES = "please report it with these lines and the organism.yaml"


def exit_code(error: BaseException) -> int:
    """The code of the table in README that `error` ends the command with."""
    error = _by_its_cause(error)
    if isinstance(error, ConfigError):
        return code_of_findings(error.findings)
    if isinstance(error, XpipeError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_BUG


def code_of_findings(findings: Sequence[Finding]) -> int:
    """3 for a file that is wrong; 2 if nothing but options is."""
    errors = [finding for finding in findings if finding.severity == "error"]
    return EXIT_USAGE if errors and not any(finding.line for finding in errors) else EXIT_CONFIG


def exit_code_of_signal(number: int) -> int:
    """130 after Ctrl-C, 143 after SIGTERM or a lost terminal."""
    return EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED


def explain(error: BaseException) -> str:
    """The message for `error`: one sentence with the place and what to do; for a bug also the traceback."""
    error = _by_its_cause(error)
    if isinstance(error, ConfigError):
        return _explain_findings(error)
    if isinstance(error, XpipeError):
        # What a worker process says ends with its traceback.
        return f"xpipe: {visible(str(error), keep_lines=isinstance(error, PoolError))}"
    if isinstance(error, KeyboardInterrupt):
        return "xpipe: interrupted"
    trace = "".join(traceback.format_exception(error))
    return f"{visible(trace, keep_lines=True)}xpipe: this is a bug in xpipe ({type(error).__name__}); {_ISSUES}"


def _by_its_cause(error: BaseException) -> BaseException:
    """`error`, or in its place an XpipeError if its cause is the system or the current folder, not a bug."""
    if isinstance(error, XpipeError):
        return error
    if _is_out_of_memory(error):
        return SystemLimitError("out of memory; raise the limit of this process (see `ulimit -v`), or reduce its load")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        hint = "raise the limits of this process (see `ulimit -v` and `ulimit -u`)"
        return SystemLimitError(f"the system refuses to start a thread; {hint}")
    if isinstance(error, ImportError) and (error.path or "").endswith(".so"):
        hint = "raise the memory limit of this process (see `ulimit -v`), or install xpipe again"
        return SystemLimitError(f"{error.path} cannot be loaded ({error.msg}); {hint}")
    if isinstance(error, OSError) and error.errno in _SCARCE:
        hint = "raise the limits of this process (see `ulimit -a`)"
        return SystemLimitError(f"{(error.strerror or '').lower()}; {hint}")
    if isinstance(error, FileNotFoundError) and _is_folder_gone():
        return UsageError("the current folder is gone: it was removed or replaced; change to one that exists")
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding():
        hint = "use a UTF-8 locale (LC_ALL=C.UTF-8), or set PYTHONUTF8=1"
        return UsageError(f"the locale's encoding, {error.encoding}, cannot express {error.object!a}; {hint}")
    return error


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether `error` or one of its causes is about memory."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _explain_findings(error: ConfigError) -> str:
    shown = [finding for finding in error.findings if finding.severity != "note"]
    files = {finding.file for finding in shown if finding.line}
    where = f" in {visible(files.pop())}" if len(files) == 1 else ""
    return f"{told(shown)}\n\nxpipe: {summed_up(shown)}{where}; nothing was done"


def summed_up(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`; empty if there is nothing."""
    counts = Counter(finding.severity for finding in findings)
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    return ", ".join(counted(counts[one], one) for one in severities if counts[one])


def told(findings: Sequence[Finding]) -> str:
    """`findings` as they are told on stderr."""
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.findings import finding_lines

    medium = Medium(None, color=False, live=False) if voice.json else Medium.of(2)
    return "\n".join(finding_lines(Printer(medium), findings))
