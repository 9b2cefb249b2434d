"""Names beyond ASCII are found in a process that has never encoded them, whichever way a payload comes in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

CLASSES = """
from __future__ import annotations
import dataclasses, typing, msgspec

@dataclasses.dataclass
class Maß:
    länge: int = 0

class Zeile(typing.TypedDict, total=False):
    stück: int

class Ort(typing.NamedTuple):
    straße: str

class Kreis(msgspec.Struct, tag="kreis", tag_field="größenart"):
    fläche: int = 0

class Eck(msgspec.Struct, tag="eck", tag_field="größenart"):
    höhe: int = 0

@dataclasses.dataclass
class Paket:
    größe: int = 0
    maße: list[Maß] = dataclasses.field(default_factory=list)
    zeile: Zeile | None = None
    ort: Ort | None = None
    form: Kreis | Eck | None = None

@dataclasses.dataclass
class Geprüft(Paket):
    gezählt: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.gezählt = 0
"""
DATA = {
    "größe": 7,
    "maße": [{"länge": 3}],
    "zeile": {"stück": 2},
    "ort": ["Gasse"],
    "form": {"größenart": "eck", "höhe": 4},
}
XML = (
    "<{0}><größe>7</größe><maße><item><länge>3</länge></item></maße><zeile><stück>2</stück></zeile>"
    '<ort><straße>Gasse</straße></ort><form xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:type="Eck"><höhe>4</höhe></form></{0}>'
)
READ = {
    "json": "from_json(cls, data, types)",
    "mapping": "from_json(cls, msgspec.json.decode(data), types)",
    "xml": "from_xml(cls, data, types)",
    "stored": "types.decode(cls.__name__, data)",
    "inside a BufferStart": "types.decode('BufferStart', data).items[0]",
}
CHILD = """
import sys, msgspec
from xpipe.core.codec import PayloadTypes
from xpipe.wire.json_form import from_json
from xpipe.wire.xml_form import from_xml
from handlers import *
cls, data = {cls}, sys.stdin.buffer.read()
types = PayloadTypes([cls])
found = {read}
sys.stdout.reconfigure(encoding="utf-8")
print(found.größe, found.maße[0].länge, found.zeile.get("stück"), found.ort.straße, type(found.form).__name__,
      found.form.höhe, getattr(found, "gezählt", ""))
"""


def _data(read: str, cls: str) -> bytes:
    if read == "xml":
        return XML.format(cls).encode()
    if read in ("json", "mapping"):
        return msgspec.json.encode(DATA)
    stored = msgspec.msgpack.encode({**DATA, "gezählt": 9})
    if read == "stored":
        return stored
    return msgspec.msgpack.encode({"target": "x", "items": [[cls, stored]]})


@pytest.mark.parametrize("cls", ["Paket", "Geprüft"])
@pytest.mark.parametrize("read", READ)
def test_a_name_beyond_ascii_is_found_in_a_fresh_process(tmp_path: Path, read: str, cls: str) -> None:
    (tmp_path / "handlers.py").write_text(CLASSES, encoding="utf-8")
    program = CHILD.format(cls=cls, read=READ[read])

    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, input=_data(read, cls), capture_output=True)

    counted = "" if cls == "Paket" else 9 if "stored" in read or "inside" in read else 0
    assert found.stdout.decode().split(" ") == ["7", "3", "2", "Gasse", "Eck", "4", f"{counted}\n"], found.stderr
