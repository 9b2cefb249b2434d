"""A manager and its clients: several processes on one state, and what each of them is told when that fails."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import foreign
import pytest
from manager_kit import inject, processes, until

from xpipe.backends import manager_link
from xpipe.backends.manager import ManagerBackend
from xpipe.backends.manager_address import check_bind, parse
from xpipe.backends.manager_link import Channel
from xpipe.backends.manager_service import MOST_CURSORS
from xpipe.backends.manager_verbs import PAGE_BYTES, PAGE_ITEMS
from xpipe.core.errors import EXIT_BACKEND, BackendError, LimitError
from xpipe.core.messages import Injection, PumpRecord


@pytest.fixture
def owner() -> Iterator[ManagerBackend]:
    backend = ManagerBackend(timeout=10.0)
    backend.open("org", 10)
    yield backend
    backend.close()


def client_of(owner: ManagerBackend, **options: Any) -> ManagerBackend:
    return ManagerBackend(owner.address, owner.authkey, **options)


def test_what_one_process_does_another_sees(owner: ManagerBackend) -> None:
    with processes(2) as pool:
        ids = pool.submit(inject, owner.address, owner.authkey, 3).result()

    assert [one.conversation for one in owner.threads() if one.listener != "a"] == ids
    owner.enroll(PumpRecord("mine", "here", 1, 1, 1.0))
    assert len(owner.advance("mine", [], {"a": 9}, 9, 1.0).claims) == 3


def test_a_client_can_open_what_the_owner_opened_and_nothing_else(owner: ManagerBackend) -> None:
    client = client_of(owner)
    client.open(None, 10)
    client.open("org", 10)

    assert client.secret() == owner.secret()
    with pytest.raises(BackendError, match=r"holds system\.org"):
        client.open("other", 10)
    client.close()


def test_a_manager_without_an_organism_says_so() -> None:
    backend = ManagerBackend()

    with pytest.raises(BackendError, match="holds no organism yet"):
        backend.open(None, 10)
    backend.close()


def test_errors_keep_their_class(owner: ManagerBackend) -> None:
    owner.registry_set("system.org.x.a", "mine")

    with pytest.raises(LimitError, match=r"the id mine is bound to the chain system\.org\.x\.a"):
        owner.registry_set("system.org.x.b", "mine")


def test_info_tells_where_it_is(owner: ManagerBackend) -> None:
    info = owner.info()

    assert (info["type"], info["place"], info["ttl_seconds"]) == ("manager", owner.address, 0)
    assert owner.authkey.hex() not in repr(info)


def test_a_pump_that_waits_is_woken_by_another_process(owner: ManagerBackend) -> None:
    owner.advance("mine", [], {"a": 1}, 1, 1.0)
    with processes(1) as pool, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(owner.wait, "mine", 60.0)
        pool.submit(inject, owner.address, owner.authkey, 1).result()

        assert waiting.result(10.0) is True


def test_a_change_between_the_look_and_the_wait_is_not_missed(owner: ManagerBackend) -> None:
    owner.advance("mine", [], {"a": 1}, 1, 1.0)
    owner.inject("other", [Injection("cli", ["a"], "Ping", b"")], 1.0)

    assert owner.wait("mine", 60.0) is True


def test_a_pump_is_told_once_of_a_change(owner: ManagerBackend) -> None:
    owner.advance("mine", [], {"a": 1}, 1, 1.0)
    owner.inject("other", [Injection("cli", ["a"], "Ping", b"")], 1.0)

    assert [owner.wait("mine", 0.05) for _ in range(3)] == [True, False, False]


def test_a_pump_is_not_woken_by_its_own_changes(owner: ManagerBackend) -> None:
    owner.enroll(PumpRecord("mine", "here", 1, 1, 1.0))
    owner.inject("other", [Injection("cli", ["a"], "Ping", b"")], 1.0)
    owner.advance("mine", [], {"a": 1}, 1, 1.0)

    assert owner.wait("mine", 0.05) is False


def test_a_wait_may_be_longer_than_the_time_out_of_a_call(owner: ManagerBackend) -> None:
    client = client_of(owner, timeout=0.4)
    begun = time.monotonic()

    assert client.wait("mine", 1.0) is False
    assert time.monotonic() - begun >= 1.0
    client.close()


def test_listings_come_in_bounded_pages(owner: ManagerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(2 * PAGE_ITEMS + 5):
        owner.registry_set(f"system.org.{index}", f"id-{index}")
    for _ in range(5):
        owner.buffer_append("big", b"x" * (PAGE_BYTES // 2 + 1))
    sizes: list[int] = []
    receive = Channel.recv

    def recv(self: Channel) -> Any:
        answer = receive(self)
        sizes.append(len(repr(answer)) if answer is None else len(manager_link._encode(answer)))
        return answer

    monkeypatch.setattr(Channel, "recv", recv)

    assert len(owner.registry_list_all()) == 2 * PAGE_ITEMS + 6
    assert len(sizes) == 3
    assert [len(slot) for slot in owner.buffer_get_thread("big")] == [PAGE_BYTES // 2 + 1] * 5
    assert max(sizes) < 2 * PAGE_BYTES


def test_listings_that_are_not_read_to_their_end_do_not_add_up(owner: ManagerBackend) -> None:
    for index in range(PAGE_ITEMS + 5):
        owner.registry_set(f"system.org.{index}", f"id-{index}")
    first = owner.registry_entries()
    next(first)
    others = [owner.registry_entries() for _ in range(MOST_CURSORS)]
    for other in others:
        next(other)

    with pytest.raises(BackendError, match="list again"):
        list(first)
    assert len(list(others[-1])) == PAGE_ITEMS + 5


def test_after_the_death_of_the_manager_every_call_is_one_clear_error(owner: ManagerBackend) -> None:
    client = client_of(owner)
    client.ping()
    os.kill(owner.pid, signal.SIGKILL)

    for call in (client.root, client.totals, lambda: list(client.threads()), owner.load, client.pumps):
        with pytest.raises(BackendError, match=r"there is no manager at .* any more") as caught:
            call()
        assert caught.value.exit_code == EXIT_BACKEND
        assert "\n" not in str(caught.value)
    client.close()


def test_the_death_of_the_manager_ends_a_wait(owner: ManagerBackend) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(owner.wait, "mine", 60.0)
        assert until(lambda: not waiting.done() and threading.active_count() > 1)
        os.kill(owner.pid, signal.SIGKILL)

        with pytest.raises(BackendError, match="there is no manager"):
            waiting.result(10.0)


def test_a_manager_that_does_not_answer_is_an_error_and_not_a_hang(owner: ManagerBackend) -> None:
    client = client_of(owner, timeout=0.5)
    assert client.ping() is True
    os.kill(owner.pid, signal.SIGSTOP)
    assert until(lambda: "State:\tT" in Path(f"/proc/{owner.pid}/status").read_text())
    try:
        with pytest.raises(BackendError, match=r"does not answer within 0\.5 s"):
            client.load()
        with pytest.raises(BackendError, match=r"no manager greets at"):
            client_of(owner, timeout=0.3)
    finally:
        os.kill(owner.pid, signal.SIGCONT)

    assert client.ping() is True
    client.close()


@pytest.mark.parametrize("key", ["wrong", b"w" * 32])
def test_a_wrong_key_is_one_clear_error(owner: ManagerBackend, key: str | bytes) -> None:
    with pytest.raises(BackendError, match=r"refuses the key; set manager_authkey") as caught:
        ManagerBackend(owner.address, key)

    assert "w" * 32 not in str(caught.value)
    assert owner.ping() is True


def test_a_client_without_a_key_is_refused_at_once(owner: ManagerBackend) -> None:
    with pytest.raises(BackendError, match="asks for a key"):
        ManagerBackend(owner.address)


def test_an_address_without_a_manager_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"there is no manager at .*nothing"):
        ManagerBackend(str(tmp_path / "nothing"), "key")


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\4junk", b""])
def test_something_else_that_listens_there_is_one_clear_error(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)

        greeted = threads.submit(greet)
        with pytest.raises(BackendError):
            ManagerBackend(f"127.0.0.1:{server.getsockname()[1]}", "key", timeout=0.5)
        greeted.result(5.0)


def test_a_manager_on_loopback_is_reached_by_host_and_port() -> None:
    owner = ManagerBackend(bind="127.0.0.1:0", authkey="chosen")
    owner.open("org", 10)
    client = ManagerBackend(owner.address, "chosen")

    assert owner.address.startswith("127.0.0.1:")
    assert not owner.capabilities.cross_host
    assert client.secret() == owner.secret()
    big = b"x" * 3_000_000
    client.buffer_append("t", big)
    assert owner.buffer_get_slot("t", 0) == big
    client.close()
    owner.close()


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "192.0.2.1:4000", "example.org:4000"])
@pytest.mark.parametrize("key", [None, "short", "k" * 31])
def test_other_hosts_reach_a_manager_only_with_an_explicit_long_key(bind: str, key: str | None) -> None:
    with pytest.raises(BackendError, match="needs a key of at least 32 bytes"):
        ManagerBackend(bind=bind, authkey=key)

    check_bind(parse(bind), b"k" * 32)


@pytest.mark.parametrize("text", [":80", "host:", "[::1]:80", "::1:80", "host:99999", "host:8o"])
def test_an_address_that_is_none_is_named(text: str) -> None:
    with pytest.raises(BackendError, match="is no address of a manager"):
        ManagerBackend(text, "key")


def test_an_address_in_use_is_one_clear_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(BackendError, match=rf"no manager can be started at 127.*{foreign.ADDRESS_IN_USE}"),
    ):
        ManagerBackend(bind=f"127.0.0.1:{server.getsockname()[1]}", authkey="key")


def test_a_client_notices_that_another_manager_has_taken_the_place(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    first = ManagerBackend(bind=place, authkey="key")
    client = ManagerBackend(place, "key")
    client.ping()
    first.close()
    with pytest.raises(BackendError, match="there is no manager"):
        client.load()
    second = ManagerBackend(bind=place, authkey="key")

    with pytest.raises(BackendError, match="is not the one this run began with"):
        client.load()
    client.close()
    second.close()


def test_what_a_client_sends_is_never_executed(owner: ManagerBackend, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickled = b"cos\nsystem\n(S'touch " + bytes(mark) + b"'\ntR."
    channel = owner._link._dial()
    channel.send_bytes(pickled)
    channel.recv()
    channel.close()
    for method, arguments in (("create", ("state",)), ("shutdown", ()), ("debug_info", ())):
        channel = owner._link._dial()
        assert manager_link._ask(channel, None, method, arguments)[0] == "#TRACEBACK"
        channel.close()

    assert not mark.exists()
    for verb in ("__class__", "close", "capabilities", "_store", "nothing"):
        assert owner._link.call("call", verb, b"\x90")[0] == "bug"
    assert owner.ping() is True


def test_a_client_that_closes_leaves_the_manager_to_the_others(owner: ManagerBackend) -> None:
    client = client_of(owner)
    client.close()
    client.close()

    assert owner.ping() is True
    with pytest.raises(BackendError, match="is closed"):
        client.load()
