"""Private names of user modules, see `xpipe.config.imports`."""

from __future__ import annotations

import os
import re
import sys

PRIVATE = "xpipe_organism_"
"""Prefix of a private name; 16 hexadecimal digits, a dot, and the module's name follow."""
_PRIVATE_PACKAGE = re.compile(PRIVATE + r"[0-9a-f]{16}\.")


def plain_names(text: str) -> str:
    """`text` with private module names replaced by their names in code."""
    return _PRIVATE_PACKAGE.sub("", text) if PRIVATE in text else text


def module_name(cls: type) -> str:
    """The module of `cls` as other processes know it too: a private name or `__main__` is this process's own."""
    name = plain_names(cls.__module__)
    if name != "__main__":
        return name
    file = getattr(sys.modules.get(name), "__file__", None) or name
    return os.path.basename(file).removesuffix(".py")
