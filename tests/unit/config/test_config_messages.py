"""The messages of a file: what would become a fault is found at its place, and the file can be loaded all the same."""

from __future__ import annotations

from pathlib import Path

import foreign
import pytest

from xpipe.config.loading import check_definition, examine

ORGANISM = """\
organism: o
listeners:
  - {name: greet, handler: handlers.py:greet}
  - {name: ship, handler: goods.py:ship}
  - {name: all.ship, handler: goods.py:ship, broadcast: true}
  - {name: first, sequence: [ship, greet]}
"""
GOODS = """
from dataclasses import dataclass

@dataclass
class Box:
    weight: int

@dataclass
class Ship:
    to: str
    boxes: list[Box]

    def __post_init__(self):
        if not self.boxes:
            raise ValueError("there is nothing to ship")

async def ship(payload: Ship, metadata): ...
"""
SHIP_HINT = "`xpipe schema organism.yaml ship` shows what it takes."
SYNTAX_HINT = "Write a mapping, or JSON or XML text of one payload."
CANNOT = "The payload cannot be sent:"
WRONG = {
    "{to: ship, payload: {to: Rome, boxes: [{weight: 1}, {weight: heavy}]}}": (
        f"8:66: error[bad-payload]: {CANNOT} Ship.boxes[1].weight: 'heavy' is not an integer. {SHIP_HINT}"
    ),
    "{to: ship, payload: {to: Rome, boxs: []}}": (
        f"8:42: error[bad-payload]: {CANNOT} Ship.boxs: there is no such field. Did you mean boxes?"
    ),
    "{to: ship, payload: {to: Rome}}": (
        f"8:25: error[bad-payload]: {CANNOT} Ship.boxes: the field is missing and has no default. {SHIP_HINT}"
    ),
    "{to: ship, payload: {to: Rome, boxes: []}}": (
        f"8:25: error[bad-payload]: {CANNOT} Ship: there is nothing to ship. {SHIP_HINT}"
    ),
    '{to: first, payload: \'{"to": 1, "boxes": []}\'}': (
        f"8:26: error[bad-payload]: {CANNOT} Ship.to: 1 is not text. "
        "`xpipe schema organism.yaml first` shows what it takes."
    ),
    "{to: all, payload: '<Ship><to>Rome</to><boxes><item><weight>q</weight></item></boxes></Ship>'}": (
        f"8:24: error[bad-payload]: {CANNOT} Ship.boxes[0].weight: 'q' is not an integer. "
        "`xpipe schema organism.yaml all` shows what it takes."
    ),
    "{to: ship, payload: {name: Ada}, type: Greeting}": (
        f"8:25: error[bad-payload]: {CANNOT} ship does not take Greeting. It takes Ship."
    ),
    "{to: ship, payload: {name: Ada}, type: Shop}": (
        f"8:44: error[unknown-type]: {CANNOT} there is no payload type called Shop. Did you mean Ship?"
    ),
}
UNREADABLE = {
    "not json": f"this is no JSON ({foreign.no_json('not json')})",
    '{"name": "Ada"': "the JSON value is not closed",
    "<Greeting><name>Ada</Greeting>": "<name> is closed by </Greeting>",
}


def check(folder: Path, messages: str, imports: bool = True, text: str = ORGANISM) -> tuple[bool, list[str]]:
    """Whether the file can be loaded, and what is wrong with it."""
    (folder / "goods.py").write_text(GOODS)
    (folder / "organism.yaml").write_text(f"{text}messages:\n  - {messages}\n")
    found = examine("organism.yaml", {}, imports, messages=True)
    shown = [str(one).removeprefix("organism.yaml:") for one in found.findings if one.severity == "error"]
    return found.definition is not None, shown


@pytest.mark.parametrize("message", WRONG)
def test_a_payload_that_its_listener_cannot_take_is_found_at_its_place(folder, message):
    assert check(folder, message) == (True, [WRONG[message]])


@pytest.mark.parametrize("imports", [True, False])
@pytest.mark.parametrize("payload", UNREADABLE)
def test_text_that_cannot_be_read_is_found_even_without_the_code(folder, payload, imports):
    expected = f"8:26: error[bad-payload]: {CANNOT} {UNREADABLE[payload]}. {SYNTAX_HINT}"
    assert check(folder, f"{{to: greet, payload: '{payload}'}}", imports) == (True, [expected])


def test_only_the_syntax_is_checked_without_the_code(folder):
    assert check(folder, "{to: ship, payload: {weight: none}}", imports=False) == (True, [])


def test_what_fits_is_fine(folder):
    assert check(folder, "{to: first, payload: {to: Rome, boxes: [{weight: 1}]}}") == (True, [])
    xml = "<Ship><to>Rome</to><boxes><item><weight>1</weight></item></boxes></Ship>"
    assert check(folder, f"{{to: all, payload: '{xml}'}}") == (True, [])


def test_a_payload_over_the_limit_is_found(folder):
    text = "limits: {payload_bytes: 20}\n" + ORGANISM
    expected = "9:26: error[payload-too-large]: The payload takes 48 bytes, over limits.payload_bytes (20). "
    loadable, found = check(folder, f"{{to: greet, payload: {{name: {'x' * 40}}}}}", text=text)
    assert (loadable, found) == (True, [f"{expected}Send less, or raise the limit."])


def test_other_mistakes_hide_none_of_these_and_make_none_up(folder):
    # Given a listener whose code cannot be used, a payload for it, and a variable that is not set
    text = ORGANISM.replace("goods.py:ship}", "goods.py:shop}", 1)
    messages = (
        "{to: ship, payload: {any: 1}}",
        "{to: greet, payload: {nom: Ada}}",
        "{to: greet, payload: {name: '${NO}'}}",
    )
    loadable, found = check(folder, "\n  - ".join(messages), text=text)
    assert not loadable
    assert [one.partition(" ")[0] + one.split()[1] for one in found] == [
        "4:27:error[no-attribute]:",
        "9:32:error[bad-payload]:",
        "10:33:error[unset-variable]:",
    ]


def test_a_run_is_not_kept_from_the_other_messages(folder):
    check(folder, "{to: greet, payload: {nom: Ada}}")
    definition, found = check_definition("organism.yaml")
    assert definition is not None
    assert {one.severity for one in found} <= {"note"}
