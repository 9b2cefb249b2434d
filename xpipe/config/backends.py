"""Rules within the backend section."""

from __future__ import annotations

from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.core.organism import DEFAULT_REDIS_TTL


def check_backend(sections: list[Entry], report: Report) -> None:
    """Reports a retention that Redis does not keep: its keys expire before."""
    for entry in sections:
        ttl, retention = entry.values.get("redis_ttl", DEFAULT_REDIS_TTL), entry.values.get("retention", 0.0)
        if entry.values.get("type") != "redis" or not 0 < ttl < retention:
            continue
        known = "" if "redis_ttl" in entry.values else f" ({DEFAULT_REDIS_TTL / 3600:g}h if left out)"
        message = f"retention is longer than redis_ttl{known}: what is over would be gone before."
        hint = "Set redis_ttl to at least as much, or to 0 for ever."
        report.add(entry.place("retention"), "retention-beyond-ttl", message, hint)
