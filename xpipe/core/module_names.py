"""The names of user modules that cannot have their own, see `xpipe.config.imports`."""

from __future__ import annotations

import os
import re
import sys

PRIVATE = "xpipe_organism_"
"""What a private name begins with; then 16 hexadecimal digits, a dot, and the name of the module in its folder."""
_PRIVATE_PACKAGE = re.compile(PRIVATE + r"[0-9a-f]{16}\.")


def plain_names(text: str) -> str:
    """`text` with privately named modules under the names that they have in code."""
    return _PRIVATE_PACKAGE.sub("", text) if PRIVATE in text else text


def module_name(cls: type) -> str:
    """The module of `cls` as other processes know it too: a private name or `__main__` is this process's own."""
    name = plain_names(cls.__module__)
    if name != "__main__":
        return name
    file = getattr(sys.modules.get(name), "__file__", None) or name
    return os.path.basename(file).removesuffix(".py")
