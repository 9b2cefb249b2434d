"""Random payload classes come back equal by every way in, in a process that has never seen them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

PLAIN = ["int", "str", "float", "bool", "bytes", "Prio", "Rights", "datetime.date", "int | None", "object"]
VALUES = {
    "int": "-7",
    "str": "'größe <&>'",
    "float": "float('inf')",
    "bool": "True",
    "bytes": "b'\\x00\\xff'",
    "Prio": "Prio.HIGH",
    "Rights": "Rights(3)",
    "datetime.date": "datetime.date(2026, 1, 2)",
    "int | None": "None",
    "object": "{'k': [1, None]}",
}
HEAD = """
from __future__ import annotations
import dataclasses, datetime, enum, typing, msgspec

class Prio(enum.Enum):
    LOW = 1
    HIGH = 2

class Rights(enum.Flag):
    READ = 1
    WRITE = 2

RAN = []
"""
CHILD = """
import base64, json, sys
import made
from xpipe.core.codec import PayloadTypes
from xpipe.wire.json_form import from_json, to_json
from xpipe.wire.xml_form import from_xml, to_xml
found = []
for name, stored, text, xml in json.load(sys.stdin):
    cls = getattr(made, name)
    types = PayloadTypes([cls])
    for read in (
        lambda: types.decode(name, base64.b64decode(stored)),
        lambda: from_json(cls, text, types),
        lambda: from_xml(cls, xml, types),
    ):
        made.RAN.clear()
        found.append([repr(read()), len(made.RAN)])
print(json.dumps(found))
"""
"""Decoding goes by what the parent has encoded: nothing here has encoded a name of a field before."""


def _source(count: int, seed: int) -> tuple[str, list[tuple[str, str]]]:
    """The code of `count` classes, and for each an expression that makes one. Later ones contain earlier ones."""
    chance, lines, made = random.Random(seed), [HEAD], [("int", "1")]
    for number in range(count):
        name, fields, values = f"Klasse{number}", [], []
        for index in range(chance.randint(1, 4)):
            kind = chance.choice(PLAIN)
            inner, value = chance.choice([(kind, VALUES[kind]), *made[:5]])
            annotation, value = chance.choice(
                [
                    (inner, value),
                    (f"list[{inner}]", f"[{value}, {value}]"),
                    (f"dict[str, {inner}]", f"{{'schlüssel': {value}}}"),
                    (f"tuple[int, {inner}]", f"(1, {value})"),
                ]
            )
            fields.append(f"    fläche{index}: {annotation}")
            values.append(value)
        struct = chance.random() < 0.4
        hook = ["    def __post_init__(self):", f"        RAN.append({name!r})"] if chance.random() < 0.4 else []
        lines += [f"class {name}(msgspec.Struct):" if struct else f"@dataclasses.dataclass\nclass {name}:"]
        lines += [*fields, *hook, ""]
        made.append((name, f"{name}({', '.join(values)})"))
    return "\n".join(lines), made[1:]


def test_random_payload_classes_come_back_equal_in_a_fresh_process(tmp_path: Path) -> None:
    source, made = _source(40, seed=12)
    (tmp_path / "made.py").write_text(source, encoding="utf-8")
    encode = """
import base64, json, sys, made
from made import *
from xpipe.core.codec import PayloadTypes
from xpipe.wire.json_form import to_json
from xpipe.wire.xml_form import to_xml
found = []
for name, text in json.load(sys.stdin):
    made.RAN.clear()
    payload = eval(text)
    ran, types = len(made.RAN), PayloadTypes([type(payload)])
    stored = base64.b64encode(types.encode(payload)[1]).decode()
    found.append([name, stored, to_json(payload, types).decode(), to_xml(payload, types), repr(payload), ran])
print(json.dumps(found))
"""

    def run(program: str, given: object) -> list[list[object]]:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, input=json.dumps(given).encode(), capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        found: list[list[object]] = json.loads(done.stdout)
        return found

    encoded = run(encode, made)
    decoded = iter(run(CHILD, [one[:4] for one in encoded]))

    assert any(ran for *_, ran in encoded)
    for *_, shown, ran in encoded:
        assert [next(decoded), next(decoded), next(decoded)] == [[shown, 0], [shown, ran], [shown, ran]]
