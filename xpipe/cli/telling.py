"""The end of a run: what is printed where, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import IO

from xpipe.cli.account import Account
from xpipe.cli.console import Medium, Printer
from xpipe.cli.errors import exit_code, exit_code_of_signal, explain
from xpipe.cli.harvest import Harvest, OutputStream
from xpipe.cli.outlet import Descriptor
from xpipe.cli.pasting import resume_command
from xpipe.cli.report import Report, summary
from xpipe.cli.run import Plan
from xpipe.cli.session import End, Reason
from xpipe.cli.text import counted, visible
from xpipe.cli.voice import tell
from xpipe.core.durations import format_duration
from xpipe.core.errors import EXIT_FAULT, EXIT_OK, EXIT_UNFINISHED, XpipeError

_CHUNK = 1 << 16


@dataclass(slots=True)
class Result:
    """All that a run left. `error` ended it; `account` is None when it did not even start.

    told: the outputs have been printed; printed: how many of each conversation, None for all of them.
    """

    end: End
    error: XpipeError | None
    account: Account | None
    harvest: Harvest
    stream: OutputStream | None
    document: IO[bytes] | None
    told: bool = False
    printed: Mapping[str, int] | None = None


def finish(plan: Plan, stdout: Descriptor, result: Result) -> int:
    """Write what is still to be written to `stdout`, tell the rest on stderr; the exit code."""
    try:
        if result.stream is not None:
            result.stream.close()
        if result.account is not None:
            if _resumed_nothing(plan, result, result.account):
                tell("xpipe: nothing to resume: all conversations are finished, all outputs printed, all input read")
            _print(plan, stdout, result, result.account)
        broken = result.stream.outlet.broken if result.stream is not None else stdout.broken
        result.told = result.account is not None and not broken
    except XpipeError as error:
        result.error = result.error or error
    for line in _remarks(plan, result):
        tell(line, "error")
    return verdict(result)


def _resumed_nothing(plan: Plan, result: Result, account: Account) -> bool:
    done = account.totals.conversations or account.totals.outputs
    return plan.resume and not done and result.error is None and result.end.reason is Reason.FINISHED


def verdict(result: Result) -> int:
    """The exit code of a run."""
    if result.end.reason is Reason.SIGNAL:
        return exit_code_of_signal(result.end.signal)
    if result.error is not None:
        return exit_code(result.error)
    if result.end.reason is Reason.TIMED_OUT:
        return EXIT_UNFINISHED
    return EXIT_FAULT if result.harvest.fault_outputs or result.harvest.unheard else EXIT_OK


def _print(plan: Plan, stdout: Descriptor, result: Result, account: Account) -> None:
    if result.document is not None:
        result.document.seek(0)
        while chunk := result.document.read(_CHUNK):
            stdout.write(chunk)
    elif plan.data_on_stdout:
        tell(f"xpipe: {summary(account)}")
    elif account.totals.conversations or result.error is not None:
        report = Report(Printer(Medium.of(stdout.number)), account, result.harvest, plan)
        _write_lines(stdout, report.lines())
        result.printed = report.printed if report.cut else None


def _write_lines(stdout: Descriptor, lines: Iterable[str]) -> None:
    rest = iter(lines)
    while chunk := list(islice(rest, 500)):
        stdout.write("".join(f"{line}\n" for line in chunk).encode("utf-8", "backslashreplace"))


def _remarks(plan: Plan, result: Result) -> Iterator[str]:
    for one in result.harvest.first_unheard:
        fault = visible(f"{one.fault.origin}: {one.fault.code}: {one.fault.text}")
        yield f"xpipe: a fault reached nobody, in conversation {one.conversation}: {fault}"
    if result.harvest.unheard > len(result.harvest.first_unheard):
        more = result.harvest.unheard - len(result.harvest.first_unheard)
        yield f"xpipe: and {counted(more, 'more unreported fault')}"
    if result.harvest.unwritable:
        answers = counted(result.harvest.unwritable, "answer")
        yield f"xpipe: {answers} could not be written; a fault that says why replaces each"
    if result.account is not None and (result.end.reason is not Reason.FINISHED or _ended_early(result)):
        yield _unfinished(plan, result.end, result.account)
    if result.error is not None:
        yield explain(result.error)


def _ended_early(result: Result) -> bool:
    return result.error is not None and result.account is not None and result.account.totals.unfinished > 0


def _unfinished(plan: Plan, end: End, account: Account) -> str:
    count = account.totals.unfinished
    ids = ", ".join(account.unfinished)
    others = f" and {count - len(account.unfinished)} more" if count > len(account.unfinished) else ""
    left = f"{counted(count, 'conversation')} unfinished: {ids}{others}"
    begun = left if count else "all conversations started so far are finished"
    more = ", with messages left to send" if end.more else ""
    return f"xpipe: {_why(plan, end)}{more}; {begun}{_how_to_go_on(plan, end, account)}"


def _why(plan: Plan, end: End) -> str:
    match end.reason:
        case Reason.SIGNAL:
            return "interrupted"
        case Reason.TIMED_OUT:
            return f"not finished within {format_duration(plan.timeout or 0.0)}"
        case Reason.FINISHED:
            return "not finished"


def _how_to_go_on(plan: Plan, end: End, account: Account) -> str:
    """How to finish what is left; stdin cannot be read again."""
    files = [path for path in plan.inputs if path != "-"] if end.more else []
    if not (account.totals.unfinished or files):
        return ""
    if not account.lasts:
        return "; they cannot be resumed, the backend keeps no state" if account.totals.unfinished else ""
    return f"; resume with: {resume_command(plan.file, plan.overrides, files)}"
