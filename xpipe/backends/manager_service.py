"""What a manager process serves: the verbs of a memory backend, as bytes."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from xpipe.backends.manager_verbs import encode, encode_page, take_page, verb
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.errors import BackendError, LimitError

OK = ""
LIMIT = "limit"
REFUSED = "refused"
BUG = "bug"

MOST_CURSORS = 64
_WAKING = frozenset(
    {"inject", "cancel", "retry_dead", "retire", "bury_pump", "forget", "forget_ended", "make_room", "delivered"}
)
_LEAVING = frozenset({"retire", "bury_pump"})


class Service:
    """The object of a manager. `call` and `page` answer with OK and a result, or with a kind of error and its text."""

    def __init__(self, backend: InMemoryBackend) -> None:
        self._backend = backend
        self._wakeups = Wakeups()
        self._cursors = Cursors()

    def call(self, name: str, arguments: bytes) -> tuple[str, bytes]:
        """The result of the verb `name`; the first page of one that is read in pages."""
        try:
            return OK, self._call(name, arguments)
        except LimitError as error:
            return LIMIT, str(error).encode()
        except (BackendError, msgspec.ValidationError) as error:
            return REFUSED, str(error).encode()
        except Exception as error:
            return BUG, f"{name}: {type(error).__name__}: {error}".encode()

    def page(self, cursor: str) -> tuple[str, bytes]:
        """The next page of a listing."""
        items = self._cursors.take(cursor)
        if items is None:
            return REFUSED, b"the listing was left for too long; list again"
        return OK, self._page(items)

    def drop(self, cursor: str) -> None:
        """A listing is not read to its end."""
        self._cursors.take(cursor)

    def _call(self, name: str, data: bytes) -> bytes:
        found = verb(name)
        arguments = found.decode_arguments(data)
        result = self._run(name, arguments)
        return self._page(iter(result)) if found.paged else encode(result)

    def _run(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "wait":
            return self._wakeups.wait(*arguments)
        if name == "advance":
            return self._advance(*arguments)
        if name == "open":
            return self._open(*arguments)
        result = getattr(self._backend, name)(*arguments)
        if name in _WAKING:
            self._wakeups.tell("")
        if name in _LEAVING:
            self._wakeups.drop(arguments[0])
        return result

    def _open(self, organism: str | None, slots_per_thread: int | None) -> None:
        if organism is None and not self._backend.root():
            raise BackendError("the manager holds no organism yet; look again when its run has started")
        self._backend.open(organism, slots_per_thread)

    def _advance(self, pump: str, finished: Any, *rest: Any) -> Any:
        self._wakeups.look(pump)
        before = self._backend.load().in_flight
        advanced = self._backend.advance(pump, finished, *rest)
        if finished or self._backend.load().in_flight != before:
            self._wakeups.tell(pump)
        return advanced

    def _page(self, items: Iterator[Any]) -> bytes:
        page, more = take_page(items)
        return encode_page(self._cursors.keep(items) if more else "", page)


class Cursors:
    """Listings that are being read. Those that nobody has read on for the longest time make room for others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Iterator[Any]] = OrderedDict()

    def keep(self, items: Iterator[Any]) -> str:
        """The name under which `items` can be taken, once."""
        cursor = secrets.token_hex(8)
        with self._lock:
            self._open[cursor] = items
            while len(self._open) > MOST_CURSORS:
                self._open.popitem(last=False)
        return cursor

    def take(self, cursor: str) -> Iterator[Any] | None:
        """What was kept under `cursor`."""
        with self._lock:
            return self._open.pop(cursor, None)


class Wakeups:
    """Lets a pump sleep until another one has changed something since its last look."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._all = 0
        self._own: defaultdict[str, int] = defaultdict(int)
        self._seen: dict[str, int] = {}

    def look(self, pump: str) -> None:
        """`pump` is about to see all changes up to now."""
        with self._changed:
            self._seen[pump] = self._others(pump)

    def tell(self, pump: str) -> None:
        """`pump` has changed something."""
        with self._changed:
            self._all += 1
            self._own[pump] += 1
            self._changed.notify_all()

    def wait(self, pump: str, seconds: float) -> bool:
        """Whether another pump changed something within `seconds`, or had done so since the last look."""
        with self._changed:
            seen = self._seen.setdefault(pump, self._others(pump))
            changed = self._changed.wait_for(lambda: self._others(pump) > seen, seconds)
            if changed:
                self._seen[pump] = self._others(pump)  # It has been told of these.
            return changed

    def drop(self, pump: str) -> None:
        """`pump` is gone."""
        with self._changed:
            self._own.pop(pump, None)
            self._seen.pop(pump, None)

    def _others(self, pump: str) -> int:
        return self._all - self._own.get(pump, 0)
