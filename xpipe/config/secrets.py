"""What must not be shown, and how text looks without it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xpipe.config.schema import BACKEND
from xpipe.config.wording import nearest

MASK = "***"
_WORD = (
    r"(?:passwords?|passwd|passphrase|secrets?|credentials?|(?:auth|api|private|access)[_-]?key"
    r"|(?<![a-z])(?:pass|pwd|token))(?![a-z])"
)
_NAME = re.compile(_WORD, re.IGNORECASE)
_SECRET_WORDS = ("password", "passwd", "secret", "token", "credentials", "authkey")
_BACKEND_NAME = re.compile("key|auth|pass|pwd|secret|token|cred", re.IGNORECASE)
_BACKEND_KEYS = {key.name: key.secret for key in BACKEND.keys}
_USER = re.compile(r"(?<=://)[^\s\"'/?#]*(?:[^\s\"']*@|(?<=:)[^\s\"'/@]+$)")
_ENTRY = re.compile(rf"(?:{_WORD}|redis_url)[\w.-]*[\"']?\s*[:=]\s*", re.IGNORECASE)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^']|'')*'?")
_INSIDE = re.compile(r"[^,}\]&]*")


def is_secret_name(name: str) -> bool:
    """Whether what is called `name` should not be shown, as far as a name can tell."""
    return bool(_NAME.search(name))


def is_secret_key(name: str) -> bool:
    """Whether the value of the key `name` in the backend section may be a secret; an unknown key may be misspelt."""
    if name in _BACKEND_KEYS:
        return _BACKEND_KEYS[name]
    if _BACKEND_NAME.search(name) or _BACKEND_KEYS.get(nearest(name, _BACKEND_KEYS), False):
        return True
    return any(nearest(word, _SECRET_WORDS) for word in re.split("[_.-]", name))


def masked_url(text: str) -> str:
    """`text` without the user and password of URLs in it, and without the secrets among their parameters."""
    return _masked(text, sorted([*_users(text), *_parameters(text)]))


def masked(text: str) -> str:
    """One line of YAML, or `PATH=VALUE`, without what is a secret by its key, and without passwords in URLs."""
    return _masked(text, spans(text))


def spans(line: str) -> list[tuple[int, int]]:
    """Where the secrets in a line of YAML stand, in order, none inside another."""
    found: list[tuple[int, int]] = []
    for start, end in sorted([*_users(line), *_entries(line)]):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def _masked(text: str, hidden: list[tuple[int, int]]) -> str:
    for start, end in reversed(hidden):
        text = text[:start] + MASK + text[end:]
    return text


def _users(text: str) -> Iterator[tuple[int, int]]:
    for match in _USER.finditer(text):
        end = match.end() - match[0].endswith("@")
        if end > match.start():
            yield match.start(), end


def _parameters(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r"(?<=[?&])([\w.-]+)=([^&#\s\"']+)", text):
        if is_secret_name(match[1]):
            yield match.span(2)


def _entries(line: str) -> Iterator[tuple[int, int]]:
    for match in _ENTRY.finditer(line):
        start = match.end()
        quoted = _QUOTED.match(line, start)
        if quoted:
            end = quoted.end()
        elif "{" in line[: match.start()] or match[0].rstrip().endswith("="):
            end = start + len(_INSIDE.match(line, start)[0])  # type: ignore[index]  # it matches nothing at all, too
        else:
            end = len(line)
        yield start, start + len(line[start:end].rstrip())
