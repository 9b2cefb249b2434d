"""Words of the interpreter, the system and libraries that xpipe passes on: asked of them, so that no test depends on a
version."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import msgspec

NO_FILE = os.strerror(errno.ENOENT)
NO_FOLDER = os.strerror(errno.ENOTDIR)
NOT_ALLOWED = os.strerror(errno.EACCES)
IS_FOLDER = os.strerror(errno.EISDIR)
NAME_TOO_LONG = os.strerror(errno.ENAMETOOLONG)
TOO_MANY_FILES = os.strerror(errno.EMFILE)


def words_of(act: Callable[[], object]) -> str:
    """The text of the exception that `act` raises."""
    try:
        act()
    except Exception as error:
        return str(error)
    raise AssertionError("nothing was raised")


def misfit(cls: type, plain: Any) -> str:
    """What msgspec says of `plain`, which is no `cls`."""
    return words_of(lambda: msgspec.convert(plain, cls))


def unencodable(value: object) -> str:
    """What msgspec says of `value`, which it cannot encode."""
    return words_of(lambda: msgspec.msgpack.encode(value))
