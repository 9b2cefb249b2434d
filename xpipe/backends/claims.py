"""Who works on what: leasing ready messages to a pump, and taking leases back."""

from __future__ import annotations

from collections.abc import Mapping

from xpipe.backends.records import Thread
from xpipe.backends.store import Store
from xpipe.core.messages import Claim

_NONE_OPEN: list[str] = []
ALONE_FROM = 2
"""A message whose lease was lost this often is claimed alone, so that it takes no others down with it."""


def claim_ready(store: Store, pump: str, room: Mapping[str, int], most: int) -> list[Claim]:
    """Lease up to `most` ready messages to `pump`, at most `room[name]` of each listener."""
    ready = store.take_ready(room, most)
    if max([thread.deliveries for thread in ready], default=0) < ALONE_FROM:
        return [_claim(pump, thread) for thread in ready]
    claims: list[Claim] = []
    rest: list[Thread] = []
    for thread in ready:
        alone = thread.deliveries >= ALONE_FROM or (claims and claims[0].deliveries >= ALONE_FROM)
        if rest or (claims and alone):
            rest.append(thread)
        else:
            claims.append(_claim(pump, thread))
    for thread in reversed(rest):
        store.make_ready(thread, first=True)
    return claims


def _claim(pump: str, thread: Thread) -> Claim:
    assert thread.mailbox
    thread.owner = pump
    thread.fence += 1
    return Claim(
        thread.id,
        thread.fence,
        thread.slots[thread.mailbox[0]],
        thread.chain,
        thread.listener,
        thread.caller,
        thread.call,
        thread.is_initial,
        list(thread.open.values()) if thread.open else _NONE_OPEN,
        thread.state,
        thread.attempt,
        thread.deliveries,
    )


def release(store: Store, pump: str, lost: bool) -> int:
    """Make what `pump` has claimed ready again, first in its queues; `lost`: with its lease, not handed back."""
    threads = list(store.claimed_by(pump))
    for thread in threads:
        thread.owner = ""
        thread.deliveries += lost
        store.make_ready(thread, first=True)
    return len(threads)
