"""Words of the interpreter, the system and libraries that xpipe passes on: asked of them, so that no test depends on a
version."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import Any

import msgspec

NO_FILE = os.strerror(errno.ENOENT)
NO_FOLDER = os.strerror(errno.ENOTDIR)
NOT_ALLOWED = os.strerror(errno.EACCES)
IS_FOLDER = os.strerror(errno.EISDIR)
NAME_TOO_LONG = os.strerror(errno.ENAMETOOLONG)
ADDRESS_IN_USE = os.strerror(errno.EADDRINUSE)
DISK_FULL = os.strerror(errno.ENOSPC)
TOO_MANY_FILES = os.strerror(errno.EMFILE)


def words_of(act: Callable[[], object]) -> str:
    """The text of the exception that `act` raises."""
    try:
        act()
    except Exception as error:
        return str(error)
    raise AssertionError("nothing was raised")


def misfit(cls: Any, plain: Any) -> str:
    """What msgspec says of `plain`, which is no `cls`."""
    return words_of(lambda: msgspec.convert(plain, cls))


def unencodable(value: object) -> str:
    """What msgspec says of `value`, which it cannot encode."""
    return words_of(lambda: msgspec.msgpack.encode(value))


def no_json(text: str) -> str:
    """What the json module says of `text`, as it stands inside a sentence."""
    return _inside(words_of(lambda: json.loads(text)).partition(":")[0])


def out_of_bounds(cls: Any, value: object) -> str:
    """What msgspec says of `value`, which the constraints of `cls` exclude, as it stands inside a sentence."""
    return _inside(misfit(cls, value))


def _inside(text: str) -> str:
    return text[:1].lower() + text[1:]
