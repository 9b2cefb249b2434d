"""Rules between the process pool and the listeners whose handlers run in it."""

from __future__ import annotations

from collections.abc import Mapping

from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote


def check_pool(shape: Mapping[str, list[Entry]], report: Report) -> None:
    """Warns of a pool that nobody uses, and of cpu_bound listeners that ask for more than the pool has."""
    pooled = [entry for entry in shape.get("listeners", ()) if entry.values.get("cpu_bound")]
    for pool in shape.get("process_pool", ()):
        if "workers" in pool.values and not any("cpu_bound" in entry.nodes for entry in shape.get("listeners", ())):
            message = "There is a process_pool, and no listener is cpu_bound."
            report.add(pool.node, "unused-pool", message, "Mark whoever needs it with cpu_bound: true.", "warning")
        if workers := pool.values.get("workers"):
            _check_capacity(pooled, workers, report)


def _check_capacity(pooled: list[Entry], workers: int, report: Report) -> None:
    for entry in pooled:
        if entry.values.get("concurrency", 0) > workers:
            name, many = quote(entry.values.get("name", "")), entry.values["concurrency"]
            message = f"{name} asks for {many} at once, and process_pool.workers is {workers}: the others wait."
            hint = "Raise workers, or lower concurrency."
            report.add(entry.place("concurrency"), "concurrency-beyond-workers", message, hint, "warning")
