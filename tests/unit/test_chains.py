"""Call chains: prune always returns to the true caller, ids tell nothing and never meet."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpipe.core import chains

STRANGE = [
    "",
    " ",
    ".",
    "..",
    "%",
    "%2E",
    "%25",
    "%7E2",
    "a~2",
    "a~2~2",
    "~",
    "a.b%c~d",
    "ä.ö",
    "e\u0301",
    "😀",
    "\u200b",
]
LONG = ["a" * 5_000, ".%~" * 2_000, "%252E" * 1_000, "😀." * 2_000]
NAMES = st.one_of(
    st.text(alphabet=st.sampled_from("ab.%~27E-ä😀\u200b "), max_size=12),
    st.text(max_size=12),
    st.sampled_from(STRANGE + LONG),
    st.text(st.characters(categories=["Cs", "Lu"]), max_size=4),  # Halves of characters come from file names.
)
PATHS = st.lists(NAMES, min_size=1, max_size=5)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@given(PATHS, NAMES)
def test_prune_is_the_inverse_of_extend(path: list[str], name: str) -> None:
    chain = chains.extend("system.org", *path)

    assert chains.prune(chains.extend(chain, name)) == (chain, name)


@given(PATHS, NAMES, st.integers(2, 99))
def test_prune_takes_an_instance_for_one_segment(path: list[str], name: str, tag: int) -> None:
    chain = chains.extend("system.org", *path)

    assert chains.prune(f"{chain}.{chains.instance(name, tag)}") == (chain, f"{name}~{tag}")


@given(PATHS)
def test_the_chains_above_a_chain_are_those_it_was_extended_from(path: list[str]) -> None:
    above = [chains.extend("system.org", *path[:depth]) for depth in range(len(path) + 1)]

    chain = above[-1]
    for expected in reversed(above[:-1]):
        chain = chains.prune(chain)[0]
        assert chain == expected


@given(PATHS)
def test_the_names_of_a_chain_are_those_it_was_made_of(path: list[str]) -> None:
    chain = chains.extend(chains.root("o.r~g%"), *path)

    assert chains.names(chain) == ["system", "o.r~g%", *path]
    assert chains.depth(chain) == 2 + len(path)


@given(PATHS, PATHS)
def test_different_paths_are_different_chains_and_threads(one: list[str], other: list[str]) -> None:
    first, second = chains.extend("system", *one), chains.extend("system", *other)

    assert (first == second) == (one == other)
    assert (chains.thread_id(b"key", first) == chains.thread_id(b"key", second)) == (one == other)


@given(NAMES, st.integers(2, 9))
def test_an_instance_is_one_segment_that_no_name_has(name: str, number: int) -> None:
    segment = chains.instance(name, number)

    assert "." not in segment
    assert segment != chains.escape(f"{name}~{number}")


@given(NAMES)
def test_a_thread_id_is_a_stable_uuid_that_depends_on_the_key(name: str) -> None:
    chain = chains.extend("system.org", name)
    id = chains.thread_id(b"one", chain)

    assert UUID.fullmatch(id)
    assert chains.thread_id(b"one", chain) == id
    assert chains.thread_id(b"two", chain) != id


@pytest.mark.parametrize(
    ("chain", "id"),
    [
        ("system.org", "09866166-db6c-86a5-b503-e66438743841"),
        ("system.org.cli-1.a", "00000124-7862-8a70-a572-c90d7b87b808"),
        ("system.org.cli-16777217.a", "0000014f-e25c-8fdf-8de5-543abc7a38e6"),
    ],
)
def test_a_thread_id_is_the_same_in_every_version(chain: str, id: str) -> None:
    assert chains.thread_id(b"key", chain) == id


def test_the_first_thread_id_of_a_process_is_like_any_later_one() -> None:
    # given: a process that has made no id yet
    later = chains.thread_id(b"key", "system.org.cli-1.a")
    chains._hash.cache_clear()
    chains._head.cache_clear()

    assert chains.thread_id(b"key", "system.org.cli-1.a") == later


@given(st.text(max_size=6), PATHS, PATHS, st.integers(1, 2**24 - 1), st.integers(1, 2**24 - 1))
def test_the_threads_of_later_conversations_of_a_source_have_later_ids(
    source: str, one: list[str], other: list[str], number: int, later: int
) -> None:
    first = chains.extend("system.org", f"{source}-{number}", *one)
    second = chains.extend("system.org", f"{source}-{later}", *other)

    ids = chains.thread_id(b"key", first), chains.thread_id(b"key", second)
    assert (ids[0] == ids[1]) == (first == second)
    if number != later:
        assert (ids[0] < ids[1]) == (number < later)


def test_the_threads_of_a_conversation_begin_alike_and_those_of_other_sources_otherwise() -> None:
    heads = [chains.thread_id(b"key", f"system.org.{chain}")[:8] for chain in ("cli-1", "cli-1.a.b", "api-1", "cli-2")]

    assert heads[0] == heads[1]
    assert len(set(heads)) == 3
    assert [head[:6] for head in heads] == ["000001", "000001", "000001", "000002"]


@pytest.mark.parametrize("initiator", ["cli", "cli-", "cli-x", "cli-1x", "cli-\u00b2", "-", "", f"cli-{'9' * 9_000}"])
def test_an_initiator_without_a_number_or_of_a_very_long_one_counts_as_none(initiator: str) -> None:
    id = chains.thread_id(b"key", f"system.org.{initiator}.a")

    assert UUID.fullmatch(id)
    assert id[:8] != chains.thread_id(b"key", f"system.org.{initiator}.b")[:8]


@pytest.mark.parametrize(
    ("chain", "caller"),
    [
        ("system.org.cli-1.a.system%2Ebuffer~m1", "a"),
        ("system.org.cli-1.a~2.system%2Ebuffer~m1", "a"),
        ("system.org.cli-1.c%2Ed.system%2Ebuffer~m1.0.system%2Esequence", "c.d"),
        ("system.org.cli-1.a.system%2Esequence~m1.0.system%2Ebuffer.12.system%2Esequence", "a"),
        ("system.org.cli-1.system%2Ebuffer.0.system%2Ebuffer", "cli-1"),
        ("system.org.cli-1.0.system%2Ebuffer~m1.0.system%2Ebuffer", "0"),
    ],
)
def test_the_outer_caller_is_who_asked_through_all_primitives(chain: str, caller: str) -> None:
    assert chains.outer_caller(chain, ("system.buffer", "system.sequence")) == caller


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_is_one_segment_that_stands_for_it(name: str) -> None:
    segment = chains.escape(name)

    assert "." not in segment
    assert chains.unescape(segment) == name


def test_an_initiator_with_the_name_of_a_primitive_is_none() -> None:
    called = list(chains.callers("system.org.cli-1.a.b", {"cli-1"}))

    assert called == [("a", ""), ("cli-1", "")]
