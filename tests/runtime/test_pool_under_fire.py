"""One message of many ends, fills, stops or outgrows its worker: it alone is blamed, and the pool is whole again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.living import ask, assert_nothing_left, inject_many, is_alive, live, payload, until, write
from xpipe import Organism

CODE = """
import ctypes, resource

MEGABYTE = 1 << 20
LEAKED: list[bytearray] = []
KEPT: Any = None

@dataclass
class Thing:
    content: Any

def kill(ask, m): os.kill(os.getpid(), signal.SIGKILL)
def leave(ask, m): os._exit(3)
def abort(ask, m): os.abort()
def segfault(ask, m): ctypes.string_at(0)
def hang(ask, m): re.match("(a+)+$", "a" * 60 + "b")
def recurse(ask, m): recurse(ask, m)
def lack(ask, m): import no_such_library
def strange(ask, m): return respond(HandlerResponse(ask))
def unwritable(ask, m): return respond(Thing(threading.Lock()))
def huge(ask, m): return respond(Answer(ask.n, "x" * 2 * MEGABYTE))

def circle(ask, m):
    round = []
    round.append(round)
    return respond(Thing(round))

def fill():
    "Take all the memory there is: 64 megabytes more than now."
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * MEGABYTE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    taken = []
    while True:
        taken.append(bytearray(MEGABYTE))

def exhaust(ask, m): fill()

def exhaust_the_system(ask, m):
    try:
        fill()
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # As the kernel does it when there is no memory left for anybody.

def exhaust_for_good(ask, m):
    global KEPT
    try:
        fill()
    except MemoryError as error:
        KEPT = error  # With it all frames and what they hold.
    return respond(Answer(ask.n, f"{os.getpid()} {m.attempt}"))

def work(ask: Ask, m: HandlerMetadata):
    if not ask.text:
        return respond(Answer(ask.n, f"{os.getpid()} {m.attempt}"))
    return globals()[ask.text](ask, m)

def large(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, "x" * 200 * MEGABYTE))

def pair(ask: Ask, m: HandlerMetadata):
    (HERE / f"{ask.text}{ask.n}").touch()
    wait_for(f"{ask.text}{1 - ask.n}")
    return respond(Answer(os.getpid()))

def slow_to_send(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    wait_for("blocked")
    (HERE / "ended").touch()
    return respond(Answer(ask.n, "x" * 5 * MEGABYTE))

async def block(ask: Ask, m: HandlerMetadata):
    (HERE / "blocked").touch()
    wait_for("ended")
    time.sleep(1.6)

def wait_for(name: str):
    end = time.monotonic() + 10
    while not (HERE / name).exists():
        assert time.monotonic() < end
        time.sleep(0.005)

def leak(ask: Ask, m: HandlerMetadata):
    LEAKED.append(bytearray(MEGABYTE))
    return respond(Answer(len(LEAKED), str(m.attempt)))
"""


@dataclass(frozen=True)
class Guilt:
    """A message whose text is `how`, and the fault it ends in: its code, how it begins, in which attempt."""

    how: str
    code: str
    text: str
    attempt: int = 1
    to: str = "work"


LOST = "the worker process {} while it ran this message"
TYPICAL = [
    Guilt("kill", "worker_lost", LOST.format("was killed by SIGKILL"), 3),
    Guilt("segfault", "worker_lost", LOST.format("was killed by SIGSEGV"), 3),
    Guilt("hang", "timeout", "no answer within 0.5 s; ", to="hurried"),
    Guilt("exhaust", "exception", "MemoryError"),
    Guilt("recurse", "exception", "RecursionError: "),
    Guilt("strange", "unknown_type", "HandlerResponse is "),
    Guilt("huge", "payload_too_large", "Answer takes 2097"),
]
OTHERS = [
    Guilt("lack", "exception", "ModuleNotFoundError: "),
    Guilt("unwritable", "bad_payload", "Thing.content cannot be encoded"),
    Guilt("circle", "bad_payload", "Thing cannot be encoded"),
    Guilt("leave", "worker_lost", LOST.format("exited with status 3"), 3),
    Guilt("abort", "worker_lost", LOST.format("was killed by SIGABRT"), 3),
    Guilt("exhaust_the_system", "worker_lost", LOST.format("was killed by SIGKILL"), 3),
]
ON_SQLITE = [one for one in TYPICAL if one.how in ("kill", "recurse", "strange")]
CELLS = [
    *(pytest.param(one, {"type": "memory"}, id=one.how) for one in TYPICAL),
    *(pytest.param(one, {"type": "memory"}, id=one.how, marks=pytest.mark.slow) for one in OTHERS),
    *(
        pytest.param(one, {"type": "sqlite", "path": "state.db"}, id=f"{one.how}-sqlite", marks=pytest.mark.slow)
        for one in ON_SQLITE
    ),
]
WORKERS, INNOCENT = 2, 40
SMALL = {"payload_bytes": 1 << 20}


def make(folder: Path, **sections: Any) -> Path:
    cpu: dict[str, Any] = {"cpu_bound": True}
    listeners = {"work": cpu, "pair": cpu, "leak": cpu, "large": cpu, "block": {}}
    listeners["hurried"] = {**cpu, "timeout": 0.5, "handler": "handlers.py:work"}
    listeners["slow_to_send"] = {**cpu, "timeout": 1.5}
    return write(folder, CODE, listeners, **sections)


@pytest.mark.parametrize(("guilt", "backend"), CELLS)
def test_only_the_guilty_message_is_blamed_and_the_pool_is_whole_again(
    tmp_path: Path, guilt: Guilt, backend: dict[str, Any]
) -> None:
    path = make(tmp_path, backend=backend, limits=SMALL)

    async def scenario(organism: Organism) -> None:
        # When a guilty message comes amid innocent ones
        before = await inject_many(organism, "work", INNOCENT)
        guilty = await organism.inject(guilt.to, payload(organism, n=-1, text=guilt.how))
        after = await inject_many(organism, "work", INNOCENT)

        # Then it fails after as many attempts as it has
        [output] = await organism.outputs(guilty)
        found = output.payload
        assert (output.kind, found.code, found.attempt) == ("fault", guilt.code, guilt.attempt)
        assert found.text.startswith(guilt.text)
        # and it is the one dead letter, with its cause
        [letter] = organism.backend.dead_letters()
        cause = organism.types.decode("Fault", letter.fault)
        assert (cause.code, letter.attempts, letter.told) == (guilt.code, guilt.attempt, True)
        # and everybody else has an answer of a first attempt
        await assert_answered(organism, before)
        await assert_answered(organism, after)
        await assert_whole(organism)
        assert_nothing_left(organism)

    live(path, scenario, workers=WORKERS)


async def assert_answered(organism: Organism, conversations: list[str]) -> None:
    """Each of `conversations` was answered once, in the first attempt."""
    outputs = [await organism.outputs(one) for one in conversations]
    assert [[output.kind for output in one] for one in outputs] == [["response"]] * len(conversations)
    assert {one.payload.text.split()[1] for [one] in outputs} == {"1"}
    assert [one.payload.n for [one] in outputs] == list(range(len(conversations)))


async def assert_whole(organism: Organism) -> None:
    """As many workers as there should be are alive and take work: two messages that wait for each other are done."""
    pool = organism.pool
    assert pool is not None
    await until(lambda: len(pool.pids()) == WORKERS and all(map(is_alive, pool.pids())))
    pair = [await organism.inject("pair", payload(organism, n=n, text="pair")) for n in range(2)]
    assert {(await organism.outputs(one))[0].payload.n for one in pair} == set(pool.pids())


@pytest.mark.parametrize("megabytes", [10, 60], ids=["cannot decode", "cannot even read"])
def test_a_worker_without_memory_for_its_next_message_is_replaced(tmp_path: Path, megabytes: int) -> None:
    path = make(tmp_path)

    async def scenario(organism: Organism) -> None:
        # Given a worker whose memory a handler has taken for good
        [output] = await ask(organism, "work", text="exhaust_for_good")
        # When a message comes that it has no room for
        [late] = await ask(organism, "leak", text="x" * (megabytes << 20))
        # Then another one takes its place, and has
        assert late.kind == "response", late
        [after] = await ask(organism, "work")
        assert after.payload.text.split()[0] != output.payload.text.split()[0]
        assert_nothing_left(organism)

    live(path, scenario, workers=1)


def test_a_worker_that_ran_out_of_memory_runs_nothing_more(tmp_path: Path) -> None:
    path = make(tmp_path)

    async def scenario(organism: Organism) -> None:
        assert organism.pool is not None
        before = organism.pool.pids()
        exhausting = await organism.inject("work", payload(organism, text="exhaust"))
        answers = [await organism.outputs(one) for one in await inject_many(organism, "work", INNOCENT)]
        assert [output.payload.code for output in await organism.outputs(exhausting)] == ["exception"]
        assert {one.payload.text.split()[1] for [one] in answers} == {"1"}
        assert not {int(one.payload.text.split()[0]) for [one] in answers} & set(before)

    live(path, scenario, workers=1)


def test_workers_that_leak_are_replaced_before_it_matters(tmp_path: Path) -> None:
    path = make(tmp_path, process_pool={"max_tasks_per_child": 8})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "leak", 50)
        leaked = [(await organism.outputs(one))[0].payload for one in ids]
        assert {one.text for one in leaked} == {"1"}
        assert max(one.n for one in leaked) <= 8
        assert organism.stats.retries == 0
        await assert_whole(organism)

    live(path, scenario, workers=WORKERS)


def test_a_handler_that_ended_in_time_is_no_timeout_because_the_pump_reads_late(tmp_path: Path) -> None:
    path = make(tmp_path)

    async def scenario(organism: Organism) -> None:
        # When the pump is held up while a worker waits to be rid of a large result
        slow = await organism.inject("slow_to_send", payload(organism))
        await until((tmp_path / "began").exists)
        await organism.inject("block", payload(organism))
        # Then the time that it waits is not the handler's
        [output] = await organism.outputs(slow)
        assert output.kind == "response", output

    live(path, scenario, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("fits", [True, False])
def test_a_result_of_two_hundred_megabytes_passes_or_is_a_fault_and_holds_up_nobody(tmp_path: Path, fits: bool) -> None:
    path = make(tmp_path, limits={} if fits else {"payload_bytes": 100 << 20})

    async def scenario(organism: Organism) -> None:
        large = await organism.inject("large", payload(organism))
        await assert_answered(organism, await inject_many(organism, "work", INNOCENT))
        [output] = await organism.outputs(large)
        if fits:
            assert len(output.payload.text) == 200 << 20
        else:
            assert (output.payload.code, output.payload.attempt) == ("payload_too_large", 1)
        await assert_whole(organism)
        assert organism.pool is not None
        assert organism.pool.restarts == 0

    live(path, scenario, workers=WORKERS, deadline=60)
