"""The items of a Buffer, a stretch at a time: from its start message, or from a file."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, Protocol, cast

import msgspec

from xpipe.core.codec import decode_item
from xpipe.core.errors import WireError, reason_of
from xpipe.runtime.primitives.base import Refusal
from xpipe.wire.documents import Document, read_documents, resume_lines

AHEAD_BYTES = 1 << 20
"""How much of a start message is kept at hand for the next pieces."""


class Place(msgspec.Struct, array_like=True, frozen=True):
    """From where a file can be read to come upon the item `index`: a byte `offset` in `line`."""

    index: int = 0
    offset: int = 0
    line: int = 1


class Source(Protocol):
    """Items in their order. They can be taken again from anywhere: another pump may have to."""

    def take(self, start: int, count: int) -> Sequence[Any]:
        """The items from `start` on, `count` of them, fewer at the end. Raises Refusal."""

    def place_of(self, index: int) -> Place:
        """From where to go on with item `index`, which was taken or is the next one."""


class ListedItems:
    """Those of a start message, which `load` reads from where it is kept; `items` if they have been read already."""

    def __init__(self, load: Callable[[], Iterable[msgspec.Raw]], items: Iterable[msgspec.Raw] | None = None) -> None:
        self._load = load
        self._first = self._last = 0
        self._ended = False
        self._ahead: list[bytes] = []
        if items is not None:
            self._look_ahead(items, 0, 0)

    def take(self, start: int, count: int) -> Sequence[Any]:
        if start < self._first or (start + count > self._last and not self._ended):
            self._look_ahead(self._load(), start, count)
        at = start - self._first
        return [decode_item(item) for item in self._ahead[at : at + count]]

    def place_of(self, index: int) -> Place:
        return Place(index)

    def _look_ahead(self, items: Iterable[msgspec.Raw], start: int, count: int) -> None:
        """Keep copies of the next ones: the items as they are would keep the whole message."""
        size, self._ended, self._ahead = 0, False, []
        for item in islice(items, start, None):
            if size > AHEAD_BYTES and len(self._ahead) >= count:
                break
            self._ahead.append(bytes(item))
            size += len(self._ahead[-1])
        else:
            self._ended = True
        self._first, self._last = start, start + len(self._ahead)


class File(msgspec.Struct, array_like=True, frozen=True):
    """A file of items as it was when its Buffer started, and what its Buffer calls it."""

    path: str
    name: str
    size: int
    changed: int

    @classmethod
    def at(cls, path: str, name: str) -> File:
        """The file `path`, called `name`. Raises Refusal."""
        try:
            found = os.stat(path)
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from None
        if not stat.S_ISREG(found.st_mode):
            raise Refusal("unreadable_items", f"items_from is {name}, which is no regular file")
        return cls(path, name, found.st_size, found.st_mtime_ns)

    def check(self) -> None:
        """Refuse to go on when it is not the same any more."""
        if File.at(self.path, self.name) != self:
            text = f"items_from is {self.name}, which has changed while it was read; start the Buffer again"
            raise Refusal("unreadable_items", text)


def _unreadable(name: str, error: OSError | ValueError) -> Refusal:
    return Refusal("unreadable_items", f"items_from is {name}, which cannot be read: {reason_of(error)}")


class _Chunks:
    """A file as a stream that is open only while it is being read: a Buffer may rest for days."""

    def __init__(self, path: str, offset: int) -> None:
        self._path = path
        self._offset = offset

    def read(self, size: int) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read(size)
        self._offset += len(data)
        return data


class FiledItems:
    """Those of `file`, read from `place` on."""

    def __init__(self, file: File, place: Place, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._first = 0
        self._go_to(place)

    def take(self, start: int, count: int) -> Sequence[Any]:
        self._file.check()
        if start < self._first:
            self._go_to(Place())
        try:
            while self._first < start and self._look_ahead(1):
                self._place = self._ahead.popleft()[1]
                self._first += 1
            self._look_ahead(count)
        except OSError as error:
            raise _unreadable(self._file.name, error) from None
        return [item for item, _ in islice(self._ahead, count)]

    def place_of(self, index: int) -> Place:
        return self._ahead[index - self._first - 1][1] if index > self._first else self._place

    def _go_to(self, place: Place) -> None:
        self._place, self._first = place, place.index
        self._ahead: deque[tuple[Document | WireError, Place]] = deque()
        self._rest = self._behind(place)

    def _look_ahead(self, count: int) -> bool:
        """Keep the next `count` items at hand; whether there is one."""
        self._ahead.extend(islice(self._rest, max(0, count - len(self._ahead))))
        return bool(self._ahead)

    def _behind(self, place: Place) -> Iterator[tuple[Document | WireError, Place]]:
        """Each item from `place` on, with the place behind it."""
        for index, item in enumerate(self._documents(place), place.index + 1):
            if isinstance(item, Document) and item.line:
                place = Place(index, item.offset, item.line)
            yield item, place

    def _documents(self, place: Place) -> Iterator[Document | WireError]:
        file = self._file
        stream = cast(BinaryIO, _Chunks(file.path, place.offset))
        if place.offset:
            return resume_lines(stream, file.name, self._max_bytes, place.offset, place.line)
        return read_documents(stream, file.name, None, self._max_bytes)
