"""Times and durations: as options give them, and in words."""

from __future__ import annotations

from xpipe.core.errors import UsageError


def parse_time(option: str, text: str) -> float:
    """The seconds given to `option`. Raises UsageError."""
    from xpipe.core.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def ago(seconds: float) -> str:
    """How long ago something was, in one unit: `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{max(0, int(seconds)) // size} {unit}"
    return f"{int(seconds) // 86_400} d"


def iso(seconds: float) -> str | None:
    """A time in ISO 8601, None for never."""
    from datetime import UTC, datetime

    if seconds <= 0:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
