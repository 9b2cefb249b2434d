"""Where each Buffer has its items from, with what is at hand of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from xpipe.core.codec import decode_listed
from xpipe.runtime.history import find_request
from xpipe.runtime.primitives.base import Refusal
from xpipe.runtime.primitives.buffer_state import BufferState
from xpipe.runtime.primitives.items import FiledItems, ListedItems, Source

MAX_KEPT = 64
"""Buffers of which something is kept at hand; the others read again."""


class Sources:
    """`read_slot` gives a slot of a thread by its index, `max_bytes` bounds one document of a file."""

    def __init__(self, read_slot: Callable[[str, int], bytes | None], max_bytes: int) -> None:
        self._read_slot = read_slot
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Source] = OrderedDict()

    def of(self, thread: str, call: str, state: BufferState, items: Sequence[msgspec.Raw] | None = None) -> Source:
        """That of the Buffer in `thread` which `call` asked for; `items` are those of its start message, if read."""
        source = self._kept.get(thread)
        if source is None:
            source = self._make(thread, call, state, items)
        return source

    def keep(self, thread: str, source: Source) -> None:
        """Keep at hand what `source` has read."""
        self._kept[thread] = source
        self._kept.move_to_end(thread)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def drop(self, thread: str) -> None:
        """Its Buffer needs nothing more."""
        self._kept.pop(thread, None)

    def _make(self, thread: str, call: str, state: BufferState, items: Sequence[msgspec.Raw] | None) -> Source:
        if state.file is not None:
            return FiledItems(state.file, state.place, self._max_bytes)
        return ListedItems(partial(self._load, thread, call), items)

    def _load(self, thread: str, call: str) -> Sequence[msgspec.Raw]:
        """The items in the request that opened `call`."""
        message = find_request(self._read_slot, thread, call)
        if message is None:
            raise Refusal("damaged_message", "the message that holds the items of the Buffer cannot be read any more")
        return decode_listed(message.type, message.payload).items
