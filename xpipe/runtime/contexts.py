"""The context of each handler call: a copy of the run's, without changes by earlier calls."""

from __future__ import annotations

import decimal
from contextvars import Context, copy_context


class Contexts:
    """Copies of the context that this was made in.

    A copy shares the values. They are the user's, but for one that `decimal` changes in place: it is copied, too.
    """

    def __init__(self) -> None:
        self._base = copy_context()
        # Other variables may hold a decimal.Context, too: those are values like any.
        found = (value for variable, value in self._base.items() if variable.name == "decimal_context")
        self._decimals: decimal.Context | None = next(found, None)

    def fresh(self) -> Context:
        """A context for one call."""
        context = self._base.copy()
        if self._decimals is not None:
            context.run(decimal.setcontext, self._decimals.copy())
        return context
