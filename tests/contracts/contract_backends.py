"""The backends that the contract suite runs on. A new one adds its factory here, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xpipe.backends.memory import InMemoryBackend
from xpipe.ports import SharedBackend

Factory = Callable[[Path, int], SharedBackend]
"""Makes a fresh backend from a folder it may use and the number of threads after which it forgets finished ones."""

BACKENDS: dict[str, tuple[type, Factory]] = {
    "memory": (InMemoryBackend, lambda _, max_threads: InMemoryBackend(max_threads)),
}
