"""Storage of Buffers and Sequences in a backend: a head and numbered parts, separate from organisms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from xpipe.backends.arguments import require_id
from xpipe.core.errors import BackendError, LimitError, PayloadError
from xpipe.ports import Collection, SharedBackend
from xpipe.state.factory import private_backend

Head = TypeVar("Head")
Part = TypeVar("Part")


class Collections(Generic[Head, Part]):
    """The collections of one kind in a backend, decoded; without a backend, in a private one in memory."""

    def __init__(self, backend: SharedBackend | None, kind: str, head: type[Head], part: type[Part]) -> None:
        self._backend = private_backend() if backend is None else backend
        self._kind = kind
        self._decode_head = msgspec.msgpack.Decoder(head).decode
        self._decode_part = msgspec.msgpack.Decoder(part).decode

    def create(self, id: str, head: Head, size: int) -> None:
        """Begin one of `size` parts. Raises LimitError when there is one called `id`."""
        require_id(f"{self._kind}_id", id)
        if not self._backend.collection_create(self._kind, id, self._encoded(id, head), size):
            raise LimitError(f"there is a {self._kind} {id} already; remove it or take another id")

    def get(self, id: str) -> tuple[Head, dict[int, Part]] | None:
        found = self._backend.collection_get(self._kind, id)
        return None if found is None else self._decoded(id, found)

    def add(self, id: str, index: int, part: Part) -> bool:
        """Add a part. False if it exists already, or the index or collection does not exist."""
        return self._backend.collection_add(self._kind, id, index, self._encoded(id, part))

    def remove(self, id: str) -> bool:
        return self._backend.collection_remove(self._kind, id)

    def ids(self) -> Iterator[str]:
        return self._backend.collection_ids(self._kind)

    def clear(self) -> None:
        for id in list(self.ids()):
            self.remove(id)

    def _encoded(self, id: str, content: Any) -> bytes:
        try:
            return msgspec.msgpack.encode(content)
        except (TypeError, OverflowError, UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as error:
            raise PayloadError(
                f"the {self._kind} {id}: the value cannot be stored ({error}); pass plain data"
            ) from None

    def _decoded(self, id: str, found: Collection) -> tuple[Head, dict[int, Part]]:
        try:
            head = self._decode_head(found.head)
            return head, {index: self._decode_part(part) for index, part in found.parts.items()}
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BackendError(f"the {self._kind} {id} is damaged ({error}); remove it and create it again") from None
