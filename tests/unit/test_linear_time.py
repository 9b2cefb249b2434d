"""Nothing that reads what comes from outside takes more than linear time: ten times the size, about ten times the time.

Processor time is compared, of two sizes far enough apart that what grows with the square cannot be missed.
"""

from __future__ import annotations

import ast
import functools
import importlib
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import xpipe
from xpipe.config.loading import check_definition
from xpipe.core.errors import WireError
from xpipe.core.secrets import redacted, redacted_line
from xpipe.wire.documents import read_documents

FOLDER = Path(xpipe.__file__).parent
ELSEWHERE = {
    "backends/redis_scripts.py": "reads the scripts that this package ships",
    "config/syntax.py": "its table is for the short messages of a YAML parser",
    "wire/xml_text.py": "its table is for the short messages of libxml2",
    "wire/xml_split.py": "the tokens of one name, made when it is known",
}
"""Files that use patterns also otherwise than as constants, and why that is fine."""
COMMON = (
    "a",
    "1",
    " ",
    "a.",
    "a-",
    "a_",
    "1.",
    "a ",
    "'",
    '"',
    "''",
    '"\\',
    "\\",
    "$",
    "\n",
    "a\n",
    "=",
    "a=",
    "a:",
    "-1",
)
WORST: dict[str, tuple[str, ...]] = {
    "cli.folders._KEYS": ("organism", "organism ", "\norganism"),
    "cli.graph_drawing._NOT_PLAIN": (),
    "cli.init._NAME": (),
    "cli.report._FRAME": ('  File "', '  File "a", line 1', ", line "),
    "cli.text._HIDDEN": ("\x00",),
    "cli.text._HIDDEN_BUT_LINES": ("\x00",),
    "cli.text._HIDDEN_IN_UTF8": ("\xe2", "\xe2\x80"),
    "cli.text._JOINTS": ("~", "%", "%A", "./"),
    "cli.text._PLAIN": ("a ,",),
    "backends.redis_content._SPECIAL": ("*",),
    "backends.redis_link._WORD": (),
    "config.code._ATTRIBUTES": (),
    "config.effective._VARIABLE": ("${", "${a"),
    "config.excerpts._BREAK": ("\r",),
    "config.imports._IMPORT": ("import ", "from ", "from a import ", "\nimport "),
    "config.kinds._PERCENTAGE": ("%",),
    "config.kinds._REDIS_URL": ("redis:/",),
    "config.kinds._SIZE": ("1 ", "kB"),
    "config.retrying._CLASS_NAME": (),
    "config.retrying._LIKE_A_CODE": ("A-", "A_"),
    "config.scalars._BASED": ("0x",),
    "config.scalars._FLOAT": ("1e", ".1"),
    "config.scalars._INTEGER": ("+1",),
    "config.secrets._BACKEND_NAME": ("ke", "toke"),
    "config.source._FORBIDDEN": ("\x00",),
    "config.syntax._BRACKET": ("[", "{", "[${"),
    "config.variables._BRACE": ("{", "}"),
    "config.variables._NAME_START": (),
    "config.variables._NEXT": ("${", "$$"),
    "config.variables._REFERENCE": ("a:-", "a:?"),
    "core.durations._PATTERN": ("1 ", "1m", "m"),
    "core.module_names._PRIVATE_PACKAGE": ("xpipe_organism_", "_0000000000000000"),
    "core.secrets._ASSIGNED": ("secret", "secret=", "secret'", "secret' "),
    "core.secrets._BARE": (),
    "core.secrets._BEFORE_PATH": ("://a", "://a:"),
    "core.secrets._ENTRY": ("secret", "secret: ", "secret '"),
    "core.secrets._INSIDE": (),
    "core.secrets._NAME": ("secret", "passwor", "apikey", "tokena"),
    "core.secrets._QUOTED": (),
    "core.secrets._RUN": ("://a",),
    "inspection.lookup._INITIATOR": ("-", "-1-"),
    "runtime.primitives.terms._NUMBER": (),
    "runtime.primitives.terms._SHARE": ("1%", "%"),
    "wire.encodings._DECLARED": ("<?xml ", "<?xml encoding", " encoding", "encoding="),
    "wire.feed._NOT_BLANK": ("\t",),
    "wire.json_split._BLANK_LINE_REST": ("\t",),
    "wire.json_split._INSIDE": (),
    "wire.json_split._NEWLINE": (),
    "wire.json_split._OUTSIDE": ("{", "[", "\n\n"),
    "wire.json_split._SCALAR_END": (),
    "wire.json_text._SPACE": (),
    "wire.json_text._SURROGATE": ("\\u", "\\ud8"),
    "wire.plain._STEP": ("[", "[1", "[...", "."),
    "wire.scalars._DECIMAL": ("1e", "sNaN", "+"),
    "wire.scalars._INTEGER": ("+",),
    "wire.scalars._NUMBER": ("1e", ".1", "+"),
    "wire.scalars._SECOND_OFFSET": ("+00:00", "+00:00:00.1", "+00:00:00."),
    "wire.xml_names._BAD": ("\x00",),
    "wire.xml_names._NAME": (),
    "wire.xml_split._DOCTYPE_TOKEN": ("[", "<"),
    "wire.xml_split._ENDS": ("-", "?", "]", "]]"),
    "wire.xml_split._NAME": ("<", "<a"),
    "wire.xml_split._OPEN": ("<",),
    "wire.xml_split._PARTIAL_NAME": (),
    "wire.xml_split._QUOTES": (),
    "wire.xml_split._TAG": ("<", "a='", 'a="b"'),
    "wire.xml_split._TAG_CLOSE": (),
    "wire.xml_split._TAG_STOP": (),
    "wire.xml_text._PLACE": (", line 1", ", line 1, column 1", ", line 1, column "),
    "wire.xml_text._PROLOG": ("<?", "<!--", "<!---->", "<!-- -->"),
    "wire.xml_text._ROOT": ("<",),
}
"""Each pattern of the package, with the pieces that are worst for it beside the COMMON ones."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(FOLDER.rglob("*.py")):
        if "templates" not in path.parts:
            yield str(path.relative_to(FOLDER)), ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def patterns() -> dict[str, tuple[list[re.Pattern[Any]], set[str]]]:
    """The constants of the package that hold patterns, and the methods that are called on them."""
    found: dict[str, tuple[list[re.Pattern[Any]], set[str]]] = {}
    for file, tree in modules():
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if file == "backends/redis_scripts.py":
            continue
        for one in tree.body:
            if isinstance(one, ast.Assign) and "re.compile(" in ast.unparse(one.value):
                constant = ast.unparse(one.targets[0])
                held = list(_patterns_in(getattr(importlib.import_module(f"xpipe.{name}"), constant)))
                found[f"{name}.{constant}"] = held, set()
    methods = "|".join(("search", "match", "fullmatch", "finditer", "findall", "sub", "split"))
    for key, (_, called) in found.items():
        module, _, constant = key.rpartition(".")
        text = (FOLDER / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        called |= set(re.findall(rf"\b{constant}\.({methods})\(", text)) or {"search"}
    return found


def _patterns_in(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, list | tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _patterns_in(inner)


def seconds(action: Callable[[], object]) -> float:
    """The processor time of `action`, the least of three."""
    taken = []
    for _ in range(3):
        before = time.process_time()
        action()
        taken.append(time.process_time() - before)
    return min(taken)


def is_linear(make: Callable[[int], Callable[[], object]], size: int) -> bool:
    """Whether ten times the size takes about ten times as long: a hundred times would be the square."""
    return seconds(make(10 * size)) < 0.02 + 35 * seconds(make(size))


def test_every_pattern_is_listed() -> None:
    assert sorted(patterns()) == sorted(WORST)


def test_patterns_are_constants() -> None:
    for file, tree in modules():
        constants = {
            id(one) for statement in tree.body if isinstance(statement, ast.Assign) for one in ast.walk(statement)
        }
        for one in ast.walk(tree):
            if isinstance(one, ast.Call) and ast.unparse(one.func).startswith("re.") and file not in ELSEWHERE:
                assert id(one) in constants, f"{file}:{one.lineno}: give the pattern a name, so that it is tested"


@pytest.mark.parametrize("name", sorted(WORST))
def test_a_pattern_takes_linear_time(name: str) -> None:
    held, methods = patterns()[name]
    for pattern in held:
        for method in methods:
            for piece in (*COMMON, *WORST[name]):
                for head, tail in (("", "\x00"), ("a", "!"), ("1", " x")):
                    assert is_linear(lambda size: use(pattern, method, head, piece, tail, size), 1000), (method, piece)  # noqa: B023


def use(pattern: re.Pattern[Any], method: str, head: str, piece: str, tail: str, size: int) -> Callable[[], object]:
    text: Any = head + piece * (size // len(piece)) + tail
    if isinstance(pattern.pattern, bytes):
        text = text.encode("latin-1")
    if method == "sub":
        return lambda: pattern.sub(text[:0], text)
    if method == "finditer":
        return lambda: sum(1 for _ in pattern.finditer(text))
    return lambda: getattr(pattern, method)(text)


HEAD = "organism: x\nlisteners:\n  - {name: a, handler: 'handlers.py:greet'}\n"
FILES: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "[" * n,
    "braces": lambda n: "{" * n,
    "beginnings of URLs": lambda n: "organism: x\nbackend: " + "://a" * (n // 4),
    "URLs": lambda n: "organism: x\nbackend: " + "://a:b@" * (n // 7),
    "secrets": lambda n: "organism: x\nbackend: " + "secret: " * (n // 8),
    "secrets in a flow": lambda n: "organism: x\nbackend: {" + "secret: x, " * (n // 11),
    "a secret list": lambda n: "organism: x\nbackend: {manager_authkey: [" + "a," * (n // 2) + "]}",
    "variables": lambda n: "organism: [" + "[${" * (n // 3),
    "variables in variables": lambda n: "organism: " + "${A:-" * (n // 5) + "}" * (n // 5),
    "keys in a line": lambda n: "{" + "".join(f"k{at}: 1, " for at in range(n // 9)) + "}",
    "one key": lambda n: "k: 1\n" * (n // 5),
    "digits": lambda n: "organism: x\nlimits: {hops: " + "1" * n + "}",
    "blanks in a duration": lambda n: HEAD + "limits: {conversation_duration: '1" + " " * n + "!'}",
    "aliases": lambda n: "a: &a [1]\nb: [" + "*a," * (n // 3) + "]",
    "merges": lambda n: "a: &a {b: 1}\nc: {<<: [" + "*a," * (n // 3) + "]}",
    "classes to try again": lambda n: HEAD[:-2] + ", retry: {on: [" + "a," * (n // 8) + "]}}",
    "peers": lambda n: HEAD[:-2] + ", peers: [" + "".join(f"q{at}," for at in range(n // 6)) + "]}",
    "a JSON payload": lambda n: HEAD + "messages:\n  - {to: a, payload: '" + "[1," * (n // 3) + "'}\n",
    "an XML payload": lambda n: HEAD + "messages:\n  - {to: a, payload: '" + "<!--x" * (n // 5) + "'}\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_checked_in_linear_time(name: str, tmp_path: Path) -> None:
    def make(size: int) -> Callable[[], object]:
        path = tmp_path / f"{size}.yaml"
        path.write_text(FILES[name](size))
        return lambda: check_definition(path, {}, imports=False)

    assert is_linear(make, 3000)


@pytest.mark.parametrize(
    "piece", ["://a", "://a:b", "://a:b@", ":/a", ":/@", "secret", "secret=", "secret: ", '"secret": "', "a@", "?a="]
)
def test_credentials_are_found_in_linear_time(piece: str) -> None:
    for look in (redacted, redacted_line):
        assert is_linear(lambda size: lambda: look(piece * (size // len(piece))), 5000)  # noqa: B023


STREAMS = [
    *("<a>", "<a></a>", "<a><a></a>", "</a>", "< ", "<!DOCTYPE a [<!ENTITY x '", "<!DOCTYPE a>", "<!DOCTYPE a [<!--"),
    *("<!-- ", "<![CDATA[", "<?x ", "<a b='", '<a b="<', "<messages>", "<!--x--><"),
    *("[", "{", "[,", '"', "{\n", "]\n", '"\\', '{"a":', '{"a\n', "{}", "}{", "[1 "),
]


@pytest.mark.parametrize("piece", STREAMS)
def test_a_stream_is_split_in_linear_time(piece: str) -> None:
    def make(size: int) -> Callable[[], object]:
        data = (piece * (size // len(piece))).encode()
        return lambda: sum(1 for _ in read_documents(io.BytesIO(data), "in.xml" if piece[0] == "<" else "in.json"))

    assert is_linear(make, 3000)


def test_a_doctype_longer_than_a_block_is_skipped_in_linear_time() -> None:
    data = b'<!DOCTYPE a [<!ENTITY x "' + b"y" * 260_000
    found = list(read_documents(io.BytesIO(data), "in.xml"))
    assert [str(one) for one in found] == ["in.xml:1:1: a DOCTYPE is not accepted; remove it and its entities"]


@pytest.mark.parametrize("piece", ["<a>", "</a>", "< ", "<!DOCTYPE a>", "<a b='"])
def test_broken_text_between_two_documents_is_one_finding(piece: str) -> None:
    data = b"<b/>" + piece.encode() * (120_000 // len(piece))
    found = list(read_documents(io.BytesIO(data), "in.xml"))
    assert len(found) == 2
    assert isinstance(found[1], WireError)
    assert str(found[1]).startswith("in.xml:1:5: ")


def test_commas_of_an_array_without_values_are_one_finding() -> None:
    found = list(read_documents(io.BytesIO(b"[,,,,,{}]"), "in.json"))
    assert [str(one) if isinstance(one, WireError) else "" for one in found] == [
        "in.json:1:2: a value is expected before the comma",
        "",
    ]
