"""Where the time of a profile goes, as a table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Column, Table

MOST = 30
"""Rows: what takes less is not listed."""
_OURS = ("/xpipe/", "/organisms/")
_STARTING = "<frozen importlib"


def hot_spots(file: Path) -> Table:
    """Of a speedscope file: the share of each function of xpipe or a handler, with all that it calls outside of them.

    Samples in which nothing of xpipe runs, or modules are loaded, do not count.
    """
    data = json.loads(file.read_text("utf-8"))
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    for place, weight in _samples(data):
        weights[place] += weight
    total = sum(weights.values()) or 1.0
    most = sorted(weights.items(), key=lambda item: item[1], reverse=True)[:MOST]
    rows = [(f"{name} ({where})", 100 * weight / total) for (name, where), weight in most]
    note = f"Of {total:.1f} s of samples; a function with what it calls outside xpipe, such as a driver's C code."
    return Table(file.name, [Column("function"), Column("% of the time", 1)], rows or [("nothing", 0.0)], note=note)


def _samples(data: Any) -> Iterator[tuple[tuple[str, str], float]]:
    """The innermost function of ours of each sample, its file, and the seconds it stands for."""
    frames = data["shared"]["frames"]
    for one in data["profiles"]:
        for stack, weight in zip(one["samples"], one["weights"], strict=True):
            files = [frames[at]["file"] for at in stack]
            if any(name.startswith(_STARTING) for name in files):
                continue
            ours = [at for at, name in zip(stack, files, strict=True) if any(part in name for part in _OURS)]
            if ours:
                frame = frames[ours[-1]]
                yield (frame["name"], Path(frame["file"]).name), weight
