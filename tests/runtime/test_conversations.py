"""Calls, replies, threads and faults between real handlers, through the running pump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, fault, inject_many, live, payload, until, write
from xpipe import Organism

BASICS = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, ask.text))

async def silent(ask: Ask, m: HandlerMetadata):
    return None

async def broken(ask: Ask, m: HandlerMetadata):
    raise ValueError("broken as asked")
"""


def chains_of(organism: Organism) -> list[str]:
    return sorted(record.chain for record in organism.backend.threads())


def test_two_messages_to_one_listener_never_share_a_thread(tmp_path: Path) -> None:
    code = """
async def recalls(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0)
    return respond(Answer(len(m.history), m.thread_id))
"""
    path = write(tmp_path, code, {"recalls": {}})

    async def scenario(organism: Organism) -> list[Any]:
        ids = await inject_many(organism, "recalls", 50)
        return [(await organism.outputs(one))[0].payload for one in ids]

    answers = live(path, scenario)
    assert {one.n for one in answers} == {1}
    assert len({one.text for one in answers}) == 50


def test_a_dotted_listener_answers_its_caller(tmp_path: Path) -> None:
    code = """
async def calculator(ask: Ask | Answer, m: HandlerMetadata):
    return respond(Answer(-1, "the wrong one"))
async def calculator_add(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, m.from_id))
async def main_caller(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="calculator.add") if isinstance(ask, Ask) else respond(ask)
"""
    path = write(tmp_path, code, {"calculator": {}, "calculator.add": {}, "main.caller": {}})

    async def scenario(organism: Organism) -> list[tuple[int, str]]:
        found = [await answer(organism, name, n=1) for name in ("calculator.add", "main.caller")]
        assert [chain.rpartition(".")[2] for chain in chains_of(organism)].count("calculator%2Eadd") == 2
        return [(one.n, one.text) for one in found]

    assert live(path, scenario) == [(2, "api-1"), (2, "main.caller")]


def test_a_self_call_goes_on_in_the_same_thread_and_answers_the_same_caller(tmp_path: Path) -> None:
    code = """
async def counts(ask: Ask, m: HandlerMetadata):
    if ask.n < 5:
        return HandlerResponse(Ask(ask.n + 1, f"{ask.text} {m.is_self_call} {m.from_id}"), to="counts")
    return respond(Answer(len(m.history), ask.text))
"""
    path = write(tmp_path, code, {"counts": {"peers": []}})

    async def scenario(organism: Organism) -> tuple[int, str, int]:
        found = await answer(organism, "counts")
        return found.n, found.text, organism.backend.totals().threads

    told = " False api-1" + " True counts" * 4
    assert live(path, scenario) == (6, told, 2)


def test_a_second_answer_is_dropped_and_counted(tmp_path: Path) -> None:
    code = (
        BASICS
        + """
async def twice(ask: Ask, m: HandlerMetadata):
    return [respond(Answer(1)), respond(Answer(2)), respond(Answer(3))]
async def caller(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="twice") if isinstance(ask, Ask) else respond(ask)
async def later(ask: Ask | Answer, m: HandlerMetadata):
    return [HandlerResponse(Ask(9), to="echo"), respond(Answer(1))] if isinstance(ask, Ask) else respond(ask)
"""
    )
    path = write(tmp_path, code, {"twice": {}, "caller": {}, "later": {}, "echo": {}})

    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "twice")).n == 1
        assert organism.stats.dropped == 2
        assert (await answer(organism, "caller")).n == 1
        assert organism.stats.dropped == 4
        assert (await answer(organism, "later")).n == 1  # The reply of echo comes when the call is answered.
        assert organism.stats.dropped == 5
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_reply_to_a_finished_call_is_late_and_never_run(tmp_path: Path) -> None:
    code = (
        BASICS
        + """
async def slow(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.1)
    return respond(Answer(7))
async def caller(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Answer):
        (HERE / "ran").touch()
        return None
    return [HandlerResponse(ask, to="slow"), HandlerResponse(ask, to="broken")]
"""
    )
    path = write(tmp_path, code, {"slow": {}, "broken": {}, "caller": {}})

    async def scenario(organism: Organism) -> None:
        # Given a caller that fails by the fault of one call while another is open
        found = await fault(organism, "caller")
        assert found.origin == "broken"
        # Then the other's answer is recorded as late, counted, and not handled
        assert organism.stats.late == 1
        assert not (tmp_path / "ran").exists()
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_broadcast_group_is_one_call_thread_and_reply_each(tmp_path: Path) -> None:
    code = """
async def search_google(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.01)
    return respond(Answer(1, m.own_name))
async def search_bing(ask: Ask, m: HandlerMetadata):
    return respond(Answer(2, m.own_name))
def search_cpu(ask: Ask, m: HandlerMetadata):
    return respond(Answer(3, m.own_name))
async def asks(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return HandlerResponse(ask, to="search")
    told = [slot.payload.text for slot in m.history if slot.kind == "response"]
    return respond(Answer(len(told), " ".join(sorted(told)))) if len(told) == 3 else None
"""
    member = {"broadcast": True}
    path = write(
        tmp_path,
        code,
        {"search.google": member, "search.bing": member, "search.cpu": {"cpu_bound": True, **member},
         "asks": {"peers": ["search"]}},
    )  # fmt: skip

    async def scenario(organism: Organism) -> None:
        found = await answer(organism, "asks")
        assert (found.n, found.text) == (3, "search.bing search.cpu search.google")
        outputs = await ask(organism, "search")
        assert sorted(output.payload.n for output in outputs) == [1, 2, 3]
        assert {output.sender for output in outputs} == {"search.google", "search.bing", "search.cpu"}

    live(path, scenario, workers=1)


def test_messages_of_a_thread_are_handled_one_at_a_time_and_in_order(tmp_path: Path) -> None:
    code = (
        BASICS
        + """
now, order = 0, []
async def collects(ask: Ask | Answer, m: HandlerMetadata):
    global now
    assert now == 0, "two messages of one thread at a time"
    now += 1
    await asyncio.sleep(0.003 if isinstance(ask, Answer) and ask.n % 2 else 0)
    now -= 1
    if isinstance(ask, Ask):
        return [HandlerResponse(Ask(n), to="echo") for n in range(30)]
    order.append(ask.n)
    seen = [slot.payload.n for slot in m.history if slot.kind == "response"]
    assert seen == order, "the history ends with the message that is handled"
    return respond(Answer(len(order), str(order))) if len(order) == 30 else None
"""
    )
    path = write(tmp_path, code, {"collects": {}, "echo": {}})

    async def scenario(organism: Organism) -> str:
        return str((await answer(organism, "collects")).text)

    assert live(path, scenario) == str(list(range(30)))


def test_one_thread_can_ask_many_and_collect_their_replies(tmp_path: Path) -> None:
    code = """
async def slow(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.01 * (ask.n % 3))
    return respond(Answer(ask.n * 10))
async def asks(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return [HandlerResponse(Ask(n), to="slow") for n in range(20)]
    told = [slot.payload.n for slot in m.history if slot.kind == "response"]
    return respond(Answer(sum(told))) if len(told) == 20 else None
"""
    path = write(tmp_path, code, {"slow": {}, "asks": {}})

    async def scenario(organism: Organism) -> int:
        found = await answer(organism, "asks")
        names = [chain.rpartition(".")[2] for chain in chains_of(organism)]
        assert sorted(name for name in names if name.startswith("slow")) == sorted(
            ["slow", *(f"slow~{n}" for n in range(2, 21))]
        )
        return int(found.n)

    assert live(path, scenario) == sum(range(20)) * 10


PASSING = (
    BASICS
    + """
async def top(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="middle") if isinstance(ask, Ask) else respond(ask)
async def middle(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to=ask.text) if isinstance(ask, Ask) else respond(ask)
async def catches(ask: Ask | Answer | Fault, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return HandlerResponse(ask, to="top")
    return respond(Answer(ask.hop, f"{ask.code} {ask.origin} {m.from_id}") if isinstance(ask, Fault) else ask)
async def asks_wrongly(ask: Ask | Fault, m: HandlerMetadata):
    if isinstance(ask, Fault):
        return respond(Answer(0, f"{ask.code}: {ask.text}"))
    if ask.text == "type":
        return HandlerResponse(Answer(1), to="echo")
    return HandlerResponse(Ask(1), to=ask.text)
async def takes_only_asks(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(Ask(1), to="echo")
def cpu_broken(ask: Ask, m: HandlerMetadata):
    raise ValueError("broken in a worker")
async def answers_with_a_fault(ask: Ask, m: HandlerMetadata):
    return respond(Fault("sold_out", "none left"))
"""
)

PASSING_LISTENERS: dict[str, dict[str, Any]] = {
    "echo": {},
    "broken": {},
    "silent": {},
    "top": {},
    "middle": {},
    "catches": {},
    "asks_wrongly": {"peers": ["echo", "nobdy"]},
    "takes_only_asks": {},
    "cpu_broken": {"cpu_bound": True},
    "answers_with_a_fault": {},
}


@pytest.fixture
def passing(tmp_path: Path) -> Path:
    listeners = dict(PASSING_LISTENERS, asks_wrongly={"peers": ["echo"]})
    return write(tmp_path, PASSING, listeners)


@pytest.mark.parametrize(
    ("where", "code", "text"),
    [
        ("broken", "exception", "ValueError: broken as asked"),
        ("cpu_broken", "exception", "ValueError: broken in a worker"),
        ("takes_only_asks", "unaccepted_reply", "takes_only_asks does not accept the reply Answer of echo"),
    ],
)
def test_a_fault_travels_up_the_chain_with_its_origin(passing: Path, where: str, code: str, text: str) -> None:
    async def scenario(organism: Organism) -> None:
        found = await fault(organism, "top", text=where)
        assert (found.code, found.text.partition(";")[0]) == (code, text)
        if code == "exception":
            assert (found.origin, found.hop) == (where, 3)
            assert "raise ValueError" in found.traceback
        # The caller that accepts faults gets it as the reply of whom it called.
        caught = await answer(organism, "catches", text=where)
        assert caught.text.split()[0] == code
        assert caught.text.split()[2] == "top"
        assert_nothing_left(organism)

    live(passing, scenario, workers=1)


def test_a_handler_may_answer_with_a_fault_of_its_own(passing: Path) -> None:
    async def scenario(organism: Organism) -> tuple[str, str]:
        found = await fault(organism, "top", text="answers_with_a_fault")
        assert organism.backend.totals().dead_letters == 0
        assert_nothing_left(organism)
        return found.code, found.text

    assert live(passing, scenario, workers=1) == ("sold_out", "none left")


def test_a_fault_a_handler_answers_with_carries_its_origin(passing: Path) -> None:
    async def scenario(organism: Organism) -> tuple[str, int]:
        found = await fault(organism, "top", text="answers_with_a_fault")
        return found.origin, found.hop

    assert live(passing, scenario, workers=1) == ("answers_with_a_fault", 3)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("ehco", "unknown_target: asks_wrongly sends to ehco, and there is no listener of that name; "
                 "did you mean echo?"),
        ("broken", "forbidden_peer: asks_wrongly sends to broken, and its peers are echo; add broken to its peers"),
        ("type", "bad_payload: asks_wrongly sends a Answer to echo, which accepts Ask"),
    ],
)  # fmt: skip
def test_a_refused_call_is_a_fault_to_the_sender(passing: Path, target: str, told: str) -> None:
    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "asks_wrongly", text=target)).text == told
        assert_nothing_left(organism)

    live(passing, scenario, workers=1)


def test_a_payload_of_a_wrong_type_is_a_fault_that_names_the_field(tmp_path: Path) -> None:
    code = """
async def sends(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(Ask("seven", ask.text), to="takes")
def takes(ask: Ask, m: HandlerMetadata):
    return respond(Answer(1))
"""
    for options in ({}, {"inline": True}, {"cpu_bound": True}):
        path = write(tmp_path, code, {"sends": {}, "takes": options})

        async def scenario(organism: Organism) -> tuple[str, str]:
            found = await fault(organism, "sends")
            assert_nothing_left(organism)
            return found.code, found.text

        found, text = live(path, scenario, workers=1)
        assert (found, text[:5], "$.n" in text) == ("bad_payload", "Ask: ", True)


def test_a_silent_callee_ends_the_conversation_unanswered(passing: Path) -> None:
    async def scenario(organism: Organism) -> None:
        assert await ask(organism, "top", text="silent") == []
        assert organism.stats.unanswered == 3
        assert_nothing_left(organism)

    live(passing, scenario, workers=1)


def test_a_dead_letter_nobody_is_told_of_is_an_event(tmp_path: Path) -> None:
    code = """
async def answers_first(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Answer):
        raise ValueError("too late to tell")
    return [respond(Answer(1)), HandlerResponse(Ask(2), to="echo")]
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""
    path = write(tmp_path, code, {"answers_first": {}, "echo": {}})

    async def scenario(organism: Organism) -> None:
        found = await answer(organism, "answers_first")
        assert found.n == 1
        await until(lambda: organism.stats.fault_count == 1)
        assert organism.backend.totals().dead_letters == 1
        assert_nothing_left(organism)

    live(path, scenario)


def test_payload_texts_of_all_kinds_arrive_unchanged(tmp_path: Path) -> None:
    code = (
        BASICS
        + """
async def asks(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(ask, to="echo") if isinstance(ask, Ask) else respond(ask)
"""
    )
    path = write(tmp_path, code, {"asks": {}, "echo": {}})
    texts = ["", "\x00", "ä€😀", "a\r\nb", " " * 1_000, "<a>&amp;</a>", "\u2028\ufeff"]

    async def scenario(organism: Organism) -> list[str]:
        ids = [await organism.inject("asks", payload(organism, text=text)) for text in texts]
        return [(await organism.outputs(one))[0].payload.text for one in ids]

    assert live(path, scenario) == texts
