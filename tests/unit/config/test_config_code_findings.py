"""What is wrong with the code that an organism names: where it stands, and every word of it."""

from __future__ import annotations

import foreign
import pytest

MODULE = """
from __future__ import annotations
import functools
from dataclasses import dataclass
from typing import Any, Optional, Union
import msgspec

@dataclass
class A:
    x: int

class S(msgspec.Struct):
    z: int = 0
    def method(self, payload: A): ...

class Plain: pass

@dataclass
class Custom:
    lock: Plain

@dataclass
class Ambiguous:
    either: A | Custom

@dataclass
class Unresolved:
    field: Nowhere

def one(payload: A): ...
def none(): ...
def limited(a: A, *, limit): ...
def three(a: A, b, c: int): ...
def keyword(a: A, *, metadata): ...
def unannotated(payload, metadata): ...
def optional(payload: Optional[A], metadata): ...
@dataclass
class Nested:
    other: str | None
    parts: "list[tuple[int, dict[str, Custom]]]"
    whole: "Nested | None" = None
    anything: object = None

def nested(payload: Nested, metadata): ...
def anything(payload: Any, metadata): ...
def missing(payload: Nowhere, metadata): ...
async def agen(payload: A, metadata): yield 1
def gen(payload: A, metadata): yield 1
class Callable:
    def __call__(self, payload: A, metadata): ...
anonymous = lambda payload, metadata: None
def outer():
    def inner(payload: A, metadata): ...
    return inner
closure = outer()
NUMBER = 3
def custom(payload: Custom, metadata): ...
def ambiguous(payload: Ambiguous, metadata): ...
def unresolved(payload: Unresolved, metadata): ...
async def good(payload: A, metadata): ...
def plain(payload: A | S, metadata): ...
"""

HINT = "Write it as: async def handler(payload)."
FORMS = "Write package.module.name or file.py:name."
TOP = "Define it with def at the top level."

UNKNOWN_NAME = foreign.words_of(lambda: eval("Nowhere"))
CASES = {
    "m.one": None,
    "m.keyword": None,
    "m.none": f"error[handler-signature]: m.none must take a payload, and may take metadata, but is none(). {HINT}",
    "m.three": "error[handler-signature]: m.three must take a payload, and may take metadata, "
    f"but is three(a, b, c). {HINT}",
    "m.py:three": "error[handler-signature]: m.py:three must take a payload, and may take metadata, "
    f"but is three(a, b, c). {HINT}",
    "m.limited": "error[handler-signature]: m.limited must take a payload, and may take metadata, "
    f"but is limited(a, *, limit). {HINT}",
    "m.S.method": "error[handler-method]: m.S.method is a method; its first argument would be the payload. "
    "Name a method of an instance, or add @staticmethod.",
    "m.agen": "error[handler-generator]: m.agen is a generator, not a handler. "
    "Return a response or a list of them instead of using yield.",
    "m.gen": "error[handler-generator]: m.gen is a generator, not a handler. "
    "Return a response or a list of them instead of using yield.",
    "m.Callable": f"error[handler-class]: m.Callable is a class, not a handler. {HINT}",
    "m.NUMBER": f"error[handler-type]: m.NUMBER is not a function but of type int. {HINT}",
    "m.unannotated": "error[no-payload-class]: The listener has no payload_class and its handler's first parameter "
    "no annotation. Add payload_class, or annotate the parameter.",
    "m.optional": "error[payload-annotation]: The annotation of payload "
    "contains None, which is no dataclass or Struct. "
    "Annotate it with payload classes, joined by | if several.",
    "m.anything": "error[payload-annotation]: The annotation of payload contains Any, which is no dataclass or Struct. "
    "Annotate it with payload classes, joined by | if several.",
    "m.missing": "error[payload-annotation]: The annotation of payload cannot be resolved: "
    f"NameError: {UNKNOWN_NAME}. Add payload_class to the listener.",
    "m.custom": "error[payload-field]: Custom.lock cannot be sent: "
    "the type Plain is not supported. Use a dataclass, a Struct or a standard type.",
    "m.nested": "error[payload-field]: Custom.lock cannot be sent: "
    "the type Plain is not supported. Use a dataclass, a Struct or a standard type.",
    "m.ambiguous": "error[payload-field]: Ambiguous.either cannot be decoded: ",
    "m.unresolved": f"error[payload-field]: Unresolved.field cannot be decoded: NameError: {UNKNOWN_NAME}.",
    "m.godo": 'error[no-attribute]: m has no godo. Did you mean "good"?',
    "m.py:godo": 'error[no-attribute]: m.py has no godo. Did you mean "good"?',
    "m.S.decode": "error[no-attribute]: m.S has no decode. Define it there, or correct the name.",
    "mm.good": "error[no-module]: There is no module mm, neither in {folder} nor among the installed packages. "
    'Did you mean "m"?',
    "no.where:f": "error[no-module]: There is no module no, neither in {folder} nor among the installed packages. "
    "Correct the name, or install its package.",
    "mmm.py:good": 'error[no-file]: There is no file mmm.py in {folder}. Did you mean "m.py"?',
    "good": f'error[code-reference]: "good" does not name anything in a module. {FORMS}',
    "m.py": f'error[code-reference]: "m.py" does not name anything in a module. {FORMS}',
    "two words": f'error[code-reference]: "two words" does not name anything in a module. {FORMS}',
    "m.good, cpu_bound: true": "error[cpu-bound-async]: m.good is cpu_bound and must not be async. "
    "Write it as a plain def: it has a process for itself.",
    "m.anonymous, cpu_bound: true": "error[cpu-bound-local]: m.anonymous is cpu_bound "
    "and must be a function at the top "
    f"level of its module, but is a lambda. {TOP}",
    "m.closure, cpu_bound: true": "error[cpu-bound-local]: m.closure is cpu_bound and "
    "must be a function at the top level "
    f"of its module, but is defined inside a function. {TOP}",
    "m.plain, cpu_bound: true": None,
}


@pytest.mark.parametrize("handler", CASES)
def test_a_handler_that_cannot_be_used_is_reported_where_it_is_named(findings, handler):
    expected = CASES[handler]
    found = findings(f"organism: x\nlisteners:\n  - {{name: a, handler: {handler}}}\n", m=MODULE)
    assert len(found) == (expected is not None)
    assert "".join(found).startswith(f"3:24: {expected}" if expected else "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n\nraise ValueError('no\\nway')\n", "broken cannot be imported (broken.py:3): ValueError: no."),
        ("import sys\nsys.exit(3)\n", "broken cannot be imported (broken.py:2): it "
        "calls sys.exit() when it is imported."),
        ("x = 1\ndef f(:\n", "broken cannot be imported (broken.py:2): SyntaxError: "),
        (
            "import nowhere_at_all\n",
            "broken cannot be imported (broken.py:1): ModuleNotFoundError: ",
        ),
        (
            "from handlers import nothing\n",
            "broken cannot be imported (broken.py:1): ImportError: ",
        ),
        ("import broken.part\n", "broken cannot be imported (broken.py:1): ModuleNotFoundError: "),
    ],
)  # fmt: skip
def test_a_module_that_fails_is_reported_once_with_the_line_that_fails(findings, source, expected):
    text = "organism: x\nlisteners:\n  - {name: a, handler: broken.f}\n  - {name: b, handler: broken.py:g}\n"
    [found] = findings(text, broken=source)
    assert found.startswith(f"3:24: error[import-failed]: {expected}")


def test_a_failing_module_of_a_package_hides_nothing_of_its_siblings(findings, folder):
    (folder / "pkg").mkdir()
    (folder / "pkg" / "bad.py").write_text("raise LookupError('the module raises')")
    (folder / "pkg" / "good.py").write_text("")
    text = "organism: x\nlisteners:\n  - {name: a, handler: pkg.bad.f}\n  - {name: b, handler: pkg.good.f}\n"
    assert findings(text) == [
        "3:24: error[import-failed]: pkg.bad cannot be imported (pkg/bad.py:1): LookupError: the module raises.",
        "4:24: error[no-attribute]: pkg.good has no f. Define it there, or correct the name.",
    ]


def test_each_payload_class_that_cannot_be_used_is_reported_where_it_is_named(findings):
    text = """\
        organism: x
        listeners:
          - name: a
            handler: m.anything
            payload_class:
              - m.A
              - m.Plain
              - m.NUMBER
              - m.Custom
              - msgspec.Struct
    """
    assert findings(text, m=MODULE) == [
        "7:9: error[payload-class]: m.Plain must be a dataclass or a msgspec Struct, but is a plain class. "
        "Put @dataclass above it.",
        "8:9: error[payload-class]: m.NUMBER must be a dataclass or a msgspec Struct, but is of type int.",
        "9:9: error[payload-field]: Custom.lock cannot be sent: the type Plain is not supported. "
        "Use a dataclass, a Struct or a standard type.",
        "10:9: error[payload-class]: msgspec.Struct must be a dataclass or a msgspec Struct, but is a plain class. "
        "Put @dataclass above it.",
    ]


def test_options_that_contradict_each_other_are_reported_at_the_option(findings):
    text = """\
        organism: x
        listeners:
          - {name: a, handler: m.good, inline: true}
          - {name: b, handler: m.plain, inline: true, cpu_bound: true}
    """
    assert findings(text, m=MODULE) == [
        "3:40: warning[inline-async]: inline has no effect on an async handler, which runs on the event loop anyway. "
        "Remove it.",
        "4:41: error[cpu-bound-inline]: A listener cannot be both cpu_bound and inline: one runs in a worker process, "
        "the other on the loop. Remove one of them.",
    ]


def test_members_of_a_group_with_different_payload_classes_are_reported(findings):
    text = """\
        organism: x
        listeners:
          - {name: g.a, handler: m.good, broadcast: true}
          - {name: g.b, handler: m.plain, broadcast: true}
          - {name: g.c, handler: m.plain, payload_class: m.S, broadcast: true}
    """
    assert findings(text, m=MODULE) == [
        '5:12: error[broadcast-payload]: The members of the broadcast group "g" must take one payload class: '
        "this one takes S, that of line 3 takes A.",
    ]


def test_without_imports_no_user_code_runs_and_the_form_of_references_is_checked(findings, folder):
    text = "organism: x\nlisteners:\n  - {name: a, handler: m.f}\n  - {name: b, handler: f, payload_class: g}\n"
    assert findings(text, imports=False, m="open('ran', 'w')") == [
        f'4:24: error[code-reference]: "f" does not name anything in a module. {FORMS}',
        f'4:42: error[code-reference]: "g" does not name anything in a module. {FORMS}',
    ]
    assert not (folder / "ran").exists()


def test_a_module_of_the_standard_library_is_never_shadowed_but_its_file_can_be_named(findings):
    text = "organism: x\nlisteners:\n  - {name: a, handler: json.greet}\n  - {name: b, handler: json.py:greet}\n"
    module = "import json\nassert json.dumps\nfrom handlers import greet\n"
    assert findings(text, json=module) == [
        "3:24: error[no-attribute]: json has no greet. json is a module of the standard library; "
        "write json.py:greet for the file."
    ]


ANSWERS = """
from dataclasses import dataclass
from pathlib import Path
from xpipe import HandlerResponse

@dataclass
class Ask:
    text: str

@dataclass
class Told:
    path: Path

@dataclass
class Settings:
    path: Path

async def declared(ask: Ask, metadata) -> HandlerResponse[Told]: ...

async def undeclared(ask: Ask, metadata):
    return HandlerResponse.respond(Told(Path(ask.text)))

async def other(ask: Ask, metadata): ...
"""
CANNOT = "[payload-field]: Told.path cannot be sent: the type Path is not supported."


def test_an_answer_that_cannot_be_sent_is_found_before_the_handler_runs(findings):
    def found(handler):
        return findings(f"organism: x\nlisteners:\n  - {{name: a, handler: m.{handler}}}\n", m=ANSWERS)

    hint = "If the handler never sends it, annotate what it returns, or -> None for nothing."
    assert found("declared") == [f"3:24: error{CANNOT} Use a dataclass, a Struct or a standard type."]
    assert found("undeclared") == [f"3:24: warning{CANNOT} {hint}"]
    assert found("other") == []
