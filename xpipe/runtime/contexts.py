"""The context that each handler call begins with: that of the run, whatever earlier calls have set in theirs."""

from __future__ import annotations

import decimal
from contextvars import Context, copy_context


class Contexts:
    """Copies of the context that this was made in.

    A copy shares the values. They are the user's, but for one that `decimal` changes in place: it is copied, too.
    """

    def __init__(self) -> None:
        self._base = copy_context()
        found = [value for value in self._base.values() if isinstance(value, decimal.Context)]
        self._decimals = found[0] if found else None

    def fresh(self) -> Context:
        """A context for one call, to be entered in it with `enter`."""
        return self._base.copy()

    def enter(self) -> None:
        """Make what is changed in place this context's own."""
        if self._decimals is not None:
            decimal.setcontext(self._decimals.copy())
