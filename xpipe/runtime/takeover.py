"""Taking over what no live pump serves: conversations left unfinished, and outputs that nobody has printed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from xpipe.core.messages import ConversationRecord, Message
from xpipe.ports import SharedBackend
from xpipe.runtime.happenings import output_messages
from xpipe.runtime.lease import living
from xpipe.runtime.pump import Pump


class Takeover:
    """Makes conversations those of `pump`."""

    def __init__(self, backend: SharedBackend, pump: Pump) -> None:
        self._backend = backend
        self._pump = pump

    async def others(self) -> set[str]:
        """The other pumps that are alive."""
        return living(await self._pump.line.call(self._backend.pumps)) - {self._pump.id}

    async def all(self) -> AsyncIterator[tuple[ConversationRecord, list[Message]]]:
        """Take over each conversation that runs, or has outputs that nobody has printed, with these outputs."""
        async for one in self._take(await self._list(running=False)):
            yield one

    async def running(self) -> AsyncIterator[tuple[ConversationRecord, list[Message]]]:
        """The same for those that run."""
        async for one in self._take(await self._list(running=True)):
            yield one

    async def _list(self, running: bool) -> list[ConversationRecord]:
        def wanted() -> list[ConversationRecord]:
            found = self._backend.conversations(running)
            own = self._pump.id
            return [one for one in found if one.owner != own and (not one.ended or one.delivered < one.outputs)]

        return await self._pump.line.call(wanted)

    async def _take(
        self, conversations: Iterable[ConversationRecord]
    ) -> AsyncIterator[tuple[ConversationRecord, list[Message]]]:
        alive = await self.others()
        for one in conversations:
            if one.owner in alive:
                continue
            # In one call: before it returns, no event of the conversation can be handed over.
            taken = await self._pump.line.call(self._adopt, one)
            if taken is not None:
                yield taken

    def _adopt(self, one: ConversationRecord) -> tuple[ConversationRecord, list[Message]] | None:
        taken = self._backend.adopt(self._pump.id, one.id, one.owner)
        if taken is None:
            return None
        slots = self._backend.buffer_get_thread(one.id)
        return taken, output_messages(slots)[taken.delivered : taken.outputs]
