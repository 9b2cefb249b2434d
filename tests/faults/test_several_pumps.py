"""Several `xpipe run` on one backend share the work; what a killed one leaves, the others and the next one do."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.checks import Verdict
from faults.points import BACKENDS, point_named
from faults.workload import answers_to, write_documents
from faults.world import Run, World, wait_until
from xpipe.core.errors import BackendError
from xpipe.core.messages import decode_message

pytestmark = pytest.mark.slow

SHARE = 100
"""Documents of each run."""


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, request.param)
    yield made
    made.close()


def share(world: World, number: int) -> Path:
    """The input file of the run so numbered; no other has its documents."""
    file = world.folder / f"share-{number}.jsonl"
    write_documents(file, range(number * SHARE, (number + 1) * SHARE))
    world.documents += SHARE
    return file


def prints_its_share(run: Run, number: int) -> bool:
    """Whether `run` printed the answers to its documents once each, and no others."""
    return sorted(one.document for one in run.printed()) == answers_to(range(number * SHARE, (number + 1) * SHARE))


def serve(world: World) -> Run:
    """A run that serves, enrolled."""
    run = world.start("--serve", "--format", "jsonl")
    number = sum(server.process.poll() is None for server in world.runs)
    wait_until(lambda: pumps(world) >= number, "the run did not begin to serve")
    return run


def pumps(world: World) -> int:
    try:
        with world.look() as backend:
            return len(backend.pumps())
    except BackendError:  # There is no organism yet.
        return 0


def stop(server: Run) -> None:
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0, "a run that serves was to end in an orderly way"


def makers(world: World) -> set[str]:
    """What stands for each pump in the ids of the messages that it made."""
    with world.look() as backend:
        slots = [data for thread in backend.threads() for data in backend.buffer_get_thread(thread.thread)]
    ids = [decode_message(data).id for data in slots]
    return {id.partition("-")[0] for id in ids if id.count("-") == 1}


def test_three_runs_at_once_answer_everything_once_and_each_prints_its_own(world: World) -> None:
    runs = [world.start("--input", share(world, number)) for number in range(3)]

    assert [run.end() for run in runs] == [0, 0, 0]

    assert all(prints_its_share(run, number) for number, run in enumerate(runs))
    assert Verdict(world).wrong() == []


def test_when_one_of_three_is_killed_the_others_finish_and_a_resume_prints_what_it_left(world: World) -> None:
    point = point_named(world.backend, "after steps are committed")
    input = share(world, 0)
    victim = world.start_dying(point, 4, "--input", input)
    others = [world.start("--input", share(world, number)) for number in (1, 2)]

    victim.end()
    assert victim.died_at_its_point
    assert [run.end() for run in others] == [0, 0]
    assert all(prints_its_share(run, number) for number, run in enumerate(others, 1))
    resumed = world.start("--resume", "--input", input)

    assert resumed.end() == 0
    assert {one.document for one in resumed.printed() + victim.printed()} == {*range(SHARE)}
    assert Verdict(world).wrong() == []


def test_runs_that_serve_share_the_work_of_another_run(world: World) -> None:
    servers = [serve(world), serve(world)]

    run = world.start("--input", share(world, 0))
    assert run.end() == 0
    for server in servers:
        stop(server)

    assert prints_its_share(run, 0)
    assert [server.printed() for server in servers] == [[], []]
    assert len(makers(world)) == 3
    assert Verdict(world).wrong() == []


def test_a_run_that_serves_finishes_what_a_killed_one_left(world: World) -> None:
    server = serve(world)
    input = share(world, 0)

    victim = world.start_dying(point_named(world.backend, "after messages are injected"), 1, "--input", input)
    victim.end()
    assert victim.died_at_its_point
    wait_until(lambda: is_all_over(world), "the server did not finish what the killed run had taken in")
    stop(server)
    resumed = world.start("--resume", "--input", input)

    assert resumed.end() == 0
    assert sorted(one.document for one in server.printed() + resumed.printed()) == answers_to(range(SHARE))
    assert Verdict(world).wrong() == []


def is_all_over(world: World) -> bool:
    with world.look() as backend:
        return not list(backend.conversations(running=True))
