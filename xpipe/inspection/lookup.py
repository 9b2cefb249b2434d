"""From what a user types to a thread or a conversation: a unique prefix of its id is enough."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from xpipe.core import chains
from xpipe.core.errors import UsageError
from xpipe.inspection.plain import is_utf8
from xpipe.ports import SharedBackend, ThreadRecord

CANDIDATES = 10
_INITIATOR = re.compile(r"[^.]+-[1-9][0-9]*", re.ASCII)
_MOST = 200


def find_thread(backend: SharedBackend, prefix: str) -> ThreadRecord:
    """The thread whose id begins with `prefix`. Raises UsageError when there is none, or more than one."""
    found = _find(backend, "thread", prefix, CANDIDATES + 1)
    exact = [one for one in found if one.thread == prefix]
    if len(found) > 1 and not exact:
        raise UsageError(_ambiguous("thread", prefix, (f"{one.thread} ({one.chain})" for one in found)))
    return (exact or found)[0]


def find_conversation(backend: SharedBackend, prefix: str) -> str:
    """The id of the conversation that `prefix` begins, or that the only thread belongs to whose id it begins.

    The name of its initiator, such as cli-1, will do as well. Raises UsageError when there is none, or more than one.
    """
    if _INITIATOR.fullmatch(prefix) and (id := backend.registry_get_uuid(chains.extend(backend.root(), prefix))):
        return id
    found = _find(backend, "conversation", prefix, _MOST)
    own = [one.conversation for one in found if one.thread == one.conversation]
    if len(found) == _MOST:  # There may be more.
        own = [one.id for one in backend.conversations() if one.id.startswith(prefix)]
    candidates = list(dict.fromkeys(own or [one.conversation for one in found]))
    if len(candidates) > 1:
        raise UsageError(_ambiguous("conversation", prefix, candidates))
    return candidates[0]


def newest_conversation(backend: SharedBackend, running: bool = False) -> str | None:
    """The id of the conversation that began last, None if there is none; with `running` of those that run, if any."""
    if running and (left := deque(backend.conversations(running=True), 1)):
        return left[0].id
    initiators = (one for one in backend.threads(newest=True) if one.thread == one.conversation)
    newest = next(initiators, None)
    return newest.conversation if newest else None


def check_listeners(backend: SharedBackend, names: Iterable[str], declared: Iterable[str]) -> None:
    """Raise UsageError unless each of `names` is `declared` or the listener of a thread."""
    known = set(declared)
    for name in names:
        if name not in known and not any(thread.listener == name for thread in _noted(backend, known)):
            from xpipe.wire.misfit import nearest

            raise UsageError(f"there is no listener {name!r}, nor has one of that name run; {nearest(name, known)}")


def _noted(backend: SharedBackend, listeners: set[str]) -> Iterator[ThreadRecord]:
    """The threads, the newest first; their `listeners` are noted on the way."""
    for thread in backend.threads(newest=True):
        listeners.add(thread.listener)
        yield thread


def _find(backend: SharedBackend, what: str, prefix: str, most: int) -> list[ThreadRecord]:
    if not prefix:
        raise UsageError("an empty id could be any; give the first characters of one")
    if not is_utf8(prefix):
        raise UsageError(f"{prefix!r} is not an id: it is not valid UTF-8; `xpipe threads` lists the ids")
    found = backend.find_threads(prefix, most)
    if not found:
        raise UsageError(_unknown(backend, what, prefix))
    return found


def _unknown(backend: SharedBackend, what: str, prefix: str) -> str:
    chain = backend.registry_get_chain(prefix)
    if chain is not None:
        return f"{prefix} is the id of the chain {chain}, which has recorded nothing; `xpipe registry` lists it"
    return f"there is no {what} whose id begins with {prefix!r}; `xpipe threads` lists the ids"


def _ambiguous(what: str, prefix: str, candidates: Iterable[str]) -> str:
    shown = list(candidates)
    more = ", ..." if len(shown) > CANDIDATES else ""
    return f"more than one {what} begins with {prefix!r}: {', '.join(shown[:CANDIDATES])}{more}; give more of the id"
