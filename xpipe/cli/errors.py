"""Errors and exit codes: the one place that maps them, and the one that words them."""

from __future__ import annotations

import signal
import sys
import traceback

from xpipe.cli.text import visible
from xpipe.core.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    ConfigError,
    PoolError,
    XpipeError,
)

_ISSUES = "please report it with these lines and the organism.yaml"


def exit_code(error: BaseException) -> int:
    """The code of the table in README that `error` ends the command with."""
    if isinstance(error, XpipeError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_BUG


def exit_code_of_signal(number: int) -> int:
    """130 after Ctrl-C, 143 after SIGTERM or a lost terminal."""
    return EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED


def explain(error: BaseException) -> str:
    """What a user is told about `error`: one sentence, where, and what to do; for a bug also where in xpipe."""
    if isinstance(error, ConfigError):
        return _explain_findings(error)
    if isinstance(error, XpipeError):
        # What a worker process says ends with its traceback.
        return f"xpipe: {visible(str(error), keep_lines=isinstance(error, PoolError))}"
    if isinstance(error, KeyboardInterrupt):
        return "xpipe: interrupted"
    trace = "".join(traceback.format_exception(error))
    return f"{visible(trace, keep_lines=True)}xpipe: this is a bug in xpipe ({type(error).__name__}); {_ISSUES}"


def _explain_findings(error: ConfigError) -> str:
    lines = [visible(str(finding)) for finding in error.findings]
    count = sum(finding.severity == "error" for finding in error.findings)
    files = {finding.file for finding in error.findings}
    where = f" in {visible(files.pop())}" if len(files) == 1 else ""
    return "\n".join([*lines, f"xpipe: {count} {'error' if count == 1 else 'errors'}{where}; nothing was done"])


def tell(text: str) -> None:
    """Write `text` to stderr; a closed stderr is nobody's problem."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
