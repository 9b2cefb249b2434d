"""Several Python threads on one backend: every message is handled once, every event told once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from contract_kit import Driver, answered, done, kind

from xpipe.core.messages import Claim, Step
from xpipe.ports import SharedBackend

PUMPS = 4
EACH = 100


def work(backend: SharedBackend, name: str, barrier: Barrier) -> Driver:
    """Inject, and handle whatever is there, until nothing is in flight anywhere. `a` calls `b`, `b` answers."""
    drive = Driver(backend, name)
    barrier.wait()
    for number in range(EACH // 10):
        drive.inject_many(10, source=f"source{number % 3}")
    steps: list[Step] = []
    while steps or backend.load().in_flight:
        advanced = drive.advance(*steps, most=7)
        assert advanced.refused == {}
        steps = [step_of(drive, claim) for claim in advanced.claims]
    return drive


def step_of(drive: Driver, claim: Claim) -> Step:
    if claim.listener == "a" and kind(claim.message) == "request":
        return done(claim, sends=[drive.send(claim, "b")])
    return answered(claim)


def test_pumps_in_several_threads_handle_every_message_once(backend: SharedBackend) -> None:
    barrier = Barrier(PUMPS)
    with ThreadPoolExecutor(PUMPS) as pool:
        drives = list(pool.map(lambda number: work(backend, f"pump-{number}", barrier), range(PUMPS)))

    for drive in drives:
        drive.advance()
        events = Counter((event.conversation, event.kind) for event in drive.events)
        assert len({conversation for conversation, _ in events}) == EACH
        assert Counter(kind for _, kind in events) == {"output": EACH, "ended": EACH}
        assert set(events.values()) == {1}
    totals = backend.totals()
    assert (totals.threads, totals.conversations, totals.conversations_active) == (3 * PUMPS * EACH, PUMPS * EACH, 0)
    assert (totals.in_flight, totals.slots) == (0, 4 * PUMPS * EACH)
    initiators = [one.listener for one in backend.threads() if one.listener.startswith("source")]
    assert len(set(initiators)) == len(initiators) == PUMPS * EACH


def test_a_step_committed_by_several_threads_is_committed_once(backend: SharedBackend) -> None:
    drive = Driver(backend)
    drive.inject_many(50)
    steps = [answered(claim) for claim in drive.advance().claims]
    barrier = Barrier(PUMPS)

    def commit(_: int) -> int:
        barrier.wait()
        return sum(len(backend.advance(drive.pump, [step], {}, 0, 0.0).refused) for step in steps)

    with ThreadPoolExecutor(PUMPS) as pool:
        refused = sum(pool.map(commit, range(PUMPS)))

    assert refused == (PUMPS - 1) * len(steps)
    assert backend.totals().in_flight == 0
    assert sum(one.slots for one in backend.threads() if one.listener.startswith("cli")) == 50


def test_reading_while_others_write_sees_whole_commits(backend: SharedBackend) -> None:
    barrier = Barrier(PUMPS)
    seen: list[bool] = []

    def read() -> None:
        barrier.wait()
        for _ in range(50):
            by_conversation = Counter(one.conversation for one in backend.threads())
            seen.append(set(by_conversation.values()) <= {2, 3})
            list(backend.registry_list_all())
            list(backend.joins())
            backend.totals()

    with ThreadPoolExecutor(PUMPS) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(work, backend, f"pump-{number}", barrier) for number in range(PUMPS - 1)]
        for one in (reader, *writers):
            one.result()

    assert all(seen)
