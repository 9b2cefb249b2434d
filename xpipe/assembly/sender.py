"""Sending messages to an organism that other processes run, now or later."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from xpipe.assembly.building import backend_config, make_intake, slots_per_thread
from xpipe.core.errors import BackendError
from xpipe.core.messages import Injection
from xpipe.core.organism import OrganismDefinition
from xpipe.runtime.happenings import Ending, Happening, happening_of
from xpipe.runtime.lease import Lease, living, serving
from xpipe.state.factory import attach_backend

LOOK = 0.1
"""Seconds between two looks at whether there is room."""


class Sender:
    """Injects without running anything. With `waits` it is told of the answers, else whoever serves the organism is."""

    def __init__(self, definition: OrganismDefinition, waits: bool) -> None:
        if definition.backend.type == "memory":
            raise BackendError(
                f"{definition.file}: its memory backend exists only during a run; "
                "give it one that others can reach: backend: {type: sqlite, path: ...}, or redis"
            )
        self.intake = make_intake(definition)
        self._definition = definition
        self._config = backend_config(definition)
        self._backend = attach_backend(self._config)
        self._id = secrets.token_hex(8) if waits else ""
        self._lease: Lease | None = None
        self._lost: BackendError | None = None
        self._left: set[str] = set()
        self._news = threading.Event()

    def __enter__(self) -> Sender:
        self._backend.open(self._definition.name, slots_per_thread(self._definition))
        if self._id:
            self._lease = Lease(
                self._backend,
                self._id,
                self._config.retention,
                serves=False,
                on_news=self._news.set,
                on_renamed=self._note_new_name,
                on_lost=self._note_loss,
            )
            self._lease.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is not None:
            with contextlib.suppress(BackendError):
                for conversation in self._left:
                    self._backend.adopt("", conversation, self._id)  # Whoever serves may print the rest.
                self._lease.give_back()
        self._backend.close()

    def _note_new_name(self, old: str, new: str) -> None:
        del old, new
        self._lost = BackendError("this process slept and was taken for dead; see what came with `xpipe outputs`")

    def _note_loss(self, error: BackendError) -> None:
        self._lost = error

    def has_room(self) -> bool:
        """Whether more may be injected now."""
        load = self._backend.load()
        return load.in_flight < self._definition.limits.in_flight and (not load.full or self._backend.make_room())

    def is_served(self) -> bool:
        """Whether a pump runs the organism now."""
        return bool(living(self._backend.pumps()) - {self._id})

    def inject(self, injections: list[Injection]) -> list[str]:
        """Start a conversation for each of `injections`, in one commit; their ids."""
        return self._backend.inject(self._id or serving(self._backend.pumps()), injections, time.time())

    def wait_for_room(self, deadline: float) -> bool:
        """Wait until there is room; False when `deadline`, of the monotonic clock, passes before."""
        while not self.has_room():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True

    def happenings(self, conversations: list[str], deadline: float) -> Iterator[Happening]:
        """What happens in `conversations` until they are over, or `deadline`, of the monotonic clock, has passed."""
        self._left = left = set(conversations)
        while left and time.monotonic() < deadline:
            if self._lost is not None:
                raise self._lost
            self._news.clear()
            for event in self._backend.advance(self._id, [], {}, 0, time.time()).events:
                happening = happening_of(event, self.intake.types)
                yield happening
                if isinstance(happening, Ending):
                    left.discard(happening.conversation)
            if left:
                # The lease listens already; a second one that did would take the news from it.
                self._news.wait(max(0.0, min(1.0, deadline - time.monotonic())))

    def confirm(self, outputs: dict[str, int]) -> None:
        """Of each conversation so many outputs have been printed."""
        self._backend.delivered(outputs)
