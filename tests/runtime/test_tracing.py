"""What a trace tells of conversations that really ran."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from runtime.living import ask, inject_many, live, until, write
from xpipe import Organism
from xpipe.inspection.tracing import Trace, TracedCall, follow, trace_of

BACKENDS = [{"type": "memory"}, {"type": "sqlite", "path": "state.db"}]


async def traced(organism: Organism, to: str, **fields: int) -> Trace:
    [output, *_] = await ask(organism, to, **fields)
    return trace(organism, output.conversation)


def trace(organism: Organism, id: str) -> Trace:
    conversation = organism.backend.conversation(id)
    assert conversation is not None
    return trace_of(organism.backend, conversation)


def tree(call: TracedCall) -> tuple[object, ...]:
    return (call.thread.listener, call.state, call.code, *map(tree, call.calls))


@pytest.mark.parametrize("backend", BACKENDS, ids=["memory", "sqlite"])
def test_a_trace_tells_who_called_whom_and_what_came_of_it(tmp_path: Path, backend: dict[str, str]) -> None:
    code = """
async def top(message: Ask | Answer | Fault, m: HandlerMetadata):
    if isinstance(message, Ask):
        return [HandlerResponse(message, to="left"), HandlerResponse(message, to="right")]
    return respond(Answer(1)) if isinstance(message, Fault) else None

async def left(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def right(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="deep")

async def deep(ask: Ask, m: HandlerMetadata):
    raise ValueError("too deep")
"""
    path = write(tmp_path, code, {name: {} for name in ("top", "left", "right", "deep")}, backend=backend)

    async def scenario(organism: Organism) -> None:
        found = await traced(organism, "top", n=7)

        assert (found.initiator, found.conversation.state, found.hops, found.retries) == ("api-1", "done", 7, 0)
        [call] = found.calls
        failing = ("right", "failed", "exception", ("deep", "failed", "exception"))
        assert tree(call) == ("top", "done", "", ("left", "done", ""), failing)
        assert [one.message.kind for one in call.handled] == ["request", "response", "fault"]
        assert call.reply is not None
        assert (call.request.type, call.reply.type) == ("Ask", "Answer")

    live(path, scenario)


def test_times_follow_each_other(tmp_path: Path) -> None:
    code = """
async def waits(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.02)
    return respond(Answer())
"""
    path = write(tmp_path, code, {"waits": {"concurrency": 1}})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "waits", 2)
        await organism.idle()
        first, second = (trace(organism, id).calls[0] for id in ids)

        for call in (first, second):
            [attempt] = call.attempts
            assert call.request.at <= attempt.began <= attempt.ended
            assert attempt.began <= call.ended <= attempt.ended
            assert attempt.ran >= 0.02
        assert second.handled[0].waited >= 0.02  # Only one of them may run at a time.

    live(path, scenario)


def test_each_attempt_is_told_with_its_outcome(tmp_path: Path) -> None:
    code = """
async def flaky(ask: Ask, m: HandlerMetadata):
    if m.attempt < 3:
        raise ValueError("not yet")
    return respond(Answer(m.attempt))
"""
    path = write(tmp_path, code, {"flaky": {"retry": {"max_attempts": 3, "backoff": 0.03, "jitter": 0}}})

    async def scenario(organism: Organism) -> None:
        found = await traced(organism, "flaky")

        assert (found.hops, found.retries) == (1, 2)
        first, second, third = found.calls[0].attempts
        assert [one.number for one in (first, second, third)] == [1, 2, 3]
        assert [one.outcome for one in (first, second, third)] == ["exception", "exception", ""]
        assert first.again >= first.ended + 0.02
        assert second.began >= first.again
        assert third.again == 0.0

    live(path, scenario)


def test_the_process_of_each_attempt_is_told(tmp_path: Path) -> None:
    code = """
def works(ask: Ask, m: HandlerMetadata):
    return respond(Answer(os.getpid()))

def plain(ask: Ask, m: HandlerMetadata):
    return respond(Answer(os.getpid()))
"""
    path = write(tmp_path, code, {"works": {"cpu_bound": True}, "plain": {}})

    async def scenario(organism: Organism) -> None:
        for listener in ("works", "plain"):
            [output] = await ask(organism, listener)
            [attempt] = trace(organism, output.conversation).calls[0].attempts
            assert attempt.process == f"{socket.gethostname()}:{output.payload.n}"
            assert (output.payload.n == os.getpid()) == (listener == "plain")

    live(path, scenario, workers=1)


def test_the_items_of_a_buffer_and_the_steps_of_a_sequence_are_calls_of_it(tmp_path: Path) -> None:
    code = """
async def top(message: Ask | BufferComplete | SequenceComplete, m: HandlerMetadata):
    if isinstance(message, Ask):
        return HandlerResponse(BufferStart("item", [Ask(n) for n in range(3)]), to="system.buffer")
    if isinstance(message, BufferComplete):
        return HandlerResponse(SequenceStart(["item", "item"], Ask(1)), to="system.sequence")
    return respond(Answer())

async def item(ask: Ask | Answer, m: HandlerMetadata):
    if ask.n == 2:
        raise ValueError("two")
    return respond(Answer(ask.n))
"""
    path = write(tmp_path, code, {"top": {}, "item": {}})

    async def scenario(organism: Organism) -> None:
        [call] = (await traced(organism, "top")).calls

        item, failing = ("item", "done", ""), ("item", "failed", "exception")
        assert tree(call) == (
            "top",
            "done",
            "",
            ("system.buffer", "done", "", item, item, failing),
            ("system.sequence", "done", "", item, item),
        )

    live(path, scenario)


def replies(call: TracedCall) -> list[tuple[str, str]]:
    return [(one.thread.listener, one.reply.type if one.reply else "") for one in call.calls]


def test_what_the_items_of_a_buffer_answered_is_found_wherever_its_results_went(tmp_path: Path) -> None:
    code = """
from xpipe import Items

async def top(message: Ask | BufferComplete | Answer, m: HandlerMetadata):
    if isinstance(message, BufferComplete):
        return HandlerResponse(BufferStart("item", [Ask(5)], return_to="counts"), to="system.buffer")
    if isinstance(message, Answer):
        return respond(message)
    return HandlerResponse(BufferStart("all", [Items([Ask(1), Ask(2)])]), to="system.buffer")

async def item(ask: Ask, m: HandlerMetadata):
    if ask.n == 2:
        raise ValueError("two")
    return respond(Answer(ask.n))

async def counts(complete: BufferComplete, m: HandlerMetadata):
    return respond(Answer(complete.total))
"""
    path = write(tmp_path, code, {"top": {}, "item": {}, "counts": {}})
    path.write_text(path.read_text().replace("listeners:", "listeners:\n- {name: all, buffer: item}"))

    async def scenario(organism: Organism) -> None:
        [call] = (await traced(organism, "top")).calls

        first, second, *_ = call.calls
        assert replies(first) == [("all", "BufferComplete")]
        assert replies(first.calls[0]) == [("item", "Answer"), ("item", "")]
        assert replies(second) == [("item", "Answer")]

    live(path, scenario)


def test_what_is_under_way_is_told_as_far_as_it_is(tmp_path: Path) -> None:
    code = """
async def top(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="stuck")

async def stuck(ask: Ask, m: HandlerMetadata):
    (HERE / "begun").touch()
    await asyncio.sleep(60)
"""
    path = write(tmp_path, code, {"top": {}, "stuck": {}})

    async def scenario(organism: Organism) -> None:
        [id] = await inject_many(organism, "top", 1)
        await until((tmp_path / "begun").exists)
        running = trace(organism, id)
        await organism.cancel(id)
        cancelled = trace(organism, id)

        assert [tree(call) for call in running.calls] == [("top", "waiting", "", ("stuck", "active", ""))]
        assert running.calls[0].ended == 0.0
        # The initiator was told; those in between wanted no answer any more.
        assert [tree(call) for call in cancelled.calls] == [("top", "failed", "cancelled", ("stuck", "given up", ""))]

    live(path, scenario)


def test_sequential_calls_of_one_thread_are_kept_apart(tmp_path: Path) -> None:
    code = """
async def top(message: Ask | Answer, m: HandlerMetadata):
    if message.n == 3:
        return respond(Answer(3))
    return HandlerResponse(Ask(message.n + 1), to="below")

async def below(message: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(message, to="last") if isinstance(message, Ask) else respond(message)

async def last(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""
    path = write(tmp_path, code, {"top": {}, "below": {}, "last": {}})

    async def scenario(organism: Organism) -> None:
        [call] = (await traced(organism, "top")).calls

        below = ("below", "done", "", ("last", "done", ""))
        assert tree(call) == ("top", "done", "", below, below, below)
        assert len({one.thread.thread for one in call.calls}) == 1

    live(path, scenario)


def test_a_call_that_nobody_answered_is_told(tmp_path: Path) -> None:
    code = """
async def top(ask: Ask, m: HandlerMetadata):
    return [HandlerResponse(ask, to="silent"), respond(Answer())]

async def silent(ask: Ask, m: HandlerMetadata):
    return None
"""
    path = write(tmp_path, code, {"top": {}, "silent": {}})

    async def scenario(organism: Organism) -> None:
        [call] = (await traced(organism, "top")).calls
        await organism.idle()

        assert tree(call) == ("top", "done", "", ("silent", "unanswered", ""))

    live(path, scenario)


def test_following_tells_every_attempt_until_the_end(tmp_path: Path) -> None:
    code = """
async def top(message: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(message, to="below") if isinstance(message, Ask) else respond(message)

async def below(ask: Ask, m: HandlerMetadata):
    return respond(Answer())
"""
    path = write(tmp_path, code, {"top": {}, "below": {}})

    async def scenario(organism: Organism) -> None:
        [id] = await inject_many(organism, "top", 1)

        told = await asyncio.to_thread(lambda: [hop.listener for hop in follow(organism.backend, id)])

        assert told == ["top", "below", "top"]

    live(path, scenario)
