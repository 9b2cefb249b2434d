"""All primitives of an organism by the names of their listeners."""

from __future__ import annotations

from collections.abc import Iterable

from xpipe.core.organism import Listener
from xpipe.core.payloads import BUFFER, SEQUENCE
from xpipe.runtime.primitives.base import Primitive, Setting
from xpipe.runtime.primitives.buffer import Buffer, DeclaredBuffer
from xpipe.runtime.primitives.sequence import DeclaredSequence, Sequence


def make_primitives(setting: Setting, listeners: Iterable[Listener]) -> dict[str, Primitive]:
    """The two system listeners, and those of `listeners` that are declared as a buffer or a sequence."""
    primitives: dict[str, Primitive] = {BUFFER: Buffer(setting), SEQUENCE: Sequence(setting)}
    for one in listeners:
        if one.buffer is not None:
            primitives[one.name] = DeclaredBuffer(setting, one.buffer)
        elif one.sequence:
            primitives[one.name] = DeclaredSequence(setting, one.sequence)
    return primitives
