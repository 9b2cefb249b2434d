"""The verbs of the port as they cross a wire: arguments and results as bytes, decoded into the types it declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from xpipe.ports import SharedBackend

PAGE_ITEMS = 1_000
PAGE_BYTES = 1 << 20

encode = msgspec.msgpack.encode


class Verb:
    """One method of SharedBackend. What returns an iterator or a list is read in pages."""

    def __init__(self, method: Callable[..., Any]) -> None:
        types = get_type_hints(method)
        result = types.pop("return")
        self.name = method.__name__
        self.signature = inspect.signature(method)
        self.paged = get_origin(result) in (Iterator, list)
        answer = tuple[str, list[get_args(result)[0]]] if self.paged else result  # type: ignore[misc]  # made at run time
        self.decode_arguments = msgspec.msgpack.Decoder(tuple[tuple(types.values())]).decode  # type: ignore[misc]
        self.decode_result: Callable[[bytes], Any] = msgspec.msgpack.Decoder(answer).decode

    def encode_arguments(self, arguments: tuple[Any, ...]) -> bytes:
        """`arguments` with the defaults of those left out."""
        bound = self.signature.bind(None, *arguments)
        bound.apply_defaults()
        return encode(bound.args[1:])


@cache
def verb(name: str) -> Verb:
    """The verb called `name`. Raises KeyError."""
    method = vars(SharedBackend)[name]
    if name.startswith("_") or name == "close" or not inspect.isfunction(method):
        raise KeyError(name)
    return Verb(method)


def take_page(items: Iterator[Any]) -> tuple[list[msgspec.Raw], bool]:
    """The next items, encoded, and whether there may be more; bounded in number and, but for the last one, in size."""
    page: list[msgspec.Raw] = []
    size = 0
    for item in items:
        data = encode(item)
        page.append(msgspec.Raw(data))
        size += len(data)
        if len(page) >= PAGE_ITEMS or size >= PAGE_BYTES:
            return page, True
    return page, False


def encode_page(cursor: str, page: Iterable[msgspec.Raw]) -> bytes:
    """A page, and the cursor that the next one is asked for with, "" for none."""
    return encode((cursor, list(page)))
