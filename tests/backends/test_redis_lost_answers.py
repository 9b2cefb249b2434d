"""The connection breaks, or the server goes away: what was done is done once, and the answer comes after all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis as client
import redis_server
from contract_kit import FAULT_BYTES, Driver, answered, done, failed, payload

from xpipe.backends.redis import RedisBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import Cursor, Injection, PumpRecord
from xpipe.ports import SharedBackend

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


class Proxy:
    """Forwards to the server; told to `cut`, it forwards the next request, waits for its answer, and hangs up."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = self.swallowed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(1 << 16):
                far.sendall(data)
        except OSError:
            pass
        far.close()

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        try:
            while data := far.recv(1 << 16):
                if self.cut:
                    self.cut -= 1
                    self.swallowed += 1
                    break
                near.sendall(data)
        except OSError:
            pass
        for one in (near, far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    one = Proxy(redis_server.shared().port)
    yield one
    one.close()


@pytest.fixture
def backend(proxy: Proxy) -> Iterator[RedisBackend]:
    one = RedisBackend(f"redis://127.0.0.1:{proxy.port}", redis_server.new_prefix())
    one.open("org", 50)
    yield one
    one.close()


@pytest.mark.parametrize("times", [1, 3])
def test_a_commit_whose_answer_was_lost_is_answered_again(backend: RedisBackend, proxy: Proxy, times: int) -> None:
    # given: a commit that answers a call, and claims what else is ready
    drive = Driver(backend)
    drive.inject("a")
    drive.inject("b")
    first = drive.claim("a")

    # when: it is done, and its answer does not arrive
    proxy.cut = times
    advanced = drive.advance(answered(first, b"once"), answered(first, b"stale"))

    # then: the caller is told what the first run did
    assert proxy.swallowed == times
    assert advanced.refused == {1: "stale"}
    assert [one.listener for one in advanced.claims] == ["b"]
    assert (drive.outputs(), drive.kinds_of_events()) == ([b"once"], ["output", "ended"])
    drive.commit(answered(advanced.claims[0]))
    drive.advance()
    assert drive.kinds_of_events() == ["output", "ended", "output", "ended"]
    assert backend.load().in_flight == 0


def test_every_answer_of_a_run_may_be_lost(backend: RedisBackend, proxy: Proxy) -> None:
    drive = Driver(backend)
    ids = []
    for _ in range(5):
        proxy.cut = 1
        ids += drive.inject_many(4)
    proxy.cut = 1
    claims = drive.advance(most=3).claims
    while claims:
        proxy.cut = 1
        steps = [
            answered(one) if payload(one.message) == b"request" else done(one, sends=[drive.send(one, "b")])
            for one in claims
            if payload(one.message) != b"answer"
        ]
        steps += [answered(one) for one in claims if payload(one.message) == b"answer"]
        claims = drive.advance(*steps, most=3).claims
    drive.advance()

    assert len(ids) == len(set(ids)) == 20
    assert sorted(event.conversation for event in drive.events if event.kind == "output") == sorted(ids)
    assert drive.kinds_of_events().count("ended") == 20
    assert (backend.load().in_flight, backend.totals().threads) == (0, 60)
    assert backend.totals().slots == 20 * 4


@pytest.mark.parametrize("owner", ["", "pump-1"])
def test_an_injection_whose_answer_was_lost_is_made_once(backend: RedisBackend, proxy: Proxy, owner: str) -> None:
    # given: a pump at work, for which somebody else injects too
    server = redis_server.shared()
    serving = RedisBackend(server.url, backend._prefix)
    serving.open(None, 50)
    drive = Driver(serving)
    drive.inject("b")

    proxy.cut = 2
    ids = backend.inject(owner, [Injection("cli", ["a"], "Ping", b"in")] * 3, 1.0, Cursor("in", "f", 3))

    assert proxy.swallowed == 2
    assert sorted(ids) == sorted(one.id for one in serving.conversations() if one.chain != "system.org.cli-1")
    assert serving.totals().in_flight == 4
    drive.finish()
    assert drive.kinds_of_events().count("output") == (4 if owner else 1)
    serving.close()


def test_an_adoption_whose_answer_was_lost_is_one(backend: RedisBackend, proxy: Proxy) -> None:
    drive = Driver(backend, "pump-2")
    [id] = backend.inject("", [Injection("cli", ["a"], "Ping", b"in")], 1.0)
    proxy.cut = 2

    record = backend.adopt("pump-2", id, "")

    assert proxy.swallowed == 2
    assert record == drive.record(id)
    assert record.owner == "pump-2"
    assert backend.adopt("pump-2", id, "") is None


def test_a_cancelling_whose_answer_was_lost_is_one(backend: RedisBackend, proxy: Proxy) -> None:
    drive = Driver(backend)
    id = drive.inject("a", "b")
    drive.claim()
    proxy.cut = 2

    assert backend.cancel(id, FAULT_BYTES, drive.now) is True

    assert proxy.swallowed == 2
    assert backend.cancel(id, FAULT_BYTES, drive.now) is False
    drive.advance()
    assert drive.kinds_of_events() == ["revoked", "output", "output", "ended"]
    assert (drive.record(id).outputs, backend.load().in_flight) == (2, 0)


def test_a_dead_letter_whose_retrying_was_not_answered_is_retried_once(backend: RedisBackend, proxy: Proxy) -> None:
    drive = Driver(backend)
    id = drive.inject("a")
    drive.commit(failed(drive.claim()))
    [letter] = backend.dead_letters()
    injection = Injection("retry", ["a"], "Ping", b"in", retried_from=id)
    proxy.cut = 3

    anew = backend.retry_dead(letter.number, drive.pump, injection, drive.now)

    assert proxy.swallowed == 3
    assert anew is not None
    assert [one.id for one in backend.conversations()] == [id, anew]
    assert list(backend.dead_letters()) == []
    assert len(drive.advance().claims) == backend.load().in_flight == 1


def test_dropped_dead_letters_whose_number_was_lost_are_counted_once(backend: RedisBackend, proxy: Proxy) -> None:
    drive = Driver(backend)
    drive.inject_many(3)
    drive.commit(*map(failed, drive.advance().claims))
    one, two, _ = (letter.number for letter in backend.dead_letters())
    proxy.cut = 2

    assert backend.drop_dead([one, two, 999]) == 2

    assert proxy.swallowed == 2
    assert backend.drop_dead([one, two]) == 0
    assert backend.totals().dead_letters == 1


def test_what_may_not_be_done_twice_says_that_it_may_have_been_done(backend: RedisBackend, proxy: Proxy) -> None:
    backend.buffer_append("loose", b"before")
    proxy.cut = 1

    with pytest.raises(BackendError, match="the connection broke before the answer came"):
        backend.buffer_append("loose", b"slot")

    assert backend.buffer_get_thread("loose") == [b"before", b"slot"]


@pytest.mark.slow
def test_killed_connections_in_the_middle_of_a_run_are_made_again() -> None:
    server = redis_server.shared()
    backend = RedisBackend(server.tcp, redis_server.new_prefix())
    backend.open("org", 50)
    drive = Driver(backend)
    ids = drive.inject_many(300)
    over = threading.Event()

    def kill() -> None:
        with client.Redis.from_url(server.url) as raw:
            while not over.wait(0.002):
                raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        claims = drive.advance(most=5).claims
        while claims:
            claims = drive.advance(*[answered(one) for one in claims], most=5).claims
        drive.advance()
    finally:
        over.set()
        killer.join()
    backend.close()

    assert sorted(event.conversation for event in drive.events if event.kind == "output") == sorted(ids)


@pytest.fixture
def own_server() -> Iterator[redis_server.Server]:
    server = redis_server.start()
    yield server
    server.remove()


def opened(server: redis_server.Server, **options: float) -> RedisBackend:
    backend = RedisBackend(server.url, "r:")
    backend._link._patience = options.get("patience", 10.0)
    backend.open("org", 50)
    return backend


def test_a_restart_without_persistence_is_a_clear_error(own_server: redis_server.Server) -> None:
    drive = Driver(opened(own_server))
    drive.inject("a")
    claim = drive.claim()

    own_server.restart()

    with pytest.raises(BackendError, match="the organism's state is gone"):
        drive.commit(answered(claim))


def test_a_restart_with_persistence_is_waited_for(own_server: redis_server.Server) -> None:
    drive = Driver(opened(own_server))
    drive.inject("a")
    claim = drive.claim()
    with client.Redis.from_url(own_server.url) as raw:
        raw.save()
    own_server.stop()
    timer = threading.Timer(0.5, own_server.restart)
    timer.start()

    drive.commit(answered(claim))

    timer.join()
    drive.advance()
    assert drive.outputs() == [b"answer"]


def test_whoever_made_changes_that_a_restart_has_lost_is_told_and_nobody_else(
    own_server: redis_server.Server,
) -> None:
    # given: a snapshot, before one of two pumps goes on
    loser, other = opened(own_server), opened(own_server)
    drive, idle = Driver(loser), Driver(other, "pump-2")
    drive.inject("a")
    idle.inject("b")
    idle.commit(answered(idle.claim("b")))
    with client.Redis.from_url(own_server.url) as raw:
        raw.save()
    claim = drive.claim()
    drive.commit(answered(claim))

    own_server.restart()

    acts: list[Callable[[], object]] = [lambda: drive.commit(answered(claim)), lambda: drive.inject("a")]
    acts += [drive.advance, lambda: loser.renew(drive.pump, 9.0), lambda: loser.adopt(drive.pump, "any", "")]
    for act in acts:
        with pytest.raises(BackendError, match="has lost the latest changes"):
            act()
    assert other.renew("pump-2", 9.0)
    assert len(idle.advance().claims) == 1
    assert len(opened(own_server).pumps()) == 2


def test_a_pump_that_was_buried_by_mistake_and_enrolls_again_goes_on(own_server: redis_server.Server) -> None:
    backend, other = opened(own_server), opened(own_server)
    drive = Driver(backend)
    drive.inject("a")
    stale = drive.claim()

    other.bury_pump(drive.pump)

    assert not backend.renew(drive.pump, 9.0)
    assert drive.advance(answered(stale), most=0).refused == {0: "stale"}
    backend.enroll(PumpRecord(drive.pump, "here", 1, 1, 9.0))
    drive.commit(answered(drive.claim()))
    drive.advance()
    assert drive.kinds_of_events() == ["output", "ended"]


def test_a_server_that_a_long_script_keeps_busy_is_waited_for(own_server: redis_server.Server) -> None:
    backend = opened(own_server)
    script = "local till = redis.call('TIME')[1] + 2; while redis.call('TIME')[1] + 0 < till do end"
    with client.Redis.from_url(own_server.url) as raw, client.Redis.from_url(own_server.url) as other:
        raw.config_set("lua-time-limit", 10)
        running = threading.Thread(target=raw.eval, args=(script, 0))
        running.start()
        with contextlib.suppress(client.ResponseError):  # It says that it is busy.
            while other.ping():
                pass

        index = backend.buffer_append("a thread", b"slot")

        running.join()
    assert index == 0
    assert backend.buffer_thread_len("a thread") == 1


@pytest.mark.parametrize("act", ["advance", "wait"])
def test_a_server_that_stays_away_is_an_error_and_not_a_hang(own_server: redis_server.Server, act: str) -> None:
    backend = opened(own_server, patience=0.5)
    acts: dict[str, Callable[[], object]] = {
        "advance": lambda: Driver(backend).advance(),
        "wait": lambda: backend.wait("pump-1", 30.0),
    }
    if act == "wait":
        threading.Timer(0.3, own_server.stop).start()
    else:
        own_server.stop()

    with pytest.raises(BackendError, match="no Redis server answers"):
        acts[act]()
    assert not backend._link._met, "the next call is not to wait as long again"


def test_a_wait_is_not_ended_by_the_time_outs_of_its_connection(
    own_server: redis_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpipe.backends.redis.BLOCK", 0.2)
    backend: SharedBackend = opened(own_server)

    began = time.monotonic()
    assert not backend.wait("pump-1", 0.7)

    assert time.monotonic() - began > 0.6
