"""What a test must not leave behind: processes, files, keys in Redis that never expire."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import redis_server

REPOSITORY = Path(__file__).parents[1]
PASSING = {".git", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".import_linter_cache", "dist", ".venv"}
"""Folders that tools fill."""
SOURCE = {".py", ".lua", ".md"}
"""What somebody may be writing while the tests run."""
LASTING = {
    *(
        "organism",
        "secret",
        "numbers",
        "counters",
        "cursors",
        "dead",
        "dead_times",
        "pumps",
        "leases",
        "listening",
        "lanes",
        "delayed",
    ),
    *("threads", "conversations", "running", "finished", "settled", "expiries", "registry", "bound", "joins", "loose"),
    *("sizes", "flights", "inbox", "claimed", "ready"),
    *("nodes", "all", "unsettled", "ended", "letters", "byid", "queue", "due", "graves", "at", "offers", "free"),
    *(
        "offered",
        "holders",
        "held",
        "lanes",
        "losses",
        "news",
        "bell",
        "revoked",
        "wanted",
        "mail",
        "collections",
        "bound",
    ),
}
"""The kinds of keys that have no TTL by design: see xpipe/backends/lua/keys.lua."""
SHARED: set[int] = set()
"""The processes that serve all tests of this process, and end with it."""
EXPIRING = {"buffer", "chain", "uuid", "thread", "conversation", "members"}


class Processes:
    """The children that this process has not got now."""

    def __init__(self) -> None:
        self._before = set(_children())

    def left(self) -> list[str]:
        """Those of them that run, but for servers that all tests share."""
        there = set(_children()) - self._before
        return [f"process {pid}: {_command(pid)}" for pid in there - _shared() if _runs(pid)] if there else []


def _children() -> Iterator[int]:
    """The kernel lists them by the thread that has started them."""
    for thread in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ():
        with suppress(OSError), open(f"/proc/self/task/{thread}/children") as file:
            yield from map(int, file.read().split())


def _shared() -> set[int | None]:
    tracker: Any = resource_tracker._resource_tracker  # type: ignore[attr-defined]
    return {tracker._pid, *SHARED, *([redis_server.shared().process.pid] if _has_redis() else [])}


def _runs(pid: int) -> bool:
    """One that has ended stays a child until it is asked for its exit code."""
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _command(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
    return "?"


class Files:
    """The files below `folder`. A folder is read again only if it has changed."""

    def __init__(self, folder: Path = REPOSITORY) -> None:
        self._folder = folder
        self.accept()

    def left(self) -> list[str]:
        """New ones."""
        times = {folder: _changed(folder) for folder in self._times}
        folders = [folder for folder, time in times.items() if self._times[folder] != time]
        found = {inner: files for folder in folders for inner, files in _walk(folder)}
        new = {path for files in found.values() for path in files} - self._known
        if not new:
            self._times |= times | {folder: _changed(folder) for folder in found}
        return [f"file {path}" for path in sorted(new)]

    def accept(self) -> None:
        """What is there now is not new any more."""
        found = dict(_walk(self._folder))
        self._known = {path for files in found.values() for path in files}
        self._times = {folder: _changed(folder) for folder in found}


def _walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in PASSING and not name.endswith(".egg-info")]
        yield Path(root), [Path(root, name) for name in names if Path(name).suffix not in SOURCE]


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def temporary(folder: Path) -> list[str]:
    """What xpipe has put into the temp folder `folder`. Its folder for runtime files stays, but empty."""
    found = []
    for path in folder.glob("xpipe*"):
        kept = path.is_dir() and path.name.startswith(f"xpipe-{os.getuid()}-")
        found += [f"file {one}" for one in (path.iterdir() if kept else [path])]
    return found


def lasting_keys() -> list[str]:
    """The keys without TTL on the shared Redis of organisms whose keys have one, but for those of LASTING.

    The server is empty afterwards: what was there is not told of again.
    """
    if not _has_redis():
        return []
    connection = _redis(redis_server.shared().url)
    if not connection.dbsize():
        return []
    keys = list(connection.scan_iter(count=5_000))
    with connection.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.ttl(key)
        ttls = dict(zip((key.decode(errors="replace") for key in keys), pipe.execute(), strict=True))
    connection.flushall()
    return [f"key {key} without TTL" for key in _without_ttl(ttls)]


def _without_ttl(ttls: dict[str, int]) -> Iterator[str]:
    """`ttls` has -1 for none and -2 for a key that has expired meanwhile."""
    prefixes = sorted((key.removesuffix("organism") for key in ttls if key.endswith("organism")), key=len)
    for at, prefix in enumerate(prefixes):
        longer = tuple(one for one in prefixes[at + 1 :] if one.startswith(prefix))
        own = {key: ttl for key, ttl in ttls.items() if key.startswith(prefix) and not key.startswith(longer)}
        kinds = {key: key[len(prefix) :].partition(":")[0] for key in own}
        if any(own[key] >= 0 and kinds[key] in EXPIRING for key in own):
            yield from (key for key in own if own[key] == -1 and kinds[key] not in LASTING)


def _has_redis() -> bool:
    return redis_server.shared.cache_info().currsize > 0


@cache
def _redis(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url)
