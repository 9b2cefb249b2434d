"""Payload <-> JSON."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError, WireError
from xpipe.wire import jsonable
from xpipe.wire.json_text import JsonTextError, decode_text, locate, parse_json
from xpipe.wire.misfit import Misfit
from xpipe.wire.origin import Origin
from xpipe.wire.plain import Lifter
from xpipe.wire.shaping import shape_of

T = TypeVar("T")


def to_jsonable(payload: Any, types: PayloadTypes) -> Any:
    """`payload` as dict, list, str, int, finite float, bool and None. Raises PayloadError naming the field."""
    return jsonable.dump(payload, types)


def to_json(payload: Any, types: PayloadTypes) -> bytes:
    """`payload` as one line of JSON in UTF-8. Raises PayloadError naming the field that JSON cannot carry."""
    plain = jsonable.dump(payload, types)
    try:
        return msgspec.json.encode(plain)
    except (RecursionError, OverflowError, ValueError) as error:
        raise PayloadError(f"{type(payload).__name__} cannot be written as JSON: {error}") from None


def from_json(cls: type[T], data: Any, types: PayloadTypes, where: str | Origin = "") -> T:
    """The payload of class `cls` in `data`: JSON text, or data already parsed. Raises WireError."""
    origin = where if isinstance(where, Origin) else Origin.of(where)
    if isinstance(data, bytes | str):
        text, data = read_json(data, origin)
    else:
        text = ""
    return read_value(cls, data, types, origin, text)


def read_json(data: bytes | str, origin: Origin) -> tuple[str, Any]:
    """The text and the value of the JSON in `data`. Raises WireError."""
    text = ""
    try:
        text = decode_text(data)
        return text, parse_json(text)
    except JsonTextError as error:
        text = text or (data if isinstance(data, str) else data.decode("utf-8", "replace"))
        raise origin.error(origin.at_offset(text, max(error.offset, 0)), str(error)) from None


def read_value(
    cls: type[T], value: Any, types: PayloadTypes, origin: Origin, text: str = "", prefix: tuple[str, ...] = ()
) -> T:
    """The payload of class `cls` in the parsed `value`, which stands at `prefix` in `text`. Raises WireError."""
    try:
        payload: T = Lifter(types).payload(shape_of(cls), value)
    except Misfit as misfit:
        path = (*prefix, *misfit.path)
        place = origin.at_offset(text, locate(text, path)) if text else origin.name
        raise origin.error(place, misfit.text(cls.__name__), misfit.code, path) from None
    except RecursionError:
        raise origin.error(origin.at(1, 1), f"{cls.__name__}: the values are nested too deeply") from None
    except WireError:
        raise
    except PayloadError as error:
        raise origin.error(origin.at(1, 1), str(error), error.code) from None
    return payload
