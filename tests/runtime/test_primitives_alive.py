"""Buffer and Sequence through the running pump: order, failures, endings, nesting, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, fault, live, payload, write
from xpipe import Organism

CODE = """
import random

@dataclass
class Fan:
    target: str
    items: list[Any] = field(default_factory=list)
    count: int = 0
    collect: bool = True
    return_to: str = ""
    timeout: float = 0.0

@dataclass
class Chain:
    steps: list[str]
    n: int = 0
    return_to: str = ""

def start_of(ask):
    if isinstance(ask, Fan):
        items = ask.items or [Ask(n) for n in range(ask.count)]
        return BufferStart(ask.target, items, ask.collect, ask.return_to, ask.timeout)
    return SequenceStart(ask.steps, Ask(ask.n), ask.return_to)

def kind_of(ask):
    return "system.buffer" if isinstance(ask, Fan) else "system.sequence"

async def fan(ask: Fan | Chain | BufferComplete | BufferDispatched | SequenceComplete, m: HandlerMetadata):
    return HandlerResponse(start_of(ask), to=kind_of(ask)) if isinstance(ask, Fan | Chain) else respond(ask)

async def tolerant(ask: Fan | Chain | BufferComplete | BufferDispatched | SequenceComplete | Fault | Answer,
                   m: HandlerMetadata):
    return HandlerResponse(start_of(ask), to=kind_of(ask)) if isinstance(ask, Fan | Chain) else respond(ask)

async def restricted(ask: Fan | Chain | BufferComplete | SequenceComplete | Fault, m: HandlerMetadata):
    return HandlerResponse(start_of(ask), to=kind_of(ask)) if isinstance(ask, Fan | Chain) else respond(ask)

async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, ask.text))

async def shuffled(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(random.random() * 0.02)
    return respond(Answer(ask.n))

def cpu(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

def thread(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def picky(ask: Ask, m: HandlerMetadata):
    if ask.n % 3 == 0:
        raise ValueError(f"not {ask.n}")
    return respond(Answer(ask.n))

async def twice(ask: Ask, m: HandlerMetadata):
    return [respond(Answer(ask.n)), respond(Answer(-1))]

async def silent(ask: Ask, m: HandlerMetadata):
    return None

async def loud_silence(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="shuffled") if isinstance(ask, Ask) else None

async def asks_first(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="shuffled") if isinstance(ask, Ask) else respond(Answer(ask.n + 100))

async def stuck(ask: Ask, m: HandlerMetadata):
    if ask.n % 2:
        await asyncio.sleep(30)
    return respond(Answer(ask.n))

async def touches(ask: Ask, m: HandlerMetadata):
    (HERE / f"touched{ask.n}").touch()
    return respond(Answer(ask.n))

async def plus(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0)
    return respond(Ask(ask.n + 1, ask.text + m.from_id))

async def receiver(ask: BufferComplete | BufferDispatched | SequenceComplete, m: HandlerMetadata):
    if isinstance(ask, SequenceComplete):
        return respond(Answer(ask.steps, f"received from {m.from_id}"))
    return respond(Answer(ask.total, f"received from {m.from_id}"))

async def summing(ask: Ask | BufferComplete, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return HandlerResponse(BufferStart("echo", [Ask(n) for n in range(ask.n + 1)]), to="system.buffer")
    return respond(Ask(sum(one.result.n for one in ask.results)))

async def stepping(ask: Ask | SequenceComplete, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return HandlerResponse(SequenceStart(["plus", "plus"], ask), to="system.sequence")
    return respond(Ask(ask.result.n))
"""

NAMES = (
    "fan", "tolerant", "echo", "shuffled", "picky", "twice", "silent", "loud_silence", "asks_first", "stuck",
    "touches", "plus", "receiver", "summing", "stepping", "thread",
)  # fmt: skip


LISTENERS: dict[str, dict[str, Any]] = {**{name: {} for name in NAMES}, "restricted": {"peers": ["echo"]}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of an organism without worker processes: each run would start one."""
    return write(tmp_path, CODE, LISTENERS)


def with_worker(path: Path) -> Path:
    """That organism with the listener `cpu` as well."""
    return write(path.parent, CODE, {**LISTENERS, "cpu": {"cpu_bound": True}}, process_pool={"workers": 1})


def run(path: Path, to: str, type: str, **fields: Any) -> Any:
    """The one response to a Fan or Chain, after which nothing is left of it."""

    async def scenario(organism: Organism) -> Any:
        found = await answer(organism, to, type, **fields)
        assert_nothing_left(organism)
        return found

    return live(path, scenario)


@pytest.mark.parametrize("target", ["echo", "shuffled", "thread", "cpu", "twice"])
def test_results_are_in_the_order_of_the_items_and_each_counts_once(path: Path, target: str) -> None:
    complete = run(with_worker(path) if target == "cpu" else path, "fan", "Fan", target=target, count=100)
    assert (complete.total, complete.successful, complete.success, complete.error) == (100, 100, True, "")
    assert [(one.index, one.success, one.result.n) for one in complete.results] == [(n, True, n) for n in range(100)]


def test_a_failed_item_is_a_result_not_a_hang(path: Path) -> None:
    complete = run(path, "fan", "Fan", target="picky", count=10)
    assert (complete.total, complete.successful, complete.error) == (10, 6, "ValueError: not 0")
    assert [(one.index, one.code, one.error) for one in complete.results if not one.success] == [
        (n, "exception", f"ValueError: not {n}") for n in (0, 3, 6, 9)
    ]


@pytest.mark.parametrize("target", ["silent", "loud_silence"])
def test_an_item_without_an_answer_is_a_fault_no_answer(path: Path, target: str) -> None:
    complete = run(path, "fan", "Fan", target=target, count=5)
    assert [(one.success, one.code) for one in complete.results] == [(False, "no_answer")] * 5


def test_an_item_may_call_others_before_it_answers(path: Path) -> None:
    complete = run(path, "fan", "Fan", target="asks_first", count=30)
    assert [one.result.n for one in complete.results] == [n + 100 for n in range(30)]


def test_a_buffer_past_its_time_completes_with_what_is_there(path: Path) -> None:
    complete = run_with_stop(path, target="stuck", count=6, timeout=0.3)
    assert [one.success for one in complete.results] == [True, False] * 3
    assert {one.code for one in complete.results if not one.success} == {"timeout"}


def run_with_stop(path: Path, **fields: Any) -> Any:
    async def scenario(organism: Organism) -> Any:
        conversation = await organism.inject("fan", payload(organism, "Fan", **fields))
        while not (outputs := organism._outcomes._kept.get(conversation)):
            await organism._next_change()
        assert list(organism.backend.joins()) == []
        return outputs[0].payload

    return live(path, scenario)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"target": "nobody", "count": 3}, "unknown_target"),
        ({"target": "echo", "count": 3, "return_to": "nobody"}, "unknown_target"),
        ({"target": "echo", "count": 3, "return_to": "echo"}, "bad_payload"),
        ({"target": "receiver", "count": 3}, "bad_payload"),
        ({"target": "echo", "items": ["<Wrong/>"]}, "bad_payload"),
        ({"target": "echo", "items": ["neither"]}, "bad_payload"),
    ],
)
def test_a_buffer_that_cannot_start_is_a_buffer_error(path: Path, fields: dict[str, Any], code: str) -> None:
    async def scenario(organism: Organism) -> Any:
        [output] = await ask(organism, "tolerant", "Fan", **fields)
        assert_nothing_left(organism)
        return output

    output = live(path, scenario)
    found = output.payload
    assert (type(found).__name__, found.code) == ("BufferError", code)
    assert found.origin == "system.buffer"


def test_a_buffer_error_nobody_accepts_fails_the_caller(path: Path) -> None:
    async def scenario(organism: Organism) -> tuple[str, str]:
        found = await fault(organism, "fan", "Fan", target="nobody", count=1)
        assert_nothing_left(organism)
        return type(found).__name__, found.code

    assert live(path, scenario) == ("BufferError", "unknown_target")


@pytest.mark.parametrize(("type", "fields"), [("Fan", {"target": "plus", "count": 2}), ("Chain", {"steps": ["plus"]})])
def test_primitives_keep_to_the_peers_of_who_asks(path: Path, type: str, fields: dict[str, Any]) -> None:
    async def scenario(organism: Organism) -> Any:
        [output] = await ask(organism, "restricted", type, **fields)
        return output.payload

    assert live(path, scenario).code == "forbidden_peer"


def test_fire_and_forget_tells_at_once_and_runs_every_item(path: Path, tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        found = await answer(organism, "fan", "Fan", target="touches", count=20, collect=False)
        assert (type(found).__name__, found.total) == ("BufferDispatched", 20)
        assert_nothing_left(organism)
        assert all((tmp_path / f"touched{n}").exists() for n in range(20))

    live(path, scenario)


def test_a_fault_in_fire_and_forget_is_a_dead_letter(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "fan", "Fan", target="picky", count=6, collect=False)).total == 6
        assert organism.backend.totals().dead_letters >= 2
        assert organism.stats.fault_count == 2
        assert_nothing_left(organism)

    live(path, scenario)


@pytest.mark.parametrize(
    ("type", "fields", "n"),
    [
        ("Fan", {"target": "echo", "count": 4}, 4),
        ("Fan", {"target": "echo", "count": 4, "collect": False}, 4),
        ("Chain", {"steps": ["plus", "plus", "echo"]}, 3),
    ],
)
def test_return_to_gets_the_result_and_answers_the_caller(
    path: Path, type: str, fields: dict[str, Any], n: int
) -> None:
    found = run(path, "tolerant", type, return_to="receiver", **fields)
    assert (found.n, found.text) == (n, "received from tolerant")


@pytest.mark.parametrize("return_to", ["", "fan"])
def test_return_to_the_caller_itself_is_the_reply(path: Path, return_to: str) -> None:
    assert run(path, "fan", "Fan", target="echo", count=2, return_to=return_to).total == 2


def test_items_may_be_xml_or_json_text(path: Path) -> None:
    items = ["<Ask><n>1</n><text>one</text></Ask>", '{"n": 2, "text": "two"}', {"n": 3, "text": "three"}]
    complete = run(path, "fan", "Fan", target="echo", items=items)
    assert [(one.success, one.error) for one in complete.results] == [(True, "")] * 3
    assert [(one.result.n, one.result.text) for one in complete.results] == [(1, "one"), (2, "two"), (3, "three")]


@pytest.mark.parametrize("target", ["echo", "cpu"])
def test_five_thousand_items(path: Path, target: str) -> None:
    complete = run(with_worker(path) if target == "cpu" else path, "fan", "Fan", target=target, count=5_000)
    assert complete.successful == 5_000
    assert [one.result.n for one in complete.results] == list(range(5_000))


def test_many_buffers_at_once(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        fan: Callable[[int], Any] = lambda n: payload(organism, "Fan", target="shuffled", count=n)  # noqa: E731
        ids = [await organism.inject("fan", fan(n)) for n in range(1, 60)]
        totals = [(await organism.outputs(one))[0].payload.successful for one in ids]
        assert totals == list(range(1, 60))
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_sequence_feeds_each_result_to_the_next_step(path: Path) -> None:
    complete = run(with_worker(path), "fan", "Chain", steps=["plus", "plus", "plus", "cpu"], n=10)
    assert (complete.steps, complete.result.n) == (4, 13)


@pytest.mark.parametrize(
    ("steps", "code", "step", "index"),
    [
        ([], "no_items", "", -1),
        (["plus", "nobody"], "unknown_target", "nobody", 1),
        (["receiver"], "bad_payload", "receiver", 0),
        (["plus", "picky"], "exception", "picky", 1),
        (["plus", "silent", "plus"], "no_answer", "silent", 1),
        (["plus", "loud_silence", "plus"], "no_answer", "loud_silence", 1),
        (["echo", "plus"], "bad_payload", "plus", 1),
    ],
)
def test_a_failed_step_is_a_sequence_error_with_its_name_and_index(
    path: Path, steps: list[str], code: str, step: str, index: int
) -> None:
    async def scenario(organism: Organism) -> Any:
        [output] = await ask(organism, "tolerant", "Chain", steps=steps, n=2)
        assert_nothing_left(organism)
        return output.payload

    found = live(path, scenario)
    assert type(found).__name__ == "SequenceError"
    assert (found.code, found.step, found.index) == (code, step, index)


def test_a_buffer_inside_a_sequence(path: Path) -> None:
    complete = run(path, "fan", "Chain", steps=["plus", "summing", "plus"], n=3)
    assert complete.result.n == sum(range(5)) + 1


def test_a_sequence_inside_a_buffer(path: Path) -> None:
    complete = run(path, "fan", "Fan", target="stepping", count=40)
    assert [one.result.n for one in complete.results] == [n + 2 for n in range(40)]


def test_buffers_inside_buffers(path: Path) -> None:
    complete = run(path, "fan", "Fan", target="summing", count=30)
    assert [one.result.n for one in complete.results] == [n * (n + 1) // 2 for n in range(30)]


def test_a_sequence_of_sequences_and_buffers(path: Path) -> None:
    complete = run(path, "fan", "Chain", steps=["stepping", "summing", "stepping"], n=2)
    assert complete.result.n == sum(range(5)) + 2
