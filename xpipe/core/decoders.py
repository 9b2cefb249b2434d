"""Stored payloads of classes with a `__post_init__`: their fields come back as they were sent, and it does not run.

msgspec runs it whenever it makes an instance. So such a class, and each class that contains one, is decoded as a Struct
of the same fields, its stand-in, and the instance is made from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import new_class
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as kinds

from xpipe.core.field_types import (
    CONTAINERS,
    RECORDS,
    annotation_of,
    class_of,
    field_types,
    late_fields,
    types_in,
)

Restore: TypeAlias = Callable[[Any], Any]
"""Converts a stand-in to its value."""

_HOOKS = ("__post_init__", "__attrs_post_init__")
_set_class = object.__dict__["__class__"].__set__


def decoder_of(cls: type) -> Callable[[bytes], Any]:
    """A decoder for `cls` that does not run `__post_init__`. Raises as `field_types` does."""
    info = field_types(cls)
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(cls).decode
    stand_ins = _StandIns()
    restore = stand_ins.restore_of(info)
    if restore is None:
        return decode
    decode_stand_in, make = msgspec.msgpack.Decoder(stand_ins.annotation(info)).decode, restore
    return lambda data: make(decode_stand_in(data))


def _needs_stand_in(info: Any) -> bool:
    return any(isinstance(one, RECORDS) and (_has_hook(class_of(one)) or late_fields(one)) for one in types_in(info))


def _has_hook(cls: type) -> bool:
    return any(hasattr(cls, hook) for hook in _HOOKS)


def _optional_keys(record: Any) -> set[str]:
    return {one.name for one in record.fields if not one.required} if isinstance(record, kinds.TypedDictType) else set()


class _StandIn:
    """The stand-in decoded for the class of `info`, and how to make an instance of it."""

    def __init__(self, info: Any) -> None:
        absent = late_fields(info) | _optional_keys(info)
        self.info = info
        self.names = {f"field_{index}": field.name for index, field in enumerate(info.fields)}
        self.absent = {name for name, attribute in self.names.items() if attribute in absent}
        self.restores: dict[str, Restore] = {}
        self.struct: Any = msgspec.defstruct(
            class_of(info).__name__,
            [
                _stand_in_field(name, field, name in self.absent)
                for name, field in zip(self.names, info.fields, strict=True)
            ],
            rename={name: field.encode_name for name, field in zip(self.names, info.fields, strict=True)},
            tag_field=getattr(info, "tag_field", None),
            tag=getattr(info, "tag", None),
            array_like=isinstance(info, kinds.NamedTupleType) or getattr(info, "array_like", False),
            forbid_unknown_fields=getattr(info, "forbid_unknown_fields", False),
            kw_only=True,
            eq=False,  # so that it can be a key or in a set
        )
        self._make = _maker_of(info)

    def restore(self, value: Any) -> Any:
        if type(value) is not self.struct:
            return value  # a default of the class itself
        fields = {}
        for name, attribute in self.names.items():
            part = getattr(value, name)
            if part is not msgspec.UNSET or name not in self.absent:
                restore = self.restores.get(name)
                fields[attribute] = part if restore is None else restore(part)
        return self._make(fields)


def _stand_in_field(name: str, field: Any, may_be_absent: bool) -> Any:
    if may_be_absent:
        return name, Any, msgspec.UNSET
    if field.required:
        return name, Any
    if field.default is msgspec.NODEFAULT:
        return name, Any, msgspec.field(default_factory=field.default_factory)
    return name, Any, msgspec.field(default_factory=lambda: field.default)


class _StandIns:
    def __init__(self) -> None:
        self._known: dict[int, _StandIn] = {}

    def annotation(self, info: Any) -> Any:
        return annotation_of(info, self._record)

    def _record(self, info: Any) -> Any:
        if not _needs_stand_in(info):
            return info.cls
        return self._of(info).struct

    def _of(self, info: Any) -> _StandIn:
        found = self._known.get(id(info))
        if found is None:
            found = self._known[id(info)] = _StandIn(info)
            annotations = {}
            for name, field in zip(found.names, info.fields, strict=True):
                annotations[name] = self.annotation(field.type)
                if name in found.absent:
                    annotations[name] |= msgspec.UnsetType
                if (restore := self.restore_of(field.type)) is not None:
                    found.restores[name] = restore
            found.struct.__annotations__ = annotations  # only now: a class may contain itself
        return found

    def restore_of(self, info: Any) -> Restore | None:
        """How to restore a value of type `info`; None if it needs no restoring."""
        if not _needs_stand_in(info):
            return None
        if isinstance(info, RECORDS):
            return self._of(info).restore
        match info:
            case kinds.UnionType():
                return self._union(info.types)
            case kinds.TupleType():
                return _fixed([self.restore_of(one) for one in info.item_types])
            case kinds.DictType():
                return _table(self.restore_of(info.key_type), self.restore_of(info.value_type))
            case kinds.Metadata():
                return self.restore_of(info.type)
        return _listing(CONTAINERS[type(info)], self.restore_of(info.item_type))

    def _union(self, types: Iterable[Any]) -> Restore:
        by_type: dict[type, Restore] = {}
        for info in types:
            restore = self.restore_of(info)
            if restore is not None:
                by_type[self._of(info).struct if isinstance(info, RECORDS) else CONTAINERS[type(info)]] = restore
        return lambda value: by_type[type(value)](value) if type(value) in by_type else value


def _same(value: Any) -> Any:
    return value


def _listing(made: Any, restore: Restore | None) -> Restore:
    return lambda value: made(map(restore or _same, value))


def _fixed(restores: list[Restore | None]) -> Restore:
    return lambda value: tuple((restore or _same)(one) for restore, one in zip(restores, value, strict=True))


def _table(key: Restore | None, value: Restore | None) -> Restore:
    return lambda table: {(key or _same)(one): (value or _same)(part) for one, part in table.items()}


class _NoHooks:
    """The base of a Struct subclass that runs no user code when it is created or instantiated."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        pass

    def __post_init__(self) -> None:
        pass


def _maker_of(info: Any) -> Callable[[dict[str, Any]], Any]:
    """A constructor from fields, without `__init__` or `__post_init__`."""
    cls: Any = class_of(info)
    if isinstance(info, kinds.TypedDictType):
        return _same
    if isinstance(info, kinds.DataclassType):
        return lambda fields: _assigned(cls.__new__(cls), fields)
    if isinstance(info, kinds.NamedTupleType) or not hasattr(cls, "__post_init__"):
        return lambda fields: cls(**fields)
    # The only way to an instance of a Struct class that its `__post_init__` has not seen.
    silent: Any = new_class(cls.__name__, (_NoHooks, cls))
    return lambda fields: _with_class(silent(**fields), cls)


def _assigned(made: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _with_class(made: Any, cls: type) -> Any:
    _set_class(made, cls)
    return made
