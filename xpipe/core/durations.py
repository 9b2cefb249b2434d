"""Durations: seconds as a number, or a number with a unit: `250ms`, `2s`, `5m`, `1h`, `1d`."""

from __future__ import annotations

import math
import re

DAY = 86_400.0
LONGEST_DURATION = 36_500 * DAY
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)(?:\s*(ms|s|m|h|d))?\s*", re.ASCII)


def is_duration(seconds: float) -> bool:
    """Whether `seconds` is a span of time that can be waited for: not negative, and no longer than LONGEST_DURATION."""
    return 0 <= seconds <= LONGEST_DURATION


def parse_duration(value: object) -> float:
    """Seconds in `value`, never negative. Raises ValueError with a sentence that shows the accepted forms."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value >= 0 and math.isfinite(value):
            return float(value)
    elif isinstance(value, str) and (match := _PATTERN.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2] or ""]
        if math.isfinite(seconds):
            return seconds
    raise ValueError(f"{value!r} is not a duration; write seconds, or a number with a unit such as 250ms, 2s, 5m or 1h")


def shortest_duration(seconds: float) -> str:
    """`seconds` exactly, as `parse_duration` reads it, in the largest unit that leaves a whole number: `90s`, `5m`."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = round(seconds / _UNITS[unit])
        if count and count * _UNITS[unit] == seconds:
            return f"{count}{unit}"
    exact = f"{seconds:g}" if seconds == int(seconds) else repr(seconds)
    return f"{seconds:.20f}s" if "e" in exact else f"{exact}s"


def format_duration(seconds: float) -> str:
    """`seconds` for people, with two or three digits: `0.06 ms`, `3.4 ms`, `250 ms`, `1.2 s`, `3 min 20 s`."""
    if seconds < 0.9995:
        return _format_milliseconds(seconds * 1000)
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _format_milliseconds(count: float) -> str:
    if 0 < count < 0.01:
        return "<0.01 ms"
    places = 0 if not count or count >= 9.95 else 1 if count >= 0.995 else 2
    return f"{count:.{places}f} ms"
