"""Who reaches whom, as listeners come and go."""

from __future__ import annotations

import pytest
from router_kit import Other, Ping, Pong, listener

from xpipe.core.codec import PayloadTypes
from xpipe.core.organism import BufferOptions, Listener
from xpipe.runtime.topology import Topology


def topology_of(*listeners: Listener) -> Topology:
    return Topology(listeners, PayloadTypes([Ping, Pong, Other]))


def test_what_was_allowed_is_refused_once_its_listener_has_gone() -> None:
    # given: a call that was found to be allowed
    topology = topology_of(listener("a"), listener("b"))
    assert topology.refusal("a", "b", "Ping") is None

    topology.remove("b")

    problem = topology.refusal("a", "b", "Ping")
    assert problem is not None
    assert problem[0] == "unknown_target"


def test_what_was_allowed_is_refused_once_a_member_joins_that_does_not_take_it() -> None:
    # given: a message that all members of a group were found to take
    topology = topology_of(listener("all.a", broadcast=True))
    assert topology.refusal(None, "all", "Ping") is None

    topology.add(listener("all.b", Other, broadcast=True))

    problem = topology.refusal(None, "all", "Ping")
    assert problem is not None
    assert problem[0] == "bad_payload"


def test_a_listener_that_takes_the_name_of_a_buffer_is_no_primitive() -> None:
    # given: a listener with a buffer that has gone
    topology = topology_of(listener("work"), listener("each", buffer=BufferOptions("work")))
    assert "each" in topology.primitives
    topology.remove("each")

    topology.add(listener("each"))

    assert "each" not in topology.primitives


def test_a_type_that_the_organism_does_not_know_is_taken_by_no_listener() -> None:
    assert not topology_of(listener("a")).accepts("a", "Nonsense")


@pytest.mark.parametrize("broadcast", [True, False])
def test_peers_with_a_group_allow_its_members_and_no_other_name_that_begins_alike(broadcast: bool) -> None:
    topology = topology_of(listener("a", peers=frozenset(["all"])), listener("all.b", broadcast=broadcast))

    assert topology.may_call("a", "all.b") is broadcast


@pytest.mark.parametrize("name", ["a", "all"])
def test_a_name_that_is_taken_by_a_listener_or_a_group_is_refused(name: str) -> None:
    topology = topology_of(listener("a"), listener("all.b", broadcast=True))

    with pytest.raises(ValueError, match=f"the listener {name} exists already; unregister it or take another name"):
        topology.add(listener(name, Other))

    assert not topology.accepts(name, "Other")


def test_messages_are_expected_for_a_listener_that_went_before_this_run() -> None:
    topology = topology_of(listener("a"))

    topology.expect(["a", "before"])

    assert topology.gone == {"before"}


def test_a_listener_that_takes_nothing_says_so() -> None:
    deaf = Listener("deaf", lambda _: None, ())

    assert topology_of(deaf).accepted("deaf") == "nothing"
