"""Whether a class can be a payload, and which payload classes the modules of the handlers hold."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar

import msgspec

from xpipe.config.handlers import Complaint
from xpipe.config.wording import one_line
from xpipe.core.codec import is_payload_class
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import SYSTEM_PAYLOADS
from xpipe.wire.shaping import shape_of


def complain_about_class(cls: object, name: str) -> Complaint | None:
    """What keeps `cls`, called `name` in the file, from being a payload class; or None."""
    if any(cls is one for one in SYSTEM_PAYLOADS):
        return None
    if not is_payload_class(cls) or cls is msgspec.Struct:
        what = f"of type {type(cls).__name__}" if not isinstance(cls, type) else "a plain class"
        message = f"{name} must be a dataclass or a msgspec Struct, but is {what}."
        return Complaint("payload-class", message, "Put @dataclass above it." if isinstance(cls, type) else "")
    assert isinstance(cls, type)
    try:
        msgspec.msgpack.Decoder(cls)
    except Exception as error:  # resolving annotations runs user code
        where, reason = _wrong_field(cls, error)
        return Complaint("payload-field", f"{name}{where} cannot be decoded: {reason}.")
    try:
        shape_of(cls)
    except PayloadError as error:
        message, _, hint = str(error).partition("; ")
        return Complaint("payload-field", f"{message}.", f"{hint[:1].upper()}{hint[1:]}." if hint else "")
    return None


def visible_classes(module: ModuleType) -> Iterator[tuple[str, type]]:
    """The names and payload classes in the namespace of `module`, except those of xpipe and msgspec themselves."""
    for name, value in list(vars(module).items()):
        # Asked of the type first: a lazy proxy may raise when it is asked for its class.
        if issubclass(type(value), type) and is_payload_class(value) and not _is_foreign(value):
            yield name, value


def _is_foreign(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("xpipe", "msgspec")


def _hints(cls: type) -> list[tuple[str, Any]]:
    fields: Any = getattr(cls, "__dataclass_fields__", None) or getattr(cls, "__struct_fields__", ())
    hints = typing.get_type_hints(cls, include_extras=True)
    found = [(name, hints[name]) for name in fields if name in hints]
    return [(name, hint) for name, hint in found if typing.get_origin(hint) is not ClassVar and hint is not ClassVar]


def _wrong_field(cls: type, error: Exception) -> tuple[str, str]:
    """The field that msgspec cannot decode, as `.name`, and the reason; no name if it is the class as a whole."""
    try:
        hints = _hints(cls)
    except Exception as unresolved:  # resolving annotations runs user code
        return _unresolved_field(cls), f"{type(unresolved).__name__}: {one_line(str(unresolved))}"
    for name, hint in hints:
        try:
            msgspec.msgpack.Decoder(hint)
        except Exception as reason:  # as above
            return f".{name}", one_line(str(reason))
    return "", one_line(str(error))


def _unresolved_field(cls: type) -> str:
    for name, annotation in inspect.get_annotations(cls).items():
        holder = type(cls.__name__, (), {"__annotations__": {name: annotation}, "__module__": cls.__module__})
        try:
            typing.get_type_hints(holder)
        except Exception:  # as above
            return f".{name}"
    return ""
