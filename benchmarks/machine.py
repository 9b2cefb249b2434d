"""Where and with what something was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib import metadata
from pathlib import Path

from benchmarks import redis_server
from xpipe import __version__

_LIBRARIES = ("msgspec", "redis", "hiredis", "typer", "rich", "lxml")
_PEERS = ("celery", "kombu", "dramatiq", "huey")


def machine() -> dict[str, str]:
    """The machine, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """The versions of what takes part."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    return {
        "xpipe": __version__,
        "Python": platform.python_version(),
        "redis-server": redis_server.version() or "none",
        "SQLite": sqlite3.sqlite_version,
        **libraries,
        **{name: _version(name) for name in _PEERS},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Only Linux has it.
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
