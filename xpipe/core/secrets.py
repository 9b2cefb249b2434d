"""Finds and masks credentials in text, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

MASK = "***"
_NAME = re.compile(
    r"(?:passwords?|passwd|passphrase|secrets?|credentials?|(?:auth|api|private|access)[_-]?key"
    r"|(?<![a-z])(?:pass|pwd|token))(?![a-z])",
    re.IGNORECASE,
)
_URL_KEY = "redis_url"
"""Keys whose values are secret in a line of YAML: a broken URL may hold a password anywhere."""
_RUN = re.compile(r"[^\s\"']*")
_BEFORE_PATH = re.compile(r"[^/?#]*")
_ASSIGNED = re.compile(r"(?<![\w.-])([\w.-]++)(?:=|\\?[\"']\s*+:\s*+)")
"""A name and the separator before its value, in any text."""
_ENTRY = re.compile(r"(?<![\w.-])([\w.-]++)[\"']?\s*+[:=]\s*+")
"""The same in a line of YAML."""
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^']|'')*+'?")
_BARE = re.compile(r"[^\s\"'&#,;)}\]\\]*+")
_INSIDE = re.compile(r"[^,}\]&]*+")
Span = tuple[int, int]


def is_secret_name(name: str) -> bool:
    """Whether `name` looks like the name of a secret."""
    return bool(_NAME.search(name))


def redacted(text: str) -> str:
    """`text` of any kind without users and passwords of URLs, and without what is assigned to secret names."""
    if "=" not in text and ":" not in text:
        return text
    return _masked(text, [*_users(text), *_assigned(text)])


def redacted_line(line: str) -> str:
    """One line of YAML, or `PATH=VALUE`, with values of secret keys and passwords in URLs masked."""
    return _masked(line, spans(line))


def spans(line: str) -> list[Span]:
    """The spans of the secrets in a line of YAML, in order and without overlap."""
    return _merged([*_users(line), *_entries(line)])


def _merged(found: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def _masked(text: str, found: list[Span]) -> str:
    parts, done = [], 0
    for start, end in _merged(found):
        parts += [text[done:start], MASK]
        done = end
    return "".join([*parts, text[done:]])


def _users(text: str) -> Iterator[Span]:
    """The users and passwords of URLs: up to the last @, for passwords that are not encoded have any character."""
    at, last, run, end = text.find(":/"), text.rfind("@"), -1, -1
    while at >= 0:
        start = at + (3 if text.startswith("/", at + 2) else 2)
        if start > run:
            run = _end(_RUN, text, start)
            end = text.rfind("@", start, run)
        if start < at + 3 and text.find(":", start, max(end, start)) < 0:
            at = text.find(":/", start)  # A path; with a password it is a URL that was taken for one: a/redis:/me:pw@h
            continue
        if end < start and _has_password(text[start : _end(_BEFORE_PATH, text, start, run)]):
            end = run = last if last > run else run  # It has blanks or quotes in it, or the rest was cut off.
        if end > start:
            yield start, end
        at = text.find(":/", max(run, start))


def _has_password(authority: str) -> bool:
    """Whether there is one in what stands before the path of a URL, and has no @: what follows a colon is no port."""
    _, colon, rest = authority.rpartition(":")
    return bool(colon and rest) and not rest.rstrip(".,;)]").isdigit()


def _assigned(text: str) -> Iterator[Span]:
    match = _ASSIGNED.search(text)
    while match:
        start = end = match.end()
        if is_secret_name(match[1]):
            start, end = _value(text, start, _BARE)
            yield start, end
        match = _ASSIGNED.search(text, end)


def _value(text: str, start: int, bare: re.Pattern[str]) -> Span:
    quoted = text[start : start + 1] in ('"', "'")
    return start, _end(_QUOTED if quoted else bare, text, start)


def _entries(line: str) -> Iterator[Span]:
    brace = line.find("{")
    match = _ENTRY.search(line)
    while match:
        start = end = match.end()
        if is_secret_name(match[1]) or _URL_KEY in match[1]:
            in_flow = 0 <= brace < match.start() or match[0].rstrip().endswith("=")
            if in_flow or line[start : start + 1] in ('"', "'"):
                _, end = _value(line, start, _INSIDE)
            else:
                end = len(line)
            yield start, start + len(line[start:end].rstrip())
        match = _ENTRY.search(line, end)


def _end(pattern: re.Pattern[str], text: str, start: int, stop: int | None = None) -> int:
    """The end of the match of `pattern` at `start`; `pattern` also matches the empty string."""
    match = pattern.match(text, start, len(text) if stop is None else stop)
    return match.end() if match else start
