"""The topology of an organism: what is known of it, and its drawings, whatever listeners are called."""

from __future__ import annotations

import html
import re
from itertools import pairwise
from pathlib import Path

import pytest

from xpipe.cli.console import Medium, Printer
from xpipe.cli.graph_drawing import dot_lines, mermaid_lines
from xpipe.cli.graph_tree import ABOVE, CIRCLE, tree_lines, tree_rows
from xpipe.config.graph import START, Edge, Graph, Node, graph_of
from xpipe.config.loading import check_definition

HANDLERS = """
from __future__ import annotations
from dataclasses import dataclass
from xpipe import BufferStart, HandlerResponse

@dataclass
class Ask:
    text: str = ""

@dataclass
class Told:
    text: str = ""

async def front(ask: Ask | Told, metadata) -> HandlerResponse: ...
def plain(ask: Ask, metadata): ...
def typed(ask: Ask) -> BufferStart | Told: ...
def silent(ask: Ask, metadata) -> None: ...
"""
HOSTILE = [
    'a "quoted" name',
    "end",
    "a.b.c",
    "[x](y){z}<b>bold</b>",
    "semi;colon|pipe",
    "back\\slash\\",
    "&amp; & #35; #quot;",
    "ünïcødé 漢字 🐝",
    "`tick` %% -->",
    "messages",
    "n0",
    "subgraph",
    "$x$",
    "click me",
    "1. one",
    "- dash",
    "__init__",
    "_a b_",
]


def make(folder: Path, listeners: str, more: str = "") -> Path:
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    file = folder / "organism.yaml"
    file.write_text(f"organism: o\nlisteners:\n{listeners}{more}", encoding="utf-8")
    return file


def load(file: Path, imports: bool = True) -> Graph:
    definition, findings = check_definition(file, {}, imports)
    assert definition is not None, findings
    return graph_of(definition, imports)


def edges(graph: Graph, kind: str) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in graph.edges if edge.kind == kind]


EVERYTHING = """
  - {name: front, handler: 'handlers.py:front', agent: true, peers: [work.all, news, plain, system.buffer]}
  - {name: plain, handler: 'handlers.py:plain'}
  - {name: inline, handler: 'handlers.py:typed', inline: true, peers: []}
  - {name: heavy, handler: 'handlers.py:typed', cpu_bound: true, peers: [news.one]}
  - {name: work.all, buffer: {target: heavy, max_in_flight: 16}}
  - {name: steps, sequence: [inline, work.all]}
  - {name: news.one, handler: 'handlers.py:silent', broadcast: true, peers: []}
  - {name: news.two, handler: 'handlers.py:plain', broadcast: true, peers: []}
"""
MESSAGES = "messages:\n  - {to: front, payload: {}}\n  - {to: steps, payload: {}}\n  - {to: front, payload: {}}\n"


def test_nodes_tell_how_listeners_run_and_what_they_take_and_answer(tmp_path: Path) -> None:
    graph = load(make(tmp_path, EVERYTHING, MESSAGES))

    nodes = {node.id: node for node in graph.nodes}
    assert {id: node.kind for id, node in nodes.items()} == {
        START: "messages",
        "front": "async",
        "plain": "thread",
        "inline": "inline",
        "heavy": "worker",
        "work.all": "buffer",
        "steps": "sequence",
        "news.one": "thread",
        "news.two": "thread",
        "news": "group",
        "system.buffer": "buffer",
    }
    assert [node.id for node in graph.nodes if node.agent] == ["front"]
    assert [node.id for node in graph.nodes if node.calls_any] == ["plain"]
    assert (nodes["front"].accepts, nodes["front"].answers) == (("Ask", "Told"), None)
    assert (nodes["heavy"].accepts, nodes["heavy"].answers) == (("Ask",), ("Told",))
    assert nodes["news.one"].answers == ()
    assert (nodes["steps"].accepts, nodes["steps"].answers) == (("Ask",), ("BufferComplete",))


def test_edges_come_from_messages_peers_steps_targets_members_and_known_answers(tmp_path: Path) -> None:
    graph = load(make(tmp_path, EVERYTHING, MESSAGES))

    assert edges(graph, "message") == [(START, "front"), (START, "steps")]
    assert [edge.messages for edge in graph.edges if edge.kind == "message"] == [2, 1]
    of_front = [peer for caller, peer in edges(graph, "peer") if caller == "front"]
    assert of_front == ["plain", "work.all", "news", "system.buffer"]
    assert [(edge.target, edge.step) for edge in graph.edges if edge.kind == "step"] == [("inline", 1), ("work.all", 2)]
    assert [edge.max_in_flight for edge in graph.edges if edge.kind == "item"] == [16]
    assert edges(graph, "member") == [("news", "news.one"), ("news", "news.two")]
    replies = {(edge.source, edge.target): edge.types for edge in graph.edges if edge.kind == "reply"}
    assert replies[("heavy", "work.all")] == ("Told",)
    assert replies[("work.all", "front")] == replies[("steps", START)] == ("BufferComplete",)
    assert ("news.one", "heavy") not in replies


def test_without_imports_no_code_runs_and_what_it_would_tell_is_not_known(tmp_path: Path) -> None:
    file = make(tmp_path, EVERYTHING, MESSAGES)
    (tmp_path / "handlers.py").write_text("raise SystemExit")

    with_code_missing = load(file, imports=False)

    nodes = {node.id: node for node in with_code_missing.nodes}
    assert (nodes["front"].kind, nodes["front"].accepts) == ("handler", None)
    assert (nodes["heavy"].kind, nodes["work.all"].accepts, nodes["steps"].accepts) == ("worker", ("Items",), None)
    assert nodes["news.one"].answers is None


def tree(graph: Graph) -> list[tuple[str, str, str]]:
    return [(row.lead, row.node.id, row.note) for row in tree_rows(graph)]


def test_a_circle_is_shown_once_and_marked(tmp_path: Path) -> None:
    circle = """
  - {name: a, handler: 'handlers.py:front', peers: [b, c]}
  - {name: b, handler: 'handlers.py:front', peers: [a, c]}
  - {name: c, handler: 'handlers.py:front', peers: [d]}
  - {name: d, handler: 'handlers.py:front', peers: []}
"""
    assert tree(load(make(tmp_path, circle))) == [
        ("", "a", ""),
        ("├─ ", "b", ""),
        ("│  ├─ ", "a", CIRCLE),
        ("│  └─ ", "c", ""),
        ("│     └─ ", "d", ""),
        ("└─ ", "c", ABOVE),
    ]


def test_every_node_is_in_the_tree_and_every_call_once(tmp_path: Path) -> None:
    graph = load(make(tmp_path, EVERYTHING, MESSAGES))

    rows = list(tree_rows(graph))

    assert {row.node.id for row in rows} == {node.id for node in graph.nodes}
    calls = [(row.call.source, row.call.target) for row in rows if row.call is not None]
    assert sorted(calls) == sorted((edge.source, edge.target) for edge in graph.edges if edge.kind != "reply")


def test_a_chain_of_any_length_and_a_web_of_calls_end() -> None:
    names = [f"l{index}" for index in range(3_000)]
    chain = [Edge(*pair, "peer") for pair in pairwise(names)]
    web = [Edge(one, other, "peer") for one in names[:60] for other in names[:60]]
    graph = Graph("o", "memory", tuple(Node(name, name, "async") for name in names), (*chain, *web))

    assert sum(1 for _ in tree_rows(graph)) >= len(names) + len(web)


def test_the_tree_says_what_each_call_is(tmp_path: Path) -> None:
    lines = list(tree_lines(Printer(Medium(None, False, False)), load(make(tmp_path, EVERYTHING, MESSAGES))))

    text = "\n".join(lines)
    assert lines[0] == "o  8 listeners, state in memory"
    assert re.search(r"└─ steps +sequence +Ask +1 message; may answer BufferComplete", text)
    assert re.search(r"├─ 1\. inline +inline +Ask +may answer Told", text)
    assert re.search(r"└─ heavy +worker +Ask +each item, 16 at once; may answer Told", text)
    assert re.search(r"plain +thread +Ask +may call any listener", text)
    assert re.search(r"front +agent, async +Ask, Told +2 messages", text)


def hostile(folder: Path) -> Graph:
    listeners = "".join(
        f"  - {{name: {yaml_text(name)}, handler: 'handlers.py:front', peers: [{yaml_text(HOSTILE[0])}]}}\n"
        for name in HOSTILE
    )
    return load(make(folder, listeners))


def yaml_text(name: str) -> str:
    return "'" + name.replace("'", "''").replace("$", "$$") + "'"


NODE = re.compile(r'  n\d+(?:\[|\[\[|\{\{|\[/|\(\[|\(\()"([^"]*)"(?:\]|\]\]|\}\}|/\]|\]\)|\)\))')
EDGE = re.compile(r'  n\d+ (?:-->|-\.->)(?:\|"[^"|]*"\|)? n\d+')


@pytest.mark.parametrize("source", [hostile, lambda folder: load(make(folder, EVERYTHING, MESSAGES))])
def test_mermaid_takes_any_name(tmp_path: Path, source: object) -> None:
    graph: Graph = source(tmp_path)  # type: ignore[operator]  # one of the two above

    head, comment, *lines = mermaid_lines(graph)

    assert (head, comment) == ("flowchart LR", "  %% o")
    found = [match for line in lines[: len(graph.nodes)] if (match := NODE.fullmatch(line))]
    assert all(EDGE.fullmatch(line) for line in lines[len(graph.nodes) :])
    # Only letters, digits and harmless marks are written as they are; all else by number.
    assert all(re.fullmatch(r"(?:[\w .,:-]|#\d+;|<br/>)*", match[1]) for match in found)
    texts = [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), match[1]) for match in found]
    assert [text.partition("<br/>")[0] for text in texts] == [node.name.partition("<br/>")[0] for node in graph.nodes]


QUOTED = r'"((?:[^"\\]|\\.)*)"'
DOT_NODE = re.compile(rf"  n\d+ \[label={QUOTED}(?:, shape=\w+)?\];")
DOT_EDGE = re.compile(rf"  n\d+ -> n\d+(?: \[(?:label={QUOTED})?(?:, )?(?:style=dashed)?\])?;")


@pytest.mark.parametrize("source", [hostile, lambda folder: load(make(folder, EVERYTHING, MESSAGES))])
def test_dot_takes_any_name(tmp_path: Path, source: object) -> None:
    graph: Graph = source(tmp_path)  # type: ignore[operator]  # one of the two above

    head, _, _, _, *lines, end = dot_lines(graph)

    assert (head, end) == ('digraph "o" {', "}")
    found = [match for line in lines[: len(graph.nodes)] if (match := DOT_NODE.fullmatch(line))]
    assert all(DOT_EDGE.fullmatch(line) for line in lines[len(graph.nodes) :])
    assert [shown(match[1]).partition("\n")[0] for match in found] == [node.name for node in graph.nodes]


def shown(label: str) -> str:
    """What Graphviz shows for the text of a label."""
    return html.unescape(re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), label))
