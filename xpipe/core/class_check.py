"""Checks that the fields of a payload hold instances of exactly their annotated classes.

Bytes are decoded into the annotated classes: an instance of a derived class would lose the fields that it adds.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as kinds

from xpipe.core.field_types import CONTAINERS, RECORDS, class_of, types_in

Check: TypeAlias = Callable[[Any], None]

DEEP = 50
"""Instances in one another that are checked at once; what is further in is checked when they are done."""
_ARRAYS = (list, tuple, set, frozenset)
"""Types with the same encoding: a field may hold any of them."""


class WrongClass(Exception):
    """A value whose class is not the annotated one; `path` leads to it from the payload."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path = ""

    def under(self, step: str) -> WrongClass:
        """The same error, one level further out."""
        self.path = step + self.path
        return self


def check_of(info: Any) -> Check | None:
    """What raises WrongClass for a payload of the type `info`; None if no field of it can hold an instance."""
    return _Checks().of_payload(info)


class _Descent(threading.local):
    """Where a thread is in instances of classes that contain themselves."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """`seen`: the ids of those that are checked, or being checked; `put_off`: what is too deep for now."""
        self.depth = 0
        self.seen: set[int] = set()
        self.put_off: list[tuple[Check, Any]] = []


class _Checks:
    def __init__(self) -> None:
        self._known: dict[int, Check | None] = {}
        self._descent = _Descent()
        self._recurs = False

    def of_payload(self, info: Any) -> Check | None:
        """As `of_fields`, for a whole payload."""
        check, descent = self.of_fields(info), self._descent
        if check is None or not self._recurs:
            return check

        def check_whole(payload: Any) -> None:
            descent.begin()
            check(payload)
            while descent.put_off:
                inner, value = descent.put_off.pop()
                try:
                    inner(value)
                except WrongClass as error:
                    raise error.under("[...]") from None
            descent.begin()

        return check_whole

    def _again(self, info: Any) -> Check:
        """What checks an instance inside one of its own class: as deep as it likes, and Python's stack is not."""
        descent = self._descent

        def check(value: Any) -> None:
            inner = self._known[id(info)]
            if inner is None or id(value) in descent.seen:
                return
            descent.seen.add(id(value))
            if descent.depth == DEEP:
                descent.put_off.append((inner, value))
                return
            descent.depth += 1
            inner(value)
            descent.depth -= 1

        return check

    def of_fields(self, info: Any) -> Check | None:
        """What checks the fields of an instance of the class that `info` describes."""
        self._recurs = self._recurs or id(info) in self._known
        if id(info) not in self._known:
            self._known[id(info)] = self._again(info)
            checks = [(field.name, check) for field in info.fields if (check := self.of(field.type)) is not None]
            if isinstance(info, kinds.TypedDictType):
                self._known[id(info)] = _check_keys(class_of(info).__name__, {one.name for one in info.fields}, checks)
            else:
                self._known[id(info)] = _check_fields(checks) if checks else None
        return self._known[id(info)]

    def of(self, info: Any) -> Check | None:
        """A check for a value of type `info`; None if it cannot contain an instance."""
        if not any(isinstance(one, RECORDS) for one in types_in(info)):
            return None
        match info:
            case kinds.Metadata():
                return self.of(info.type)
            case kinds.UnionType():
                return self._one_of(info.types)
            case kinds.TupleType():
                return _check_places([self.of(one) for one in info.item_types])
            case kinds.DictType():
                return _check_table(self.of(info.key_type), self.of(info.value_type))
        if isinstance(info, RECORDS):
            return self._one_of([info])
        items = _check_places(repeat(self.of(info.item_type)))
        item = info.item_type
        if isinstance(item, RECORDS) and not isinstance(item, kinds.TypedDictType) and self.of_fields(item) is None:
            return _check_flat(class_of(item), items)
        return items

    def _one_of(self, types: Iterable[Any]) -> Check:
        checks: dict[type, Check | None] = {}
        classes = []
        for info in types:
            if isinstance(info, RECORDS):
                classes.append(class_of(info))
                checks[dict if isinstance(info, kinds.TypedDictType) else classes[-1]] = self.of_fields(info)
            elif type(info) in CONTAINERS:
                made = CONTAINERS[type(info)]
                checks.update(dict.fromkeys([dict] if made is dict else _ARRAYS, self.of(info)))
        return _check_class(checks, " or ".join(one.__name__ for one in classes) or "plain data")


def _check_class(checks: dict[type, Check | None], expected: str) -> Check:
    def check(value: Any) -> None:
        cls = type(value)
        if cls in checks:
            inner = checks[cls]
            if inner is not None:
                inner(value)
        elif dataclasses.is_dataclass(cls) or isinstance(value, msgspec.Struct):
            raise WrongClass(f"must be {expected}, got {cls.__name__}, whose own fields would be lost")

    return check


def _check_fields(checks: Sequence[tuple[str, Check]]) -> Check:
    def check(value: Any) -> None:
        for name, inner in checks:
            try:
                inner(getattr(value, name, None))
            except WrongClass as error:
                raise error.under(f".{name}") from None

    return check


def _check_keys(cls: str, keys: set[str], checks: Sequence[tuple[str, Check]]) -> Check:
    def check(value: Any) -> None:
        for key in value:
            if key not in keys:
                raise WrongClass(f"has the key {key!r}, which {cls} does not have")
        for name, inner in checks:
            try:
                inner(value.get(name))
            except WrongClass as error:
                raise error.under(f"[{name!r}]") from None

    return check


def _check_places(inners: Iterable[Check | None]) -> Check:
    def check(value: Any) -> None:
        for index, (inner, item) in enumerate(zip(inners, value if isinstance(value, _ARRAYS) else (), strict=False)):
            try:
                if inner is not None:
                    inner(item)
            except WrongClass as error:
                raise error.under(f"[{index}]") from None

    return check


def _check_flat(cls: type, items: Check) -> Check:
    """`items` for a list of the class `cls`, which holds no instances: nearly always one look at all is enough."""
    only = {cls}

    def check(value: Any) -> None:
        if not (isinstance(value, _ARRAYS) and only.issuperset(map(type, value))):
            items(value)

    return check


def _check_table(keys: Check | None, values: Check | None) -> Check:
    def check(table: Any) -> None:
        for key, value in table.items() if isinstance(table, dict) else ():
            try:
                if keys is not None:
                    keys(key)
                if values is not None:
                    values(value)
            except WrongClass as error:
                raise error.under(f"[{key!r}]") from None

    return check
