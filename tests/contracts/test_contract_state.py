"""What a user of xpipe.state may write, without an organism and beside one, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contract_kit import Driver, done

from xpipe.core.errors import BackendError, LimitError, PayloadError
from xpipe.ports import Collection, SharedBackend
from xpipe.state import BufferRegistry, ContextBuffer, SequenceRegistry, ThreadRegistry

MANY = 450
"""More than two pages of any listing."""
ODD_IDS = [
    "a b",
    "two\nlines",
    "tab\tand\x00nul",
    "per%cent.dot~2",
    "ünï-\U0001f600",
    "'; DROP TABLE slots;--",
    "x" * 5_000,
]


def make_buffer(registry: BufferRegistry, id: str = "b1", items: int = 3) -> None:
    registry.create(id, items, return_to="greeter", thread_id="t-1", from_id="greeter", target="search", collect=True)


def make_sequence(registry: SequenceRegistry, id: str = "s1") -> None:
    registry.create(id, ["check", "price"], return_to="greeter", thread_id="t-1", from_id="greeter")


# -- a backend that no organism has claimed


def test_a_new_backend_needs_no_setup(unclaimed: SharedBackend) -> None:
    assert [unclaimed.buffer_append("t", data) for data in (b"one", b"two")] == [0, 1]
    assert unclaimed.registry_set("console.greeter", "uuid-1") == "uuid-1"

    assert unclaimed.buffer_get_thread("t") == [b"one", b"two"]
    assert (unclaimed.buffer_list_threads(), list(unclaimed.buffer_iter_threads())) == (["t"], ["t"])
    assert unclaimed.registry_list_all() == {"uuid-1": "console.greeter"}
    assert [(one.uuid, one.chain, one.kind) for one in unclaimed.registry_entries()] == [
        ("uuid-1", "console.greeter", "bound")
    ]
    info = unclaimed.info()
    assert (info["buffer_threads"], info["registry_entries"], unclaimed.ping()) == (1, 1, True)
    assert (unclaimed.root(), unclaimed.closed) == ("", False)


def test_methods_that_need_an_organism_say_so(unclaimed: SharedBackend) -> None:
    for verb in (unclaimed.secret, lambda: Driver(unclaimed).inject("a"), lambda: Driver(unclaimed).advance()):
        with pytest.raises(
            BackendError, match=r"no organism has claimed this backend; run one, or call initialize_root"
        ):
            verb()
    with pytest.raises(BackendError):
        unclaimed.open(None)


def test_a_claim_keeps_what_was_there_and_refuses_another_organism(unclaimed: SharedBackend) -> None:
    unclaimed.buffer_append("t", b"slot")
    unclaimed.registry_set("console.greeter", "uuid-1")
    registry = ThreadRegistry(unclaimed)
    assert (registry.root_uuid, registry.root_chain) == (None, "system")

    root = registry.initialize_root("org")

    assert registry.initialize_root("org") == root == registry.root_uuid
    assert unclaimed.root() == registry.root_chain == "system.org"
    assert unclaimed.registry_list_all() == {root: "system.org", "uuid-1": "console.greeter"}
    assert unclaimed.buffer_get_thread("t") == [b"slot"]
    with pytest.raises(BackendError, match=r"holds system\.org, not (system\.)?another"):
        registry.initialize_root("another")
    assert (registry.root_uuid, unclaimed.buffer_append("t", b"again")) == (root, 1)


def test_a_chain_that_has_the_name_of_the_root_to_be_keeps_its_id(unclaimed: SharedBackend) -> None:
    registry = ThreadRegistry(unclaimed)
    before = registry.get_or_create("system.org")

    root = registry.initialize_root("org")

    assert registry.lookup(before) == registry.lookup(root) == "system.org"
    assert registry.get_or_create("system.org") == root


def test_a_run_claims_a_backend_and_finds_what_was_bound_there(unclaimed: SharedBackend) -> None:
    mine = ThreadRegistry(unclaimed).get_or_create("system.org.cli-1.a")
    unclaimed.buffer_append("t", b"slot")

    unclaimed.open("org")
    drive = Driver(unclaimed)
    drive.inject("a")

    assert drive.claim().thread == mine
    assert unclaimed.buffer_get_thread("t") == [b"slot"]


@pytest.mark.parametrize("id", ODD_IDS)
def test_an_id_is_any_text(unclaimed: SharedBackend, id: str) -> None:
    assert unclaimed.buffer_append(id, b"slot") == 0
    assert unclaimed.registry_set(f"chain {id}", id) == id
    assert unclaimed.collection_create("buffer", id, b"head", 1)

    assert unclaimed.buffer_list_threads() == list(unclaimed.collection_ids("buffer")) == [id]
    assert unclaimed.registry_list_all() == {id: f"chain {id}"}
    assert unclaimed.registry_get_uuid(f"chain {id}") == id
    assert unclaimed.buffer_get_thread(id) == [b"slot"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda one: one.buffer_append("", b"x"), ValueError, "thread must not be empty"),
        (lambda one: one.buffer_append(7, b"x"), TypeError, "thread must be a string, got 7"),
        (lambda one: one.buffer_append("\ud800", b"x"), ValueError, "thread must be valid UTF-8 text"),
        (lambda one: one.buffer_append("t", "text"), TypeError, "slot must be bytes, got str; encode it first"),
        (lambda one: one.buffer_append("t", None), TypeError, "slot must be bytes, got NoneType"),
        (lambda one: one.registry_set("", "id"), ValueError, "chain must not be empty"),
        (lambda one: one.registry_set("chain", ""), ValueError, "uuid must not be empty"),
        (lambda one: one.registry_set("chain", b"id"), TypeError, "uuid must be a string, got b'id'"),
    ],
)
def test_values_that_cannot_be_stored_are_refused_alike(
    unclaimed: SharedBackend, call: Callable[[Any], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call(unclaimed)

    assert unclaimed.buffer_list_threads() == []
    assert unclaimed.registry_list_all() == {}


def test_a_closed_backend_says_what_to_do(unclaimed: SharedBackend) -> None:
    unclaimed.buffer_append("t", b"slot")
    unclaimed.close()
    unclaimed.close()

    for verb in (
        lambda: unclaimed.buffer_append("t", b"slot"),
        lambda: unclaimed.buffer_get_thread("t"),
        lambda: unclaimed.registry_set("chain", "id"),
        unclaimed.registry_list_all,
        unclaimed.buffer_list_threads,
        unclaimed.info,
        lambda: make_buffer(BufferRegistry(unclaimed)),
    ):
        with pytest.raises(BackendError, match=r"the backend is closed; get a new one from get_shared_backend\(\)"):
            verb()
    assert (unclaimed.closed, unclaimed.ping()) == (True, False)


# -- views of a backend


def test_chains_grow_shrink_and_end(unclaimed: SharedBackend) -> None:
    threads = ThreadRegistry(unclaimed)
    started = threads.start_chain("console", "router")
    assert (threads.lookup(started), threads.is_shared) == ("console.router", True)
    threads.initialize_root("org")

    given = threads.register_thread("mine", "console", "router")
    dotted = threads.extend_chain(given, "calculator.add")

    assert (given, threads.lookup(given)) == ("mine", "system.org.console.router")
    assert threads.register_thread("mine", "console", "elsewhere") == "mine"
    assert threads.register_thread("other", "console", "router") == "mine"
    assert threads.prune_for_response(dotted) == ("router", "mine")
    name, console = threads.prune_for_response("mine")
    assert (name, threads.lookup(console or "")) == ("console", "system.org.console")
    assert threads.prune_for_response(console or "") == threads.prune_for_response("unknown") == (None, None)
    assert threads.lookup(console or "") is None  # At the end of its chain it is forgotten.
    assert threads.debug_dump()["mine"] == "system.org.console.router"
    assert dict(threads.iter_entries()) == threads.debug_dump()

    threads.clear()
    assert (threads.root_uuid, threads.root_chain) == (None, "system")
    assert set(threads.debug_dump().values()) == {"system.org"}
    assert threads.initialize_root("org") == threads.root_uuid


def test_the_threads_of_a_running_organism_are_protected(drive: Driver) -> None:
    backend, threads = drive.backend, ThreadRegistry(drive.backend)
    id = drive.inject("a")
    claim = drive.claim()
    before = backend.registry_list_all()

    assert not any(threads.cleanup(uuid) for uuid in before)
    threads.clear()
    ContextBuffer(backend).clear()
    assert not ContextBuffer(backend).delete(claim.thread)
    BufferRegistry(backend).clear()
    SequenceRegistry(backend).clear()

    assert backend.registry_list_all() == before
    assert len(backend.buffer_get_thread(claim.thread)) == 1
    assert [one.id for one in backend.conversations(running=True)] == [id]


# -- Buffers and Sequences of one's own


def test_a_buffer_collects_each_item_once(unclaimed: SharedBackend) -> None:
    registry = BufferRegistry(unclaimed)
    made = registry.create("b1", 3, "greeter", "t-1", "greeter", "search", collect=False)
    assert (made.is_complete, made.pending_count, registry.list_active()) == (False, 3, ["b1"])

    registry.record_result("b1", 2, {"n": [1, 2.5, None, b"x"]})
    again = registry.record_result("b1", 2, "again")
    failed = registry.record_result("b1", 0, "", success=False, error="boom")

    assert again is not None
    assert (again.completed_count, again.results[2].result) == (1, {"n": [1, 2.5, None, b"x"]})
    assert failed is not None
    assert (failed.successful_count, failed.pending_count, failed.results[0].error) == (1, 1, "boom")
    assert [one and one.index for one in failed.get_ordered_results()] == [0, None, 2]
    assert (failed.return_to, failed.thread_id, failed.from_id, failed.target, failed.collect, failed.total_items) == (
        *("greeter", "t-1", "greeter", "search", False, 3),
    )
    whole = registry.record_result("b1", 1, "last")
    assert whole == BufferRegistry(unclaimed).get("b1")
    assert whole is not None
    assert whole.is_complete
    assert (registry.remove("b1"), registry.remove("b1"), registry.list_active()) == (True, False, [])
    assert (registry.get("b1"), registry.record_result("b1", 0, "late")) == (None, None)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda one: make_buffer(one), LimitError, "there is a buffer b1 already; remove it or take another id"),
        (lambda one: make_buffer(one, ""), ValueError, "buffer_id must not be empty"),
        (lambda one: make_buffer(one, 5), TypeError, "buffer_id must be a string"),
        (lambda one: make_buffer(one, "b2", 0), ValueError, "total_items must be 1 or more, got 0"),
        (lambda one: make_buffer(one, "b2", "3"), TypeError, "total_items must be a whole number"),
        (lambda one: one.create("b2", 1, None, "t", "f", "x"), TypeError, "return_to must be a string, got None"),
        (lambda one: one.record_result("b1", 3, ""), IndexError, "b1 has 3 items, so no index 3"),
        (lambda one: one.record_result("b1", -1, ""), IndexError, "b1 has 3 items, so no index -1"),
        (lambda one: one.record_result("b1", "0", ""), TypeError, "index must be a whole number, got '0'"),
        (lambda one: one.record_result("b1", 0, object()), PayloadError, "buffer b1: the value cannot be stored"),
        (lambda one: one.record_result("b1", 0, "", False, None), TypeError, "error must be a string, got None"),
    ],
)
def test_a_mistake_with_a_buffer_is_one_sentence_and_changes_nothing(
    unclaimed: SharedBackend, call: Callable[[Any], object], error: type[Exception], text: str
) -> None:
    registry = BufferRegistry(unclaimed)
    make_buffer(registry)

    with pytest.raises(error, match=text) as caught:
        call(registry)

    assert "\n" not in str(caught.value)
    assert registry.list_active() == ["b1"]
    state = registry.get("b1")
    assert state is not None
    assert state.completed_count == 0


def test_a_sequence_goes_on_step_by_step(unclaimed: SharedBackend) -> None:
    registry = SequenceRegistry(unclaimed)
    made = registry.create("s1", ["check", "price"], "greeter", "t-1", "greeter")
    assert (made.current_step, made.remaining_steps, made.last_result) == ("check", ["price"], None)

    first = registry.advance("s1", "<Checked/>")
    last = registry.advance("s1", {"price": 7})

    assert first is not None
    assert (first.current_step, first.current_index, first.last_result) == ("price", 1, "<Checked/>")
    assert last == registry.get("s1")
    assert last is not None
    assert (last.is_complete, last.current_step, last.results) == (True, None, ["<Checked/>", {"price": 7}])
    with pytest.raises(ValueError, match="all 2 steps of the Sequence s1 are done"):
        registry.advance("s1", "more")
    assert (registry.list_active(), registry.remove("s1"), registry.list_active()) == (["s1"], True, [])
    assert (registry.get("s1"), registry.advance("s1", "")) == (None, None)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda one: make_sequence(one), LimitError, "there is a sequence s1 already"),
        (lambda one: one.create("s2", [], "r", "t", "f"), ValueError, "steps must not be empty"),
        (lambda one: one.create("s2", "check", "r", "t", "f"), TypeError, "steps must be a list of names, got 'check'"),
        (lambda one: one.create("s2", ["a", 7], "r", "t", "f"), TypeError, "a step must be a string, got 7"),
        (lambda one: one.create("s2", [""], "r", "t", "f"), ValueError, "a step must not be empty"),
        (lambda one: one.create("", ["a"], "r", "t", "f"), ValueError, "sequence_id must not be empty"),
        (lambda one: one.advance("s1", object()), PayloadError, "sequence s1: the value cannot be stored"),
    ],
)
def test_a_mistake_with_a_sequence_is_one_sentence_and_changes_nothing(
    unclaimed: SharedBackend, call: Callable[[Any], object], error: type[Exception], text: str
) -> None:
    registry = SequenceRegistry(unclaimed)
    make_sequence(registry)

    with pytest.raises(error, match=text):
        call(registry)

    assert registry.list_active() == ["s1"]


def test_no_pump_and_no_listing_of_an_organism_sees_them(drive: Driver) -> None:
    # given: an organism with a join under way, and a Buffer and a Sequence of that very id beside it
    backend = drive.backend
    drive.inject("buffer")
    claim = drive.claim("buffer")
    join = drive.join(claim, 2)
    drive.commit(done(claim, join=join, sends=[drive.send(claim, "b", f"{n}.b", n) for n in range(2)]))

    def seen() -> list[Any]:
        lists = [backend.joins(), backend.threads(), backend.orphans(), backend.damages(), backend.conversations()]
        return [*map(list, lists), backend.totals(), backend.info(), backend.registry_list_all(), backend.load()]

    before = seen()

    make_buffer(buffers := BufferRegistry(backend), join.id)
    make_sequence(sequences := SequenceRegistry(backend), join.id)
    buffers.record_result(join.id, 0, "mine")
    sequences.advance(join.id, "mine")

    # then: neither sees the other
    assert seen() == before
    assert (list(backend.orphans(remove=True)), list(backend.damages(set_aside=True))) == ([], [])
    record = backend.join_get(join.id)
    assert record is not None
    assert record.results == [None, None]
    assert (buffers.list_active(), sequences.list_active()) == ([join.id], [join.id])
    drive.finish()
    state = buffers.get(join.id)
    assert state is not None
    assert state.completed_count == 1


def test_listings_of_many_come_page_by_page(unclaimed: SharedBackend) -> None:
    for number in range(MANY):
        unclaimed.collection_create("buffer", f"id-{number}", b"head", 1)
    unclaimed.collection_create("sequence", "id-0", b"other", 1)

    assert sorted(unclaimed.collection_ids("buffer")) == sorted(f"id-{number}" for number in range(MANY))
    assert list(unclaimed.collection_ids("sequence")) == ["id-0"]
    assert unclaimed.collection_get("sequence", "id-0") == Collection(b"other", {})
    BufferRegistry(unclaimed).clear()
    assert list(unclaimed.collection_ids("buffer")) == []
    assert list(unclaimed.collection_ids("sequence")) == ["id-0"]


def test_a_damaged_collection_is_named(unclaimed: SharedBackend) -> None:
    unclaimed.collection_create("buffer", "b1", b"\xc1", 1)

    with pytest.raises(BackendError, match=r"the buffer b1 is damaged .*remove it and create it again"):
        BufferRegistry(unclaimed).get("b1")
    assert BufferRegistry(unclaimed).remove("b1")
