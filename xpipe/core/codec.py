"""Payload types by name, and payloads as bytes: msgspec MessagePack, decoded into declared types only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from xpipe.core.class_check import WrongClass, check_of
from xpipe.core.decoders import decoder_of
from xpipe.core.errors import PayloadError
from xpipe.core.field_types import field_types, types_in
from xpipe.core.module_names import module_name, plain_names
from xpipe.core.payloads import (
    SYSTEM_PAYLOADS,
    BufferComplete,
    BufferItemResult,
    BufferStart,
    Fault,
    Items,
    SequenceComplete,
    SequenceStart,
)

if TYPE_CHECKING:
    from xpipe.core.organism import OrganismDefinition


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """A payload inside another one: the name of its type, and its bytes."""

    type: str
    data: bytes


@dataclasses.dataclass
class _EncodedStart(BufferStart):
    items: list[msgspec.Raw] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _EncodedItems(Items):
    items: list[msgspec.Raw] = dataclasses.field(default_factory=list)


_LISTED: Mapping[str, msgspec.msgpack.Decoder[BufferStart | Items]] = {
    "BufferStart": msgspec.msgpack.Decoder(_EncodedStart),
    "Items": msgspec.msgpack.Decoder(_EncodedItems),
}


def decode_listed(name: str, data: bytes) -> BufferStart | Items:
    """The BufferStart or Items in `data`; each item is left as it is encoded: there may be very many of them.

    Raises PayloadError.
    """
    if name not in _LISTED:
        raise PayloadError(f"{name} is not {' or '.join(_LISTED)}")
    try:
        return _LISTED[name].decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise PayloadError(f"{name}: {error}") from None


Item: TypeAlias = Packed | str | dict[Any, Any] | None
"""A payload inside another one: packed, or XML or JSON text, or a mapping of its fields."""

_decode_item: Callable[[bytes | msgspec.Raw], Item] = msgspec.msgpack.Decoder(Item).decode


def decode_item(data: bytes | msgspec.Raw) -> Item:
    """An item that `decode_listed` has left encoded. Raises PayloadError."""
    try:
        return _decode_item(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise PayloadError(str(error)) from None


class PayloadTypes:
    """The payload classes one organism knows, each under a unique name; stored names resolve here and nowhere else.

    A class goes by its bare name; classes that share one go by `module.Name`.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._names: dict[type, str] = {}
        self._classes: dict[str, type] = {}
        self._decoders: dict[str, Callable[[bytes], Any]] = {}
        self._packed_decoders: dict[str, Callable[[bytes], Any]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._encoders: dict[type, tuple[str, Callable[[Any], bytes]]] = {}
        for cls, name in _unique_names([*SYSTEM_PAYLOADS, *classes]):
            self._names[cls] = name
            self._classes[name] = cls

    @classmethod
    def named(cls, classes: Mapping[str, type]) -> PayloadTypes:
        """`classes` under the names that they have in another process."""
        types = cls(())
        types._classes.update(classes)
        types._names.update((one, name) for name, one in classes.items())
        return types

    @classmethod
    def of(cls, definition: OrganismDefinition) -> PayloadTypes:
        """The classes that the organism knows, and those that its listeners accept."""
        accepted = [type for one in definition.listeners for type in one.accepts if type is not object]
        return cls(dict.fromkeys([*definition.payload_types, *accepted]))

    def __contains__(self, cls: type) -> bool:
        return cls in self._names

    def name_of(self, cls: type) -> str:
        """The name of `cls`. Raises PayloadError (unknown_type)."""
        try:
            return self._names[cls]
        except KeyError:
            twin = self._classes.get(cls.__name__)
            raise (_another(cls, twin) if twin else _unknown(cls.__name__, self._classes)) from None

    def class_of(self, name: str) -> type:
        """The class called `name`. Raises PayloadError (unknown_type)."""
        found = self._classes.get(name) or self._classes.get(plain_names(name))  # Private names were stored once.
        if found is None:
            raise _unknown(name, self._classes)
        return found

    def encode(self, payload: Any) -> tuple[str, bytes]:
        """The type name and bytes of `payload`. Raises PayloadError naming the field that cannot be encoded."""
        cls = type(payload)
        name, encode = self._encoders.get(cls) or self._encoder(cls)
        try:
            return name, encode(payload)
        except WrongClass as wrong:
            raise PayloadError(f"{name}{wrong.path} {wrong}") from None
        except (TypeError, OverflowError, UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as error:
            raise PayloadError(_explain_encoding(name, payload, error)) from None

    def decode(self, name: str, data: bytes) -> Any:
        """The payload in `data`, an instance of the class called `name`. Raises PayloadError naming a wrong field."""
        return _decoded(self._decoders.get(name) or self._decoder(name), name, data)

    def decode_packed(self, name: str, data: bytes) -> Any:
        """As `decode`, but payloads inside a Buffer's or Sequence's payload stay Packed, or text or mapping."""
        return _decoded(self._packed_decoders.get(name) or self._packed_decoder(name), name, data)

    def pack(self, payload: Any) -> Any:
        """`payload` ready to stand inside another payload; text, mappings and None stay as they are."""
        if payload is None or isinstance(payload, str | Packed) or type(payload) is dict:
            return payload
        return Packed(*self.encode(payload))

    def unpack(self, packed: Any) -> Any:
        """The inverse of `pack`."""
        return self.decode(packed.type, packed.data) if isinstance(packed, Packed) else packed

    def _encoder(self, cls: type) -> tuple[str, Callable[[Any], bytes]]:
        name, pack, encode = self.name_of(cls), _PACK.get(cls), self._encode
        if pack is not None:
            encode = partial(_encode_packed, pack, self.pack, encode)
        elif cls not in SYSTEM_PAYLOADS:
            encode = _encoder_of(cls, encode)
        self._encoders[cls] = name, encode
        return name, encode

    def _decoder(self, name: str) -> Callable[[bytes], Any]:
        decode, nested = self._packed_decoder(name), _NESTED.get(self.class_of(name))
        if nested is not None:
            decode = partial(_decode_nested, decode, nested, self.unpack)
        self._decoders[name] = decode
        return decode

    def _packed_decoder(self, name: str) -> Callable[[bytes], Any]:
        cls = self.class_of(name)
        try:
            decode = decoder_of(cls)
        except (TypeError, NameError) as error:
            raise PayloadError(f"{name} cannot be a payload: {error}") from None
        if cls in _NESTED:
            decode = partial(_decode_nested, decode, _NESTED[cls], _as_packed)
        self._packed_decoders[name] = decode
        return decode


def _decoded(decode: Callable[[bytes], Any], name: str, data: bytes) -> Any:
    try:
        return decode(data)
    except PayloadError:
        raise  # It tells of a payload inside.
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise PayloadError(f"{name}: {error}") from None
    except MemoryError:
        raise  # It says nothing about the payload.
    except Exception as error:  # A user's __post_init__ may raise anything.
        raise PayloadError(f"{name}: {type(error).__name__}: {error}") from None


def _decode_nested(
    decode: Callable[[bytes], Any], convert_all: Callable[[Any, _Convert], Any], convert: _Convert, data: bytes
) -> Any:
    return convert_all(decode(data), convert)


def _encode_packed(
    pack: Callable[[Any, _Convert], Any], convert: _Convert, encode: Callable[[Any], bytes], payload: Any
) -> bytes:
    return encode(pack(payload, convert))


def _encode_with_offsets(encode: Callable[[Any], bytes], payload: Any) -> bytes:
    """`payload` with its times as text: MessagePack's own times are UTC and would lose the offset."""
    return encode(msgspec.to_builtins(payload, builtin_types=(bytes, bytearray, memoryview)))


def holds_datetime(cls: type) -> bool:
    """Whether a field of `cls`, or of a class in it, may be a datetime or a time."""
    try:
        return any(isinstance(one, _TIMES) for one in types_in(field_types(cls)))
    except (TypeError, NameError):
        return False  # It cannot be a payload, which decoding tells.


_TIMES = (msgspec.inspect.DateTimeType, msgspec.inspect.TimeType)


def _encoder_of(cls: type, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """`encode` with the preparation that the fields of `cls` need."""
    if holds_datetime(cls):
        encode = partial(_encode_with_offsets, encode)
    try:
        check = check_of(field_types(cls))
    except (TypeError, NameError):
        return encode  # As above.
    return encode if check is None else partial(_encode_checked, check, encode)


def _encode_checked(check: Callable[[Any], None], encode: Callable[[Any], bytes], payload: Any) -> bytes:
    check(payload)
    return encode(payload)


def is_payload_class(cls: object) -> bool:
    """Whether `cls` is a dataclass or a msgspec Struct."""
    return (
        isinstance(cls, type)
        and cls is not msgspec.Struct
        and (dataclasses.is_dataclass(cls) or issubclass(cls, msgspec.Struct))
    )


def accepts_type(accepted: Iterable[type], cls: type) -> bool:
    """Whether a handler of the classes `accepted` takes a `cls`; one that takes Fault takes every kind of fault."""
    return any(cls is one or (one is Fault and issubclass(cls, Fault)) for one in accepted)


def _as_packed(value: Any) -> Any:
    if isinstance(value, list):
        return msgspec.convert(value, Packed)
    return value


_Convert = Callable[[Any], Any]


_Listed = TypeVar("_Listed", BufferStart, Items)


def _map_items(listed: _Listed, convert: _Convert) -> _Listed:
    return dataclasses.replace(listed, items=[convert(item) for item in listed.items])


def _map_first(start: SequenceStart, convert: _Convert) -> SequenceStart:
    return dataclasses.replace(start, payload=convert(start.payload))


def _map_results(complete: BufferComplete, convert: _Convert) -> BufferComplete:
    results = [
        BufferItemResult(one.index, one.success, convert(one.result), one.code, one.error, one.listener)
        for one in complete.results
    ]
    return dataclasses.replace(complete, results=results)


def _replace_results(complete: BufferComplete, convert: _Convert) -> BufferComplete:
    """As `_map_results`, but in place: for what has just been decoded. There may be very many results."""
    for one in complete.results:
        one.result = convert(one.result)
    return complete


def _map_final(complete: SequenceComplete, convert: _Convert) -> SequenceComplete:
    return dataclasses.replace(complete, result=convert(complete.result))


_PACK: Mapping[type, Callable[[Any, _Convert], Any]] = {
    BufferStart: _map_items,
    Items: _map_items,
    SequenceStart: _map_first,
    BufferComplete: _map_results,
    SequenceComplete: _map_final,
}
_NESTED = {**_PACK, BufferComplete: _replace_results}


def _unique_names(classes: Iterable[type]) -> Iterator[tuple[type, str]]:
    distinct = list(dict.fromkeys(classes))
    used: dict[str, int] = {}
    for cls in distinct:
        used[cls.__name__] = used.get(cls.__name__, 0) + 1
    taken: set[str] = set()
    for cls in distinct:
        shared = used[cls.__name__] > 1 and cls not in SYSTEM_PAYLOADS
        module = module_name(cls)
        whole = f"{module}.{cls.__qualname__}"
        bare = [] if shared else [cls.__name__]
        numbered = (f"{whole}~{number}" for number in count(2))
        options = chain(bare, [f"{module.rpartition('.')[2]}.{cls.__qualname__}", whole], numbered)
        name = next(name for name in options if name not in taken)
        taken.add(name)
        yield cls, name


def _another(cls: type, twin: type) -> PayloadError:
    return PayloadError(
        f"this {cls.__name__} is of the module {cls.__module__}, and the organism knows another one, of "
        f"{plain_names(twin.__module__)}; import it by that name, or before the organism is loaded",
        code="unknown_type",
    )


def _unknown(name: str, known: Iterable[str]) -> PayloadError:
    names = ", ".join(sorted(set(known) - {cls.__name__ for cls in SYSTEM_PAYLOADS})) or "none"
    return PayloadError(
        f"{name} is no payload type of this organism ({names}); "
        "define it as a dataclass or Struct in the module of a handler",
        code="unknown_type",
    )


def _explain_encoding(name: str, payload: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{name} cannot be encoded: it contains itself, or is nested too deep"
    for path, value in _leaves(payload, name, set()):
        try:
            msgspec.msgpack.encode(value)
        except (TypeError, OverflowError, UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as reason:
            return f"{path} cannot be encoded: {reason}"
    return f"{name} cannot be encoded: {error}"


def _leaves(value: Any, path: str, seen: set[int], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values inside `value` that hold no further ones, each with the path to it; at most 50 levels down.

    seen: the ids of those that hold others; there may be very many paths to one.
    """
    if id(value) in seen:
        return
    parts: Iterable[tuple[str, Any]] = ()
    if dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        names = getattr(value, "__struct_fields__", None) or [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]  # an instance, not a class
        parts = [(f"{path}.{name}", getattr(value, name)) for name in names if hasattr(value, name)]
    elif isinstance(value, dict):
        parts = [
            *((f"{path}[{key!r}]", key) for key in value),
            *((f"{path}[{key!r}]", one) for key, one in value.items()),
        ]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [(f"{path}[{index}]", one) for index, one in enumerate(value)]
    else:
        yield path, value
        return
    seen.add(id(value))
    if depth < 50:
        for where, part in parts:
            yield from _leaves(part, where, seen, depth + 1)
