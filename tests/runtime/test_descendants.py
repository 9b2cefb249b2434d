"""What handlers start and fork: ended with its worker, never a second pump or worker; and how a worker itself ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, fault, is_alive, live, payload, until, until_true, write
from runtime.test_pool import run_script
from xpipe import Organism

CPU: dict[str, Any] = {"cpu_bound": True, "timeout": 0}

PROGRAMS = """
import multiprocessing, subprocess

def started(name, *words):
    program = subprocess.Popen(words)
    (HERE / f"{name}.new").write_text(str(program.pid))
    (HERE / f"{name}.new").rename(HERE / name)
    return program

def waits(ask: Ask, m: HandlerMetadata):
    started(f"program{m.attempt}", "sleep", "60").wait()

def defies(ask: Ask, m: HandlerMetadata):
    started(f"program{m.attempt}", "sh", "-c", "trap '' TERM; while :; do sleep 60; done").wait()

def leaves(ask: Ask, m: HandlerMetadata):
    started(f"program{m.attempt}", "sleep", "60")
    return respond(Answer(m.attempt))

def forks(ask: Ask, m: HandlerMetadata):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    (HERE / "program1").write_text(str(child.pid))
    child.join()
"""


def pid_in(path: Path) -> int:
    until_true(path.exists)
    return int(path.read_text() or 0)


@pytest.mark.parametrize(
    "listener", ["defies", *(pytest.param(one, marks=pytest.mark.slow) for one in ("waits", "forks"))]
)
def test_processes_of_a_handler_end_when_it_times_out(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, PROGRAMS, {listener: {"cpu_bound": True, "timeout": 0.5}})

    async def scenario(organism: Organism) -> str:
        found = await fault(organism, listener)
        assert not is_alive(pid_in(tmp_path / "program1"))
        return str(found.code)

    assert live(path, scenario, workers=1) == "timeout"


def test_the_next_attempt_never_runs_beside_what_the_last_one_has_started(tmp_path: Path) -> None:
    code = PROGRAMS.replace(
        "def waits(ask: Ask, m: HandlerMetadata):\n",
        "def waits(ask: Ask, m: HandlerMetadata):\n"
        "    if m.attempt == 2:\n"
        "        alive = subprocess.run(['kill', '-0', (HERE / 'program1').read_text()]).returncode == 0\n"
        "        return respond(Answer(int(alive)))\n",
    )
    options = {"cpu_bound": True, "timeout": 0.5, "retry": {"max_attempts": 2, "backoff": 0}}
    path = write(tmp_path, code, {"waits": options})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "waits")).n)

    assert live(path, scenario, workers=2) == 0


def test_processes_of_a_handler_end_when_its_conversation_is_cancelled(tmp_path: Path) -> None:
    path = write(tmp_path, PROGRAMS, {"waits": CPU})

    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("waits", payload(organism))
        program = await asyncio.to_thread(pid_in, tmp_path / "program1")
        await organism.cancel(conversation)
        await until(lambda: not is_alive(program))

    live(path, scenario, workers=1)


@pytest.mark.parametrize("listener", [pytest.param("waits", marks=pytest.mark.slow), "leaves"])
def test_processes_of_a_handler_end_with_the_run(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, PROGRAMS, {listener: CPU})

    async def scenario(organism: Organism) -> None:
        await organism.inject(listener, payload(organism))
        await until((tmp_path / "program1").exists)

    live(path, scenario, workers=1)
    assert not is_alive(pid_in(tmp_path / "program1"))


def test_processes_of_a_handler_end_when_the_pump_is_killed(tmp_path: Path) -> None:
    # Given a pump with handlers that have started programs, and another process that a plain handler has forked
    code = (
        PROGRAMS
        + """
def plain(ask: Ask, m: HandlerMetadata):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    (HERE / "forked").write_text(str(child.pid))
    return respond(Answer(1))
"""
    )
    path = write(tmp_path, code, {"waits": CPU, "plain": {}})
    process = run_script(
        tmp_path,
        f"""
async def main():
    async with Organism.load({str(path)!r}, workers=1) as organism:
        Ask = organism.types.class_of("Ask")
        await organism.outputs(await organism.inject("plain", Ask(1)))
        await organism.inject("waits", Ask(1))
        await organism.idle()
""",
    )
    try:
        program = pid_in(tmp_path / "program1")
        # When it is killed
        process.kill()
        process.wait()
        # Then they end
        until_true(lambda: not is_alive(program))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid_in(tmp_path / "forked"), signal.SIGKILL)
        process.communicate()


def test_a_run_ends_beside_a_process_that_c_code_has_forked_unseen(tmp_path: Path) -> None:
    # Given a process that holds all that the pump holds, since nobody could tell it not to
    code = """
import ctypes

def forks_in_c(ask: Ask, m: HandlerMetadata):
    library = ctypes.CDLL(None)
    child = library.fork()
    if not child:
        library.pause()
        library._exit(0)
    (HERE / "forked").write_text(str(child))
    return respond(Answer(1))
"""
    path = write(tmp_path, PROGRAMS + code, {"leaves": CPU, "forks_in_c": {}})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "forks_in_c")).n)

    try:
        # When the run is over, then it ends
        assert live(path, scenario, workers=1) == 1
    finally:
        forked = pid_in(tmp_path / "forked")
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


FORKS = """
from collections import Counter

def fork(how):
    child = os.fork()
    if child:
        return child
    if how == "exit": sys.exit(7)
    if how == "raise": raise ValueError("in the child")
    return 0

def status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def ended(ask, m, child):
    with (HERE / "ends").open("a") as file:
        file.write(f"{os.getpid()} ")
    return respond(Answer(status(child) if child else -1, str(os.getpid())))

async def on_loop(ask: Ask, m: HandlerMetadata):
    return ended(ask, m, fork(ask.text))

async def after_waiting(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    return ended(ask, m, fork(ask.text))

async def then_waits(ask: Ask, m: HandlerMetadata):
    child = fork(ask.text)
    await asyncio.sleep(0.001)
    return ended(ask, m, child)

async def in_a_task(ask: Ask, m: HandlerMetadata):
    async def forks():
        return fork(ask.text)
    return ended(ask, m, await asyncio.create_task(forks()))

def in_thread(ask: Ask, m: HandlerMetadata):
    return ended(ask, m, fork(ask.text))

def on_loop_inline(ask: Ask, m: HandlerMetadata):
    return ended(ask, m, fork(ask.text))

def in_worker(ask: Ask, m: HandlerMetadata):
    return ended(ask, m, fork(ask.text))

def looks_back(ask: Ask, m: HandlerMetadata):
    child = os.fork()
    if not child:
        try:
            m.history
        except RuntimeError:
            os._exit(5)
        os._exit(6)
    return respond(Answer(status(child)))

def looks_back_in_worker(ask: Ask, m: HandlerMetadata):
    return looks_back(ask, m)
"""
PLACES: dict[str, dict[str, Any]] = {
    "on_loop": {},
    "after_waiting": {},
    "in_thread": {},
    "on_loop_inline": {"inline": True},
    "in_worker": CPU,
}


@pytest.mark.parametrize("listener", PLACES)
def test_a_forked_process_that_comes_back_from_its_handler_ends_there(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, FORKS, {listener: PLACES[listener]})

    async def scenario(organism: Organism) -> dict[str, int]:
        # The parent waits for its child, which would go on for ever as a second pump or worker.
        return {how: (await answer(organism, listener, text=how)).n for how in ("", "exit", "raise")}

    assert live(path, scenario, workers=1) == {"": 0, "exit": 7, "raise": 1}


def test_a_forked_process_that_waits_in_its_handler_ends_there(tmp_path: Path) -> None:
    path = write(tmp_path, FORKS, {"then_waits": {}})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "then_waits")).n)

    assert live(path, scenario) == 1  # It has no event loop to wait in.
    assert len((tmp_path / "ends").read_text().split()) == 1


def test_a_process_forked_in_a_task_of_a_handler_does_not_run_the_event_loop_on(tmp_path: Path) -> None:
    path = write(tmp_path, FORKS, {"in_a_task": {}})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "in_a_task")).n)

    assert live(path, scenario) == 0
    assert len((tmp_path / "ends").read_text().split()) == 1


@pytest.mark.parametrize("listener", ["looks_back", "looks_back_in_worker"])
def test_a_forked_process_does_not_speak_on_the_connections_of_its_parent(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, FORKS, {listener: CPU if listener.endswith("worker") else {}})

    async def scenario(organism: Organism) -> list[int]:
        return [(await answer(organism, listener)).n for _ in range(2)]

    assert live(path, scenario, workers=1) == [5, 5]


EXITS = """
import atexit, logging, logging.handlers

def leave():
    print("the exit function speaks")
    (HERE / f"left-{os.getpid()}").touch()
    if (HERE / "hang").exists():
        time.sleep(60)

atexit.register(leave)
memory = logging.handlers.MemoryHandler(100, target=logging.FileHandler(HERE / "flushed.log"))
logging.getLogger("kept").addHandler(memory)

def work(ask: Ask, m: HandlerMetadata):
    logging.getLogger("kept").warning("kept until the end")
    if ask.text:
        time.sleep(60)
    return respond(Answer(os.getpid()))
"""


def left(folder: Path) -> set[int]:
    return {int(path.name.partition("-")[2]) for path in folder.glob("left-*")}


def test_a_worker_runs_its_exit_functions_and_their_output_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, EXITS, {"work": CPU})

    async def scenario(organism: Organism) -> set[int]:
        await answer(organism, "work")
        assert organism.pool is not None
        return set(organism.pool.pids())

    assert left(tmp_path) == set()
    assert live(path, scenario, workers=2) == left(tmp_path)
    assert (tmp_path / "flushed.log").read_text() == "kept until the end\n"
    assert capfd.readouterr().err.count("the exit function speaks") == 2


def test_a_worker_that_is_replaced_runs_its_exit_functions(tmp_path: Path) -> None:
    path = write(tmp_path, EXITS, {"work": CPU}, process_pool={"workers": 1, "max_tasks_per_child": 1})

    async def scenario(organism: Organism) -> None:
        first = (await answer(organism, "work")).n
        assert (await answer(organism, "work")).n != first
        await until(lambda: first in left(tmp_path))

    live(path, scenario)


def test_exit_functions_that_do_not_end_are_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path, EXITS, {"work": CPU})
    (tmp_path / "hang").touch()

    async def scenario(organism: Organism) -> set[int]:
        await answer(organism, "work")
        assert organism.pool is not None
        return set(organism.pool.pids())

    workers = live(path, scenario, workers=2)
    assert left(tmp_path) == workers
    assert not any(is_alive(pid) for pid in workers)


def test_a_worker_that_is_killed_for_a_time_out_runs_no_exit_functions(tmp_path: Path) -> None:
    path = write(tmp_path, EXITS, {"work": {"cpu_bound": True, "timeout": 0.3}})

    async def scenario(organism: Organism) -> int:
        first = (await answer(organism, "work")).n
        assert (await fault(organism, "work", text="slow")).code == "timeout"
        return int(first)

    assert live(path, scenario, workers=1) not in left(tmp_path)
