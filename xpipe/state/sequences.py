"""Sequences without an organism: steps done in order, by any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from xpipe.backends.arguments import require_id, require_text
from xpipe.ports import SharedBackend
from xpipe.state.collections import Collections


@dataclass(frozen=True, slots=True)
class SequenceState:
    """A snapshot of a Sequence. `results` holds the results of the finished steps, in order."""

    sequence_id: str
    steps: list[str]
    return_to: str
    thread_id: str
    from_id: str
    results: list[Any]

    @property
    def current_index(self) -> int:
        """The number of the current step, from 0."""
        return len(self.results)

    @property
    def current_step(self) -> str | None:
        """The current step; None when all are done."""
        return None if self.is_complete else self.steps[self.current_index]

    @property
    def remaining_steps(self) -> list[str]:
        """The steps after that one."""
        return self.steps[self.current_index + 1 :]

    @property
    def last_result(self) -> Any:
        """The result of the last step that is done; None before."""
        return self.results[-1] if self.results else None

    @property
    def is_complete(self) -> bool:
        """Every step is done."""
        return self.current_index >= len(self.steps)


class _Head(msgspec.Struct, array_like=True):
    steps: list[str]
    return_to: str
    thread_id: str
    from_id: str


class SequenceRegistry:
    """The Sequences that were made with it, in a backend or, without one, in a private one in memory.

    Those of running organisms are not among them, and no organism sees these. Processes that share the backend
    share the Sequences; results are plain data (None, bool, int, float, str, bytes, list, dict).
    """

    def __init__(self, backend: SharedBackend | None = None) -> None:
        # A part is the list of one result: `Any` alone would let msgspec's own types through.
        self._sequences = Collections(backend, "sequence", _Head, list[Any])

    def create(
        self, sequence_id: str, steps: Sequence[str], return_to: str, thread_id: str, from_id: str
    ) -> SequenceState:
        """Begin a Sequence of `steps`. Raises ValueError without a step, LimitError for an id in use."""
        if isinstance(steps, (str, bytes)) or not isinstance(steps, Sequence):
            raise TypeError(f"steps must be a list of names, got {steps!r}")
        if not steps:
            raise ValueError("steps must not be empty: a Sequence has at least one")
        for step in steps:
            require_id("a step", step)
        for name, text in {"return_to": return_to, "thread_id": thread_id, "from_id": from_id}.items():
            require_text(name, text)
        head = _Head(list(steps), return_to, thread_id, from_id)
        self._sequences.create(sequence_id, head, len(steps))
        return _state(sequence_id, head, {})

    def get(self, sequence_id: str) -> SequenceState | None:
        """The Sequence, or None."""
        found = self._sequences.get(sequence_id)
        return None if found is None else _state(sequence_id, *found)

    def advance(self, sequence_id: str, result: Any) -> SequenceState | None:
        """Record the result of the current step, and go on to the next. The Sequence then, None if there is none.

        Each call finishes one step, even with concurrent callers. Raises ValueError when no step is left.
        """
        while (found := self.get(sequence_id)) is not None:
            if found.is_complete:
                raise ValueError(f"all {len(found.steps)} steps of the Sequence {sequence_id} are done; remove it")
            if self._sequences.add(sequence_id, found.current_index, [result]):
                return SequenceState(
                    sequence_id, found.steps, found.return_to, found.thread_id, found.from_id, [*found.results, result]
                )
        return None

    def remove(self, sequence_id: str) -> bool:
        """Remove a Sequence; returns whether it existed."""
        return self._sequences.remove(sequence_id)

    def list_active(self) -> list[str]:
        """The ids of all Sequences, complete or not."""
        return list(dict.fromkeys(self.iter_active()))

    def iter_active(self) -> Iterator[str]:
        """As `list_active`, page by page."""
        return self._sequences.ids()

    def clear(self) -> None:
        """Remove all Sequences."""
        self._sequences.clear()


def _state(id: str, head: _Head, parts: dict[int, list[Any]]) -> SequenceState:
    results = [parts[index][0] for index in range(len(parts))]
    return SequenceState(id, head.steps, head.return_to, head.thread_id, head.from_id, results)
