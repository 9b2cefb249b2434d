"""`xpipe check` from its plan to its exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xpipe.cli.check import CheckPlan
from xpipe.cli.emitting import Emitter
from xpipe.cli.errors import code_of_findings, summed_up
from xpipe.cli.folders import Found, search
from xpipe.cli.text import counted, visible
from xpipe.cli.voice import tell
from xpipe.config.imports import forget
from xpipe.config.loading import Examined, examine
from xpipe.config.nodes import ScalarNode
from xpipe.core.errors import EXIT_FAULT, EXIT_OK, XpipeError
from xpipe.core.findings import Finding
from xpipe.core.organism import OrganismDefinition


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, or a folder, with all that was found; `definition` is None if `xpipe run` would not load it."""

    file: str
    findings: list[Finding]
    definition: OrganismDefinition | None

    def code(self, strict: bool) -> int:
        """What `xpipe run` would end with for a file that it does not load; 1 for what it would not see."""
        if self.definition is None:
            return code_of_findings(self.findings)
        counting = ("error", "warning") if strict else ("error",)
        return EXIT_FAULT if any(finding.severity in counting for finding in self.findings) else EXIT_OK


def execute(plan: CheckPlan) -> int:
    """Check what `plan` says and print what is wrong with it; the exit code."""
    emitter = Emitter()
    checked = check_files(plan)
    _print(emitter, [finding for one in checked for finding in one.findings], plan.format)
    for one in checked:
        _sum_up(one, plan)
    return worst_code(checked, plan.strict)


def check_files(plan: CheckPlan) -> list[Checked]:
    """Each file that `plan` names, and those in folders that it names; what is in the way there is checked, too."""
    found = {path: search(path) if os.path.isdir(path) else Found([path], []) for path in plan.paths}
    for path, (files, _) in found.items():
        if os.path.isdir(path) and files:
            tell(f"xpipe: {visible(path)}: {counted(len(files), 'organism file')} found")
    closed = [Checked(one.file, [one], None) for _, findings in found.values() for one in findings]
    named = dict.fromkeys(file for files, _ in found.values() for file in files)
    return [*closed, *(one for file in named for one in _check_alone(file, plan))]


def worst_code(checked: Iterable[Checked], strict: bool) -> int:
    """The exit code of the worst of the files."""
    return max((one.code(strict) for one in checked), default=EXIT_OK)


def _check_alone(file: str, plan: CheckPlan) -> Iterator[Checked]:
    """Check `file` as if no other organism had been loaded in this process."""
    yield _check(file, plan)
    forget(os.path.dirname(os.path.abspath(file)))


def _check(file: str, plan: CheckPlan) -> Checked:
    with _heard() if plan.imports else contextlib.nullcontext():
        examined = examine(file, imports=plan.imports, overrides=plan.overrides, messages=True)
        if plan.connect and examined.definition is not None:
            _check_surroundings(examined, examined.definition, plan.imports)
    return Checked(file, examined.findings, examined.definition)


def _heard() -> contextlib.AbstractContextManager[None]:
    """What the code prints while it is imported is told as what handlers print."""
    from xpipe.cli.logs import taken_in

    return taken_in()


def _check_surroundings(examined: Examined, definition: OrganismDefinition, imports: bool) -> None:
    from xpipe.assembly.environment import check_backend, check_workers

    try:
        check_backend(definition)
    except XpipeError as error:
        _report(examined, "backend", "no-backend", error)
    try:
        if imports:
            check_workers(definition)
    except XpipeError as error:
        _report(examined, "process_pool", "no-workers", error)


def _report(examined: Examined, section: str, code: str, error: XpipeError) -> None:
    """Report `error` where the file has `section`, else at its beginning."""
    what = "The backend cannot be used" if section == "backend" else "No worker process can be used"
    entries = examined.shape.get(section)
    place = entries[0].node if entries else ScalarNode(1, 1, "", "", None)
    said, _, hint = " ".join(str(error).split()).rstrip(".").partition("; ")
    examined.report.add(place, code, f"{what}: {said}.", f"{hint[:1].upper()}{hint[1:]}." if hint else "")


def _print(emitter: Emitter, findings: list[Finding], format: str) -> None:
    if not findings and format != "json":
        return
    from xpipe.cli.findings import finding_lines, finding_row, workflow_command

    if format == "json":
        emitter.json({}, "findings", map(finding_row, findings))
    elif format == "github":
        emitter.lines(map(workflow_command, findings))
    else:
        from xpipe.cli.console import Medium, Printer

        emitter.lines(finding_lines(Printer(Medium.of(emitter.stdout.number)), findings))
        emitter.lines([""])


def _sum_up(checked: Checked, plan: CheckPlan) -> None:
    found, definition = summed_up(checked.findings), checked.definition
    if definition is None or checked.code(plan.strict) != EXIT_OK:
        tell(f"xpipe: {visible(checked.file)}: {found}", "error")
        return
    listeners = counted(len(definition.listeners), "listener")
    messages = counted(len(definition.messages), "message")
    without = "" if plan.imports else ", no code imported"
    facts = f"{listeners}, {messages}, {definition.backend.type} backend{without}"
    tell(f"xpipe: {visible(checked.file)} is fine: {facts}{f'; {found}' if found else ''}")
