"""Rules across a file that runs all the same: who is reached, what is kept, who takes what, what a pool can do."""

from __future__ import annotations

from pathlib import Path

import pytest

MODULE = """
from __future__ import annotations
from dataclasses import dataclass
from xpipe import BufferComplete, BufferStart, Fault, HandlerResponse, Items, SequenceStart

@dataclass
class Order:
    id: int

@dataclass
class Priced:
    id: int

@dataclass
class Refused:
    why: str

async def ask(payload: Order, metadata) -> HandlerResponse: ...
async def ask_and_hear(payload: Order | Priced, metadata) -> HandlerResponse: ...
async def gather(payload: Order | BufferComplete, metadata) -> HandlerResponse: ...
async def price(payload: Order, metadata) -> HandlerResponse[Priced | Refused] | None: ...
async def price_alone(payload: Order) -> Priced | Refused: ...
async def prices(payload: Order, metadata) -> list[HandlerResponse[Priced]]: ...
async def refuse(payload: Order, metadata) -> HandlerResponse[Fault]: ...
async def pay(payload: Priced, metadata) -> None: ...
async def spread(payload: Order, metadata) -> HandlerResponse[BufferStart]: ...
async def spread_and_price(payload: Order, metadata) -> HandlerResponse[SequenceStart | Priced]: ...
def work(payload: Order, metadata) -> HandlerResponse: ...
"""

CASES: dict[str, tuple[str, list[str]]] = {}


def case(name: str, text: str, *expected: str) -> None:
    CASES[name] = (f"organism: x\n{text}", list(expected))


NOT_REACHED = (
    "no message, peer, buffer or sequence. Name it where it is to be called, or remove it; "
    "it may stay as it is if its messages come from outside."
)
SENT = "messages: [{to: a, payload: {id: 1}}]\nlisteners:\n"

case(
    "a listener that nothing reaches",
    SENT
    + "  - {name: a, handler: h.ask, peers: [b]}\n  - {name: b, handler: h.ask, peers: []}\n"
    + "  - {name: c, handler: h.ask}\n",
    f'6:12: note[unreachable]: Nothing in this file reaches the listener "c": {NOT_REACHED}',
)
case(
    "all are reached, by peers, groups, buffers and sequences",
    SENT
    + "  - {name: a, handler: h.gather, peers: [g, all]}\n"
    + "  - {name: g.one, handler: h.ask, broadcast: true, peers: []}\n"
    + "  - {name: all, buffer: steps}\n  - {name: steps, sequence: [b]}\n  - {name: b, handler: h.ask, peers: []}\n",
)
case(
    "somebody who is reached may call anybody",
    SENT + "  - {name: a, handler: h.ask}\n  - {name: b, handler: h.ask, peers: []}\n",
)
case(
    "without messages everything comes from outside",
    "listeners:\n  - {name: a, handler: h.ask, peers: []}\n  - {name: b, handler: h.ask, peers: []}\n",
)
case(
    "a listener that is a peer of its own, and a peer twice",
    "listeners:\n  - {name: a, handler: h.ask, peers: [a, b, b]}\n  - {name: b, handler: h.ask, peers: [a]}\n",
    '3:39: warning[peer-itself]: The listener "a" is a peer of its own: it reaches itself anyway. Remove it.',
    '3:45: warning[duplicate-peer]: The peer "b" stands twice in this list; the first one is at line 3, column 42. '
    "Keep one of them.",
)
case(
    "a caller that takes nothing of what its peer answers",
    "listeners:\n  - {name: a, handler: h.ask, peers: [b]}\n  - {name: b, handler: h.price, peers: []}\n",
    '3:39: warning[unaccepted-reply]: The peer "b" answers Priced or Refused, and "a" does not take that. '
    "Add Priced or Refused to the annotation of its handler's payload, or take the peer off the list.",
)
case(
    "a caller that takes nothing of the payload that its peer returns",
    "listeners:\n  - {name: a, handler: h.ask, peers: [b]}\n  - {name: b, handler: h.price_alone, peers: []}\n",
    '3:39: warning[unaccepted-reply]: The peer "b" answers Priced or Refused, and "a" does not take that. '
    "Add Priced or Refused to the annotation of its handler's payload, or take the peer off the list.",
)
case(
    "a caller that takes nothing of what a member of a group, and what a sequence answers",
    "listeners:\n  - {name: a, handler: h.ask, peers: [g, s]}\n  - {name: g.one, handler: h.prices, broadcast: true}\n"
    "  - {name: s, sequence: [g.one]}\n",
    '3:39: warning[unaccepted-reply]: The peer "g.one" answers Priced, and "a" does not take that. '
    "Add Priced to the annotation of its handler's payload, or take the peer off the list.",
    '3:42: warning[unaccepted-reply]: The peer "s" answers Priced, and "a" does not take that. '
    "Add Priced to the annotation of its handler's payload, or take the peer off the list.",
)
case(
    "callers that take some of it, may use a Buffer, or whose peers do not tell or only fail",
    "listeners:\n  - {name: a, handler: h.ask_and_hear, peers: [b]}\n  - {name: b, handler: h.price}\n"
    "  - {name: c, handler: h.gather, peers: [b]}\n  - {name: d, handler: h.ask, peers: [a, e, f]}\n"
    "  - {name: e, handler: h.refuse}\n  - {name: f, handler: h.pay}\n",
)
case(
    "a step that takes nothing of what the one before answers",
    "listeners:\n  - {name: a, handler: h.prices}\n  - {name: s, sequence: [a, a]}\n",
    '4:29: warning[step-payload]: The step "a" takes Order, and "a" before it answers Priced. '
    "Put a listener between them that makes one from the other.",
)
case(
    "what a step sends to a Buffer or a Sequence is no answer",
    "listeners:\n  - {name: a, handler: h.spread}\n  - {name: b, handler: h.spread_and_price}\n"
    "  - {name: s, sequence: [a, b, a]}\n  - {name: c, handler: h.ask, peers: [a]}\n",
    '5:32: warning[step-payload]: The step "a" takes Order, and "b" before it answers Priced. '
    "Put a listener between them that makes one from the other.",
)
case(
    "a step that takes what the one before answers",
    "listeners:\n  - {name: a, handler: h.price}\n  - {name: b, handler: h.ask_and_hear}\n"
    "  - {name: s, sequence: [a, b]}\n",
)
case(
    "a pool that nobody uses",
    "process_pool: {workers: 2}\nlisteners:\n  - {name: a, handler: h.ask}\n",
    "2:15: warning[unused-pool]: There is a process_pool, and no listener is cpu_bound. "
    "Mark whoever needs it with cpu_bound: true.",
)
case(
    "more at once than there are workers",
    "process_pool: {workers: 2}\nlisteners:\n  - {name: a, handler: h.work, cpu_bound: true, concurrency: 3}\n",
    '4:62: warning[concurrency-beyond-workers]: "a" asks for 3 at once, and process_pool.workers is 2: '
    "the others wait. Raise workers, or lower concurrency.",
)
case(
    "as many at once as there are workers",
    "process_pool: {workers: 2}\nlisteners:\n  - {name: a, handler: h.work, cpu_bound: true, concurrency: 2}\n",
)
ONE = "listeners:\n  - {name: a, handler: h.ask, timeout: 2h}\n"
case(
    "a retention below a timeout",
    f"backend: {{retention: 1h}}\n{ONE}",
    '2:22: warning[retention-below-timeout]: retention (1h) is shorter than the timeout of "a" (2h): '
    "what is over would be forgotten while others that began with it still go on. Set retention to 2h or more.",
)
case(
    "a ttl below the duration of a conversation",
    "backend: {type: redis, redis_ttl: 30m}\nlimits: {conversation_duration: 1h}\n"
    "listeners: [{name: a, handler: h.ask}]\n",
    "2:35: warning[redis-ttl-below-timeout]: redis_ttl (30m) is shorter than limits.conversation_duration (1h): "
    "if its run dies, its state is gone before its time is up. Set redis_ttl to 1h or more.",
)
case(
    "a ttl that is left out below the timeout of a buffer",
    f"backend: redis\n{ONE}  - {{name: b, buffer: {{target: a, timeout: 2d}}}}\n",
    '5:44: warning[redis-ttl-below-timeout]: redis_ttl (1d) is shorter than the timeout of "b" (2d): '
    "if its run dies, its state is gone before its time is up. Set redis_ttl to 2d or more.",
)
case(
    "a retention below several bounds",
    "backend: {retention: 1h}\nlimits: {conversation_duration: 1d}\nlisteners:\n"
    "  - {name: a, handler: h.ask, timeout: 2h}\n  - {name: b, handler: h.ask, timeout: 30m}\n"
    "  - {name: c, handler: h.ask, timeout: 3h}\n  - {name: d, handler: h.ask, timeout: 4h}\n",
    "2:22: warning[retention-below-timeout]: retention (1h) is shorter than limits.conversation_duration (1d), "
    'the timeout of "d" (4h), the timeout of "c" (3h) and 1 more: '
    "what is over would be forgotten while others that began with it still go on. Set retention to 1d or more.",
)
case(
    "a retention of nothing, and one that is long enough",
    f"backend: {{type: redis, retention: 0, redis_ttl: 2h}}\n{ONE}",
)
case("a ttl of another backend", f"backend: {{type: memory, redis_ttl: 30m}}\n{ONE}")


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_where_it_is_and_what_to_do(findings, folder: Path, name: str) -> None:
    (folder / "h.py").write_text(MODULE)
    text, expected = CASES[name]
    assert findings(text) == expected
