"""What lives in a backend, as data: use cases for the command line and for embedding.

All but `collecting` and `dead_letters` only read. Here is what a run shows of itself; the other modules look in from
outside.
"""

from __future__ import annotations

from xpipe.inspection.glance import (
    FanOut,
    Overview,
    Page,
    RegistryEntry,
    buffers,
    overview,
    registry,
    threads,
)

__all__ = [
    "FanOut",
    "Overview",
    "Page",
    "RegistryEntry",
    "buffers",
    "overview",
    "registry",
    "threads",
]
