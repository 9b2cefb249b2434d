"""What a trace tells of what is still under way, and of what was given up amid."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from runtime.living import ask, inject_many, live, until, write
from xpipe import Organism
from xpipe.cli.console import Medium, Printer
from xpipe.cli.trace_rows import call_rows
from xpipe.cli.trace_view import TraceView, attempt_line
from xpipe.inspection.lookup import newest_conversation
from xpipe.inspection.tracing import Trace, follow, trace_of
from xpipe.ports import SharedBackend
from xpipe.state.config import BackendConfig
from xpipe.state.factory import attach_backend

STUCK = """
async def stuck(ask: Ask, m: HandlerMetadata):
    (HERE / "begun").touch()
    await asyncio.sleep(60)
"""


def trace(backend: SharedBackend, id: str) -> Trace:
    conversation = backend.conversation(id)
    assert conversation is not None
    return trace_of(backend, conversation)


def text(found: Trace) -> str:
    return "\n".join(TraceView(Printer(Medium(None, color=False, live=False)), found, False, None).lines())


def test_a_message_that_runs_is_told_with_its_time_and_process_and_one_that_was_cancelled_as_not_known(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, STUCK, {"stuck": {}})

    async def scenario(organism: Organism) -> None:
        [id] = await inject_many(organism, "stuck", 1)
        await until((tmp_path / "begun").exists)
        running = trace(organism.backend, id)
        await organism.cancel(id)
        cancelled = trace(organism.backend, id)

        [call] = running.calls
        assert call.pending is not None
        assert (call.pending.doing, call.pending.message.id) == ("runs", call.request.id)
        assert call.pending.seconds > 0
        assert call.waited is None
        assert call.pending.process == f"{socket.gethostname()}:{os.getpid()}"
        assert "runs, sent " in text(running)
        assert "▒▒▒" in text(running)
        [row] = call_rows(running, payloads=False)
        assert row["now"] is not None
        assert (row["now"]["doing"], row["now"]["process"]) == ("runs", call.pending.process)
        assert (row["waited_seconds"], row["now"]["since"]) == (None, row["sent"])
        [over] = cancelled.calls
        assert (over.pending, over.waited) == (None, None)
        assert "▒▒▒" in text(cancelled)

    live(path, scenario)


def test_while_others_of_a_listener_wait_nothing_tells_which_of_them_runs(tmp_path: Path) -> None:
    path = write(tmp_path, STUCK, {"stuck": {"concurrency": 1}})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "stuck", 2)
        await until((tmp_path / "begun").exists)

        told = [trace(organism.backend, id).calls[0].pending for id in ids]

        assert [one.doing for one in told if one] == ["unknown", "unknown"]

    live(path, scenario)


def test_a_message_that_is_tried_again_later_waits_until_then(tmp_path: Path) -> None:
    code = """
async def flaky(ask: Ask, m: HandlerMetadata):
    raise ValueError("not yet")
"""
    path = write(tmp_path, code, {"flaky": {"retry": {"max_attempts": 2, "backoff": 60, "jitter": 0}}})

    async def scenario(organism: Organism) -> None:
        [id] = await inject_many(organism, "flaky", 1)
        await until(lambda: bool(list(organism.backend.hops(id))))

        found = trace(organism.backend, id)

        assert "waits, tried again in " in text(found)
        assert "exception, retried" in text(found)

    live(path, scenario)


def test_without_a_run_a_message_waits_and_for_how_long_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, STUCK, {"stuck": {}}, backend={"type": "sqlite", "path": "state.db"})

    async def scenario(organism: Organism) -> str:
        [id] = await inject_many(organism, "stuck", 1)
        await until((tmp_path / "begun").exists)
        return id

    id = live(path, scenario)
    backend = attach_backend(BackendConfig("sqlite", sqlite_path=str(tmp_path / "state.db")))
    backend.open(None, 1000)
    try:
        found = trace(backend, id)
    finally:
        backend.close()

    [call] = found.calls
    assert call.pending is not None
    assert (call.pending.doing, call.pending.process) == ("waits", "")
    assert call.waited == call.pending.seconds > 0
    assert "waits, sent " in text(found)
    assert "░░░" in text(found)


def test_the_pause_before_a_step_is_tried_again_is_no_attempt(tmp_path: Path) -> None:
    code = """
from xpipe import RetryPolicy, SequenceStep

async def top(message: Ask | Fault, m: HandlerMetadata):
    if isinstance(message, Ask):
        steps = [SequenceStep("flaky", retry=RetryPolicy(max_attempts=2, backoff=0.02))]
        return HandlerResponse(SequenceStart(steps, Ask(1)), to="system.sequence")
    return respond(Answer())

async def flaky(ask: Ask, m: HandlerMetadata):
    raise ValueError("no")
"""
    path = write(tmp_path, code, {"top": {}, "flaky": {}})

    async def scenario(organism: Organism) -> None:
        [output, *_] = await ask(organism, "top")
        await organism.idle()

        found = trace(organism.backend, output.conversation)

        [paused] = [line for line in text(found).splitlines() if "put off" in line]
        assert "for " in paused
        assert "attempt" not in text(found)
        told = [attempt_line(hop) for hop in follow(organism.backend, output.conversation)]
        assert sum("  put off for " in line for line in told) == 1

    live(path, scenario)


def test_the_newest_conversation_is_the_one_injected_last_or_the_last_of_those_that_run(tmp_path: Path) -> None:
    code = """
async def slow(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="below") if ask.n == 0 else respond(Answer())

async def below(ask: Ask, m: HandlerMetadata):
    (HERE / "begun").touch()
    await asyncio.sleep(60)
"""
    path = write(tmp_path, code, {"slow": {}, "below": {}})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "slow", 3)
        await until((tmp_path / "begun").exists)
        await until(lambda: len(list(organism.backend.conversations(running=True))) == 1)

        assert newest_conversation(organism.backend) == ids[2]
        assert newest_conversation(organism.backend, running=True) == ids[0]

    live(path, scenario)


def test_whoever_follows_looks_at_other_things_too_while_nothing_happens(tmp_path: Path) -> None:
    path = write(tmp_path, STUCK, {"stuck": {}})

    async def scenario(organism: Organism) -> None:
        [id] = await inject_many(organism, "stuck", 1)
        looks: list[int] = []

        def look() -> None:
            looks.append(len(looks))

        following = asyncio.create_task(asyncio.to_thread(lambda: list(follow(organism.backend, id, look))))
        await until(lambda: len(looks) >= 2)
        await organism.cancel(id)

        assert await following == []

    live(path, scenario)
