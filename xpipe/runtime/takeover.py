"""Taking over what no live pump serves: conversations left unfinished, and outputs that nobody has printed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice

from xpipe.core.messages import ConversationRecord, Message
from xpipe.ports import SharedBackend
from xpipe.runtime.happenings import output_messages
from xpipe.runtime.lease import living
from xpipe.runtime.pump import Pump

Taken = tuple[ConversationRecord, list[Message]]
"""A conversation as it was taken over, and the outputs that are to be told."""
PIECE = 200
"""Conversations read in one go."""


class Takeover:
    """Makes conversations those of `pump`."""

    def __init__(self, backend: SharedBackend, pump: Pump) -> None:
        self._backend = backend
        self._pump = pump

    async def others(self) -> set[str]:
        """The other pumps that are alive."""
        return living(await self._pump.line.call(self._backend.pumps)) - {self._pump.id}

    def unserved(self) -> list[ConversationRecord]:
        """The unfinished conversations that no live pump serves."""
        alive = living(self._backend.pumps())
        return [one for one in self._backend.conversations(running=True) if one.owner not in alive]

    async def own(self) -> set[str]:
        """The conversations of this pump."""
        found = self._backend.conversations
        return await self._pump.line.call(lambda: {one.id for one in found(owner=self._pump.id)})

    async def of(self, owner: str) -> AsyncIterator[Taken]:
        """Take over each conversation of `owner`, an earlier id of this pump, with all its outputs."""
        call = self._pump.line.call
        for one in await call(lambda: list(self._backend.conversations(owner=owner))):
            if (taken := await call(self._adopt, one)) is not None:
                yield taken

    async def all(self) -> AsyncIterator[Taken]:
        """Take over each conversation that runs, or has outputs that nobody has printed, with these outputs."""
        found = self._backend.conversations(unsettled=True)
        wanted: list[ConversationRecord] = []
        # Piece by piece: the pump's own calls come in between.
        while piece := await self._pump.line.call(lambda: list(islice(found, PIECE))):
            wanted += (one for one in piece if one.owner != self._pump.id)
        async for one in self._take(wanted):
            yield one

    async def _take(self, conversations: Iterable[ConversationRecord]) -> AsyncIterator[Taken]:
        alive = await self.others()
        for one in conversations:
            if one.owner in alive:
                continue
            # In one call: before it returns, no event of the conversation can be handed over.
            taken = await self._pump.line.call(self._adopt, one)
            if taken is not None:
                record, outputs = taken
                yield record, outputs[record.delivered :]

    def _adopt(self, one: ConversationRecord) -> Taken | None:
        taken = self._backend.adopt(self._pump.id, one.id, one.owner)
        if taken is None:
            return None
        slots = self._backend.buffer_get_thread(one.id)
        return taken, output_messages(slots)[: taken.outputs]
