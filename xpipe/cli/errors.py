"""Errors and exit codes: the one place that maps them, and the one that words them."""

from __future__ import annotations

import signal
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
    XpipeError,
)

if TYPE_CHECKING:
    from xpipe.core.findings import Finding, Severity

_ISSUES = "please report it with these lines and the organism.yaml"


def exit_code(error: BaseException) -> int:
    """The code of the table in README that `error` ends the command with."""
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
