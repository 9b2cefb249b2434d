"""The schema of organism.yaml as JSON Schema, for editors: made of the same data that the loader checks files by."""

from __future__ import annotations

from typing import Any

from xpipe.config.kinds import Kind
from xpipe.config.schema import FILE, Key, Section

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = "variable"
_NULL: Schema = {"type": "null"}


def config_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of organism.yaml.

    What it refuses the loader refuses, too, but for what is the matter of the loader alone: names that are to be
    found, bounds of values with units, and rules across listeners.
    """
    inner: dict[str, Section] = {}
    file = _mapping(FILE, inner)
    defined = {_VARIABLE: _variable()}
    pending = list(inner)
    while pending:
        name = pending.pop()
        before = set(inner)
        defined[name] = _one_of(_entry(inner[name], inner))
        pending += sorted(set(inner) - before)
    head = {"$schema": _DIALECT, "title": "organism.yaml"}
    return {**head, **file, "$defs": {name: defined[name] for name in sorted(defined)}}


def _variable() -> Schema:
    text = "Replaced by the value of an environment variable: ${NAME}, ${NAME:-default} or ${NAME:?message}."
    return {"type": "string", "pattern": r"\$\{", "description": text}


def _mapping(section: Section, inner: dict[str, Section]) -> Schema:
    """An entry of `section` as a mapping; sections inside of it are noted in `inner`."""
    schema: Schema = {
        "type": "object",
        "description": section.description,
        "properties": {key.name: _value(key, section is FILE, inner) for key in section.keys},
        "additionalProperties": False,
    }
    if required := [key.name for key in section.keys if key.required]:
        schema["required"] = required
    if section.one_of:
        schema["oneOf"] = [{"required": [name]} for name in section.one_of]
        schema["dependentRequired"] = {key.name: [key.beside] for key in section.keys if key.beside}
    return schema


def _entry(section: Section, inner: dict[str, Section]) -> list[Schema]:
    """The forms of an entry of `section`: a mapping, and the short ones."""
    short = next((key.kind for key in section.keys if key.name == section.short), None)
    return [_mapping(section, inner), *(_alternatives(short) if isinstance(short, Kind) else ())]


def _value(key: Key, inline: bool, inner: dict[str, Section]) -> Schema:
    """What may stand at `key`."""
    choices = _alternatives(key.kind) if isinstance(key.kind, Kind) else _section(key.kind, inline, inner)
    if not (key.required or key.never_empty):
        choices.append(_NULL)
    schema = {**_one_of(choices), "description": key.description}
    if key.default is not None:
        write = key.kind.write if isinstance(key.kind, Kind) else None
        schema["default"] = write(key.default) if write else key.default
    return schema


def _section(section: Section, inline: bool, inner: dict[str, Section]) -> list[Schema]:
    if inline:
        entries = _entry(section, inner)
    else:
        inner[section.name] = section
        entries = [{"$ref": f"#/$defs/{section.name}"}]
    if not section.many:
        return entries
    return [{"type": "array", "items": _one_of(entries), **({"minItems": 1} if section.required else {})}]


def _one_of(choices: list[Schema]) -> Schema:
    return dict(choices[0]) if len(choices) == 1 else {"anyOf": choices}


def _alternatives(kind: Kind) -> list[Schema]:
    """The forms of a value; a variable is one wherever text is not taken anyway."""
    choices = [dict(one) for one in kind.schema.get("anyOf", [kind.schema])]
    takes_text = any(one.get("type") == "string" and one.get("pattern", r"\S") == r"\S" for one in choices)
    return choices if takes_text else [*choices, {"$ref": f"#/$defs/{_VARIABLE}"}]
