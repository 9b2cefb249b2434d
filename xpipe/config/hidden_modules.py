"""Finds files beside organism.yaml that `import` cannot reach, because another module has their name."""

from __future__ import annotations

import os

from xpipe.config.imports import hidden_modules
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry, Shape
from xpipe.config.wording import printable, quote


def check_hidden_modules(folder: str, shape: Shape, report: Report) -> None:
    """Warn about modules in `folder` shadowed by another module of the same name, at the first handler in them."""
    for file, other in hidden_modules(folder):
        named = (entry.place("handler") for entry in shape.get("listeners", []) if _is_in(file, entry))
        place = next(named, None) or next((entry.node for entry in shape.get("organism", [])), None)
        name = os.path.splitext(file)[0]
        if place is not None and not other:
            message = f"{quote(file)} has the name of a standard module, so `import {name}` finds that one."
            report.add(place, "hidden-module", message, "Rename it.", "warning")
        elif place is not None:
            message = (
                f"{quote(file)} has the name of {printable(other)}, so `import {name}` finds that one in other folders."
            )
            report.add(place, "hidden-module", message, "Rename it.", "warning")


def _is_in(file: str, entry: Entry) -> bool:
    handler = str(entry.values.get("handler", "")).strip()
    return handler.startswith((f"{file}:", f"{file}/", f"{file.removesuffix('.py')}."))
