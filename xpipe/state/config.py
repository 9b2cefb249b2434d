"""Which backend, and with what options: the `backend:` section of an organism, or the same by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any

from xpipe.core.errors import BackendError
from xpipe.core.organism import (
    DEFAULT_MAX_SLOTS,
    DEFAULT_MAX_THREADS,
    DEFAULT_REDIS_PREFIX,
    DEFAULT_REDIS_TTL,
    DEFAULT_REDIS_URL,
    DEFAULT_RETENTION,
    FORMER_REDIS_PREFIX,
    BackendSettings,
)

_YAML_NAMES = {"path": "sqlite_path", "type": "backend_type"}
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a string"),
    "str | os.PathLike[str]": ((str, os.PathLike), "a path"),
    "str | bytes": ((str, bytes), "a string or bytes"),
    "float": ((int, float), "a number of seconds, 0 or more"),
    "int": ((int,), "a whole number, 1 or more"),
}
"""By annotation: the types of its values, and how to name these."""


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """What a backend is made from; options of other types than `backend_type` are not used.

    backend_type: memory, manager, sqlite or redis. redis_ttl and retention are in seconds, a ttl of 0 is none.
    redis_former_prefix: see RedisBackend. manager_address is a pair of host and port, host:port, or the path of a
    socket; without one a manager is started. organism_file is where the organism is declared, "" for none: a run of
    it lets other commands find the manager it has started. Raises TypeError and ValueError.
    """

    backend_type: str = "memory"
    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    redis_prefix: str = DEFAULT_REDIS_PREFIX
    redis_ttl: float = DEFAULT_REDIS_TTL
    manager_address: str | tuple[str, int] = ""
    manager_authkey: str | bytes = field(default="", repr=False)
    sqlite_path: str | os.PathLike[str] = ""
    retention: float = DEFAULT_RETENTION
    max_slots_per_thread: int = DEFAULT_MAX_SLOTS
    max_threads: int = DEFAULT_MAX_THREADS
    organism_file: str = ""
    redis_former_prefix: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.name != "manager_address":
                _check(one.name, getattr(self, one.name), str(one.type))
        if not _is_address(self.manager_address):
            raise TypeError(
                "manager_address must be (host, port), 'host:port' or the path of a socket, "
                f"got {self.manager_address!r}"
            )
        object.__setattr__(self, "sqlite_path", os.fspath(self.sqlite_path))

    @classmethod
    def from_settings(cls, settings: BackendSettings, folder: str = "", file: str = "") -> BackendConfig:
        """The configuration that `settings` of the organism in `file` ask for; paths are relative to `folder`."""
        known = {one.name for one in fields(cls)}
        given = {_YAML_NAMES.get(name, name): value for name, value in settings.options.items() if value is not None}
        options: dict[str, Any] = {name: value for name, value in given.items() if name in known}
        if path := options.get("sqlite_path"):
            options["sqlite_path"] = os.path.normpath(os.path.join(folder, os.path.expanduser(path)))
        if (address := options.get("manager_address")) and not _is_host(address):
            options["manager_address"] = os.path.join(folder, os.path.expanduser(address))
        for path in (options.get("sqlite_path", ""), options.get("manager_address", "")):
            _check_encodable(path)
        if "redis_prefix" not in options:
            options["redis_former_prefix"] = FORMER_REDIS_PREFIX
        return cls(**{**options, "backend_type": settings.type, "organism_file": file})


def _check(name: str, value: object, annotation: str) -> None:
    types, named = _TYPES[annotation]
    if not isinstance(value, types) or isinstance(value, bool):
        got = type(value).__name__ if isinstance(value, (str, bytes)) else repr(value)  # A text may be a secret.
        raise TypeError(f"{name} must be {named}, got {got}")
    if isinstance(value, (int, float)) and not (annotation == "int") <= value < float("inf"):
        raise ValueError(f"{name} must be {named}, got {value!r}")


def _is_address(address: Any) -> bool:
    if isinstance(address, tuple):
        return len(address) == 2 and isinstance(address[0], str) and type(address[1]) is int
    return isinstance(address, str)


def _check_encodable(path: str) -> None:
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        hint = "use a UTF-8 locale (LC_ALL=C.UTF-8), or set PYTHONUTF8=1"
        raise BackendError(
            f"{path}: the locale's encoding, {error.encoding}, cannot express this path; {hint}"
        ) from None


def _is_host(address: str) -> bool:
    return ":" in address and "/" not in address
