"""JSON Schemas of what commands print with --json and --jsonl."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xpipe.cli import dead_documents as dead
from xpipe.cli import documents as d
from xpipe.cli import file_documents as f
from xpipe.cli.formats import SCHEMA_VERSION
from xpipe.core.errors import UsageError
from xpipe.ports import RegistryRecord
from xpipe.wire.json_schema import DIALECT, Schema, json_schemas, objects_in


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command may print: documents with --json, records with --jsonl; several if it depends on its arguments."""

    documents: tuple[Any, ...]
    records: tuple[Any, ...] = ()


OUTPUTS: Mapping[str, Printed] = {
    "run": Printed((d.RunDocument,), (d.OutputItem,)),
    "send": Printed((d.SendDocument,), (d.SentRecord, d.OutputItem)),
    "check": Printed((f.CheckDocument,)),
    "config": Printed((f.ConfigDocument,)),
    "graph": Printed((f.GraphDocument,)),
    "outputs": Printed((d.OutputsDocument,), (d.OutputRow,)),
    "threads": Printed(
        (d.ThreadsDocument, d.ThreadDocument, d.CallsDocument),
        (d.ThreadRow, d.SlotRecord, d.CallRow),
    ),
    "trace": Printed((d.TraceDocument,), (d.TracedCallRow, d.AttemptRecord)),
    "registry": Printed((d.RegistryDocument,), (RegistryRecord,)),
    "cancel": Printed((d.CancelDocument,), (d.CancelRow,)),
    "dead list": Printed((dead.LettersDocument,), (dead.LetterRow,)),
    "dead show": Printed((dead.LetterDocument,)),
    "dead retry": Printed((dead.RetryDocument,), (dead.RetryRecord,)),
    "dead drop": Printed((dead.DropDocument,), (dead.DropRecord,)),
    "gc": Printed((d.GcDocument,)),
}
ALIASES = {"inspect-threads": "threads", "dump-registry": "registry", "lint": "check"}


def output_schema(command: str, jsonl: bool = False) -> Schema:
    """The JSON Schema of the document that `command` prints with --json, or of a line of --jsonl. Raises UsageError."""
    printed = _find(ALIASES.get(command, command))
    if jsonl and not printed.records:
        raise UsageError(f"{command} prints one document and no --jsonl; leave --jsonl out")
    types = printed.records if jsonl else printed.documents
    refs, definitions = json_schemas(types)
    if jsonl:
        branches = [_versioned(definitions[ref["$ref"].rpartition("/")[2]]) for ref in refs]
        definitions = {name: definitions[name] for name in sorted(_used(branches, definitions))}
    else:
        branches = list(refs)
    head: Schema = {"$schema": DIALECT, "title": f"xpipe {command} --json{'l' if jsonl else ''}"}
    body: Schema = {"anyOf": branches} if len(branches) > 1 else branches[0]
    body = {key: value for key, value in body.items() if key != "title"}
    return {**head, **body, **({"$defs": definitions} if definitions else {})}


def _find(command: str) -> Printed:
    if command in OUTPUTS:
        return OUTPUTS[command]
    from xpipe.config.wording import did_you_mean

    hint = did_you_mean(command, OUTPUTS).replace("Did", "did") or "`xpipe schema output` lists those that do"
    raise UsageError(f"no command {command!r} prints JSON; {hint}")


def _versioned(definition: Schema) -> Schema:
    """The same object with a schema_version, which every line has and no row inside a document."""
    record = copy.deepcopy(definition)
    record["properties"] = {"schema_version": {"enum": [SCHEMA_VERSION]}, **record["properties"]}
    record["required"] = ["schema_version", *record["required"]]
    return record


def _used(schemas: list[Schema], definitions: Mapping[str, Schema]) -> set[str]:
    """The names of the definitions that `schemas` refer to, directly or through others."""
    found: set[str] = set()
    waiting: list[Any] = list(schemas)
    while waiting:
        for part in objects_in(waiting.pop()):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(definitions[name])
    return found
