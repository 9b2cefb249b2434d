"""organism.yaml as an OrganismDefinition, or everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpipe.config.backends import check_backend, check_keeping
from xpipe.config.composing import compose
from xpipe.config.groups import check_groups
from xpipe.config.names import check_names
from xpipe.config.nodes import MapNode, is_empty
from xpipe.config.primitives import check_terms, check_ways, is_primitive, primitives
from xpipe.config.reach import check_reach
from xpipe.config.reporting import Report, Unreadable
from xpipe.config.resolving import Resolver
from xpipe.config.retrying import check_retries
from xpipe.config.shape import Entry, Shape, read_shape
from xpipe.config.source import read_source
from xpipe.config.workers import check_pool
from xpipe.core.errors import ConfigError
from xpipe.core.findings import Finding
from xpipe.core.limits import Limits
from xpipe.core.organism import BackendSettings, Listener, OrganismDefinition, PoolSettings, StartMessage


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was read: its definition, None if there are errors, and what it says. More can be reported."""

    definition: OrganismDefinition | None
    shape: Shape
    report: Report

    @property
    def findings(self) -> list[Finding]:
        """All findings in file order."""
        return self.report.findings()


def load_definition(path: str | Path, environ: Mapping[str, str] | None = None) -> OrganismDefinition:
    """The organism that the file at `path` declares, its handlers imported. Raises ConfigError with all findings.

    `environ` holds the variables that the file may use, those of the process if left out.
    """
    definition, findings = check_definition(path, environ)
    if definition is None:
        raise ConfigError(findings)
    return definition


def check_definition(
    path: str | Path,
    environ: Mapping[str, str] | None = None,
    imports: bool = True,
    overrides: Sequence[str] = (),
) -> tuple[OrganismDefinition | None, list[Finding]]:
    """As `load_definition` without raising: the definition, None if there are errors, and all findings in file order.

    Without `imports` no user code runs: the listeners of the definition have no payload classes and cannot be called.
    `overrides` are PATH=VALUE that go before what the file says.
    """
    examined = examine(path, environ, imports, overrides)
    return examined.definition, examined.findings


def examine(
    path: str | Path,
    environ: Mapping[str, str] | None = None,
    imports: bool = True,
    overrides: Sequence[str] = (),
    messages: bool = False,
) -> Examined:
    """As `check_definition`, with the entries of the file.

    With `messages` those that cannot be decoded are reported, too, and modules that `import` does not find; neither
    keeps the file from being loaded.
    """
    report = Report(str(path))
    try:
        shape = _read(path, os.environ if environ is None else environ, overrides, report)
        definition = _define(shape, path, imports, report)
    except Unreadable as error:
        report.note_only(error.finding)
        return Examined(None, {}, report)
    usable = None if report.has_errors else definition
    if overrides and usable is None:
        from xpipe.config.overrides import blame

        blame(overrides, examine(path, environ, imports).findings, report)
    if messages and "messages" in shape:
        from xpipe.config.messages import check_messages  # A run tells of them itself.

        check_messages(shape["messages"], shape.get("listeners", []), definition, imports, report)
    if messages:
        from xpipe.config.hidden_modules import check_hidden_modules

        check_hidden_modules(os.path.dirname(os.path.abspath(path)), shape, report)
    return Examined(usable, shape, report)


def _read(path: str | Path, environ: Mapping[str, str], overrides: Sequence[str], report: Report) -> Shape:
    """Raises Unreadable."""
    text = read_source(path, report)
    report.text = text
    root = compose(text, environ, report)
    if root is None or is_empty(root):
        raise report.unreadable(1, 1, "file-empty", "The file is empty.", "It needs the keys organism and listeners.")
    report.root = root
    cut = isinstance(root, MapNode) and not root.whole
    if overrides and not cut:
        from xpipe.config.overrides import apply_overrides  # Few commands are given any.

        root = apply_overrides(root, overrides, report)
    shape = read_shape(root, report)
    if cut and "listeners" not in shape:
        shape.pop("messages", None)  # Nobody knows which targets there are.
    return shape


def _define(shape: Shape, path: str | Path, imports: bool, report: Report) -> OrganismDefinition:
    folder = os.path.dirname(os.path.abspath(path))
    entries, messages = shape.get("listeners", []), shape.get("messages", [])
    organism = shape.get("organism", [])
    check_names(organism, entries, messages, report)
    check_retries(entries, report)
    check_terms(entries, report)
    check_backend(shape.get("backend", []), report)
    check_keeping(shape, report)
    check_pool(shape, report)
    resolver = Resolver(folder, imports, report)
    listeners = _listeners(entries, resolver, report)
    if not report.has_errors:
        check_reach(entries, messages, report)  # A misspelt name is told of already.
    backend = _values(shape, "backend")
    return OrganismDefinition(
        name=_values(shape, "organism").get("name", ""),
        folder=folder,
        file=str(path),
        backend=BackendSettings(backend.pop("type", "memory"), backend),
        pool=PoolSettings(**_values(shape, "process_pool")),
        limits=Limits(**_values(shape, "limits")),
        listeners=listeners,
        messages=tuple(_start_message(entry, report.file) for entry in messages),
        payload_types=resolver.types,
    )


def _listeners(entries: list[Entry], resolver: Resolver, report: Report) -> tuple[Listener, ...]:
    coded = [entry for entry in entries if not is_primitive(entry)]
    resolved = {id(entry): listener for entry in coded if (listener := resolver.resolve(entry))}
    resolved |= primitives(entries, list(resolved.values()))
    check_groups(entries, resolved, report)
    check_ways(entries, resolved, report)
    return tuple(resolved[id(entry)] for entry in entries if id(entry) in resolved)


def _values(shape: Shape, section: str) -> dict[str, Any]:
    return {key: value for entry in shape.get(section, []) for key, value in entry.values.items()}


def _start_message(entry: Entry, file: str) -> StartMessage:
    values = entry.values
    where = entry.node.origin or f"{file}:{entry.node.line}:{entry.node.column}"
    return StartMessage(values.get("to", ""), values.get("payload"), values.get("type", ""), where)
