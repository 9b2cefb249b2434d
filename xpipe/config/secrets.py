"""The keys of organism.yaml that hold secrets."""

from __future__ import annotations

import re

from xpipe.config.schema import BACKEND
from xpipe.config.wording import nearest

_SECRET_WORDS = ("password", "passwd", "secret", "token", "credentials", "authkey")
_BACKEND_NAME = re.compile("key|auth|pass|pwd|secret|token|cred", re.IGNORECASE)
_BACKEND_KEYS = {key.name: key.secret for key in BACKEND.keys}
_MOST_WORDS = 20


def is_secret_key(name: str) -> bool:
    """Whether the value of the key `name` in the backend section may be a secret; an unknown key may be misspelt."""
    if name in _BACKEND_KEYS:
        return _BACKEND_KEYS[name]
    if _BACKEND_NAME.search(name) or _BACKEND_KEYS.get(nearest(name, _BACKEND_KEYS), False):
        return True
    words = name.replace("-", ".").replace("_", ".").split(".", _MOST_WORDS)
    return any(nearest(word, _SECRET_WORDS) for word in words)
