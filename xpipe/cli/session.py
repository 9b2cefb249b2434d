"""One run of an organism: take messages in, wait for their ends, stop in time."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from xpipe.assembly import Organism
from xpipe.cli.account import unfinished
from xpipe.cli.feed import Feed
from xpipe.cli.sources import Gate, Given, weight
from xpipe.cli.tracking import Reading
from xpipe.cli.voice import tell
from xpipe.core.errors import PayloadError
from xpipe.core.messages import Cursor, Injection
from xpipe.runtime.stats import FaultRecord

QUIET = 1.0
"""Seconds that a run may outlast its own work before it says why."""


class Reason(enum.Enum):
    """Why a session ended."""

    FINISHED = "finished"
    TIMED_OUT = "timed out"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class End:
    """How a session ended; `signal` is the number of the signal that ended it. more: not all was taken in."""

    reason: Reason
    signal: int = 0
    more: bool = False


@dataclass(slots=True)
class Bounds:
    """timeout: seconds for the whole run, None for no bound; grace: seconds for handlers after a signal.

    serves: it waits for more until one of them ends it.
    """

    timeout: float | None
    grace: float
    serves: bool = False


class Valve:
    """Tells whether more may be taken in: `full` means later, `broken` means never."""

    def __init__(self, full: Callable[[], bool] = bool, broken: Callable[[], bool] = bool) -> None:
        self.full = full
        self.broken = broken


class Session:
    """Runs a started organism on what `items` gives, which `readings` read from files."""

    def __init__(
        self, organism: Organism, items: Iterator[Given], readings: Sequence[Reading], bounds: Bounds, valve: Valve
    ) -> None:
        self._organism = organism
        self._items = items
        self._readings = readings
        self._bounds = bounds
        self._valve = valve
        self._reading = True
        self._serving = self._answered = False
        self._gate = Gate(organism.intake)
        self._loop = asyncio.get_running_loop()
        self._signal: asyncio.Future[int] = self._loop.create_future()

    def interrupt(self, number: int) -> None:
        """End soon because of the signal `number`. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._note_signal, number)

    async def run(self) -> End:
        """Until all is done, or time is up, or a signal came. Raises XpipeError, and whatever is a bug."""
        work = self._loop.create_task(self._work(), name="xpipe-session")
        waiting: set[asyncio.Future[int] | asyncio.Task[None]] = {work, self._signal}
        await asyncio.wait(waiting, timeout=self._bounds.timeout, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            return End(Reason.FINISHED)
        work.cancel()
        await asyncio.wait({work})
        end = End(Reason.FINISHED if self._answered else Reason.TIMED_OUT, more=self._reading)
        if self._signal.done():
            await self._organism.drain(self._bounds.grace)
            end = End(Reason.SIGNAL, self._signal.result(), self._reading)
        return End(Reason.FINISHED) if self._serving and not unfinished(self._organism) else end

    def _note_signal(self, number: int) -> None:
        if not self._signal.done():
            self._signal.set_result(number)

    async def _work(self) -> None:
        feed = Feed(self._items, weight)
        try:
            while not self._valve.broken() and (batch := await feed.take()):
                await self._inject(batch)
        finally:
            feed.close()
        self._reading = False
        for reading in self._readings:
            if reading.incomplete:
                hint = "a later run with --resume reads it once it is complete"
                tell(f"xpipe: {reading.incomplete}: the file ends inside this document; {hint}")
        if self._bounds.serves:
            self._serving = True
            await self._organism.serve()
        await self._organism.idle()
        self._answered = True
        await self._let_others_finish()

    async def _let_others_finish(self) -> None:
        """Let the handlers end that run here for other runs: a handler that is cut off runs again there."""
        if not await self._organism.drain(QUIET):
            tell("xpipe: all answers are in; waiting for handlers that work for other runs (Ctrl-C to quit now)")
            await self._organism.drain()

    async def _inject(self, batch: list[Given]) -> None:
        await asyncio.sleep(0)  # The pump must get its turn even when input never pauses.
        while self._valve.full():  # noqa: ASYNC110  # The writer is a thread and rarely this far behind.
            await asyncio.sleep(0.01)
        for reading, group in groupby(batch, lambda one: one.reading):
            if reading is None:
                await self._commit(list(group))
            else:
                await self._inject_read(reading, list(group))

    async def _inject_read(self, reading: Reading, group: list[Given]) -> None:
        """Inject documents of a file in one commit with its cursor, without those that another run took first."""
        while group := [one for one in group if one.cursor is not None and reading.takes(one.cursor)]:
            cursor = group[-1].cursor
            assert cursor is not None
            if await self._commit(group, *reading.move(cursor)):
                reading.moved(cursor)
                return
            if text := reading.overtaken(await self._organism.cursor(cursor.name)):
                tell(f"xpipe: {text}", "warning")

    async def _commit(self, group: list[Given], cursor: Cursor | None = None, seen: Cursor | None = None) -> bool:
        """Inject all of `group`; False if nothing was, since the cursor of its source is not `seen` any more."""
        made = [self._gate.injection(one) for one in group]
        ids = await self._organism.inject_all([injection for injection, _ in made], cursor, seen)
        if not ids:
            return False
        for id, (injection, error) in zip(ids, made, strict=True):
            if error is not None:
                self._note_rejection(id, injection, error)
        return True

    def _note_rejection(self, conversation: str, injection: Injection, error: PayloadError) -> None:
        """A rejected message never reaches a handler; among the faults it would be missed."""
        fault = self._organism.types.decode("Fault", injection.fault or b"")
        self._organism.stats.note(
            FaultRecord(conversation, conversation, error.code, str(error), fault.origin, 0, 1, False, "")
        )
