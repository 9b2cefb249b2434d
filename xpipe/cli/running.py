"""`xpipe run` from its plan to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import stat
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from xpipe.assembly import Organism
from xpipe.cli.account import Account, Timings, take_account, write_document
from xpipe.cli.console import Live, Medium, show_cursor
from xpipe.cli.errors import exit_code_of_signal
from xpipe.cli.formats import FORMATS
from xpipe.cli.harvest import Harvest, OutputStream, spool
from xpipe.cli.interrupts import Interrupts
from xpipe.cli.leaving import leave_soon
from xpipe.cli.loading import load_organism
from xpipe.cli.logs import taken_in
from xpipe.cli.outlet import Background, Descriptor, Outlet, ReplacedFile, claim_open_stdout, claim_stdout, open_file
from xpipe.cli.progress import Progress
from xpipe.cli.run import Plan
from xpipe.cli.session import Bounds, End, Reason, Session, Valve
from xpipe.cli.sources import Input, given
from xpipe.cli.stalls import stalls_shown
from xpipe.cli.talk import Talk
from xpipe.cli.telling import Result, finish
from xpipe.cli.text import counted
from xpipe.cli.tracking import Reading, source_name
from xpipe.cli.voice import LEVELS, tell, voice
from xpipe.core.codec import PayloadTypes
from xpipe.core.durations import format_duration
from xpipe.core.errors import EXIT_UNFINISHED, BackendError, UsageError, XpipeError
from xpipe.core.organism import OrganismDefinition
from xpipe.runtime.watchdog import stuck

SLACK = 2.0
"""Seconds beyond the grace, or beyond --timeout, after which a run is taken for stuck, if a handler keeps it."""
OWN = 20.0
"""The same if none does: what is left to be done is xpipe's own."""


def execute(plan: Plan) -> int:
    """Run `plan` and report; returns the exit code."""
    stdout = claim_stdout() if plan.out and not plan.json else claim_open_stdout(", or pass --out FILE")
    with Interrupts() as interrupts, taken_in(), stalls_shown():
        definition = load(plan)
        if not (definition.messages or plan.sends or plan.inputs or plan.resume or plan.serve):
            tell(_nothing_to_do(definition), "warning")
        runner = asyncio.Runner()
        running = Running(plan, definition, stdout, interrupts)
        try:
            runner.run(running.run())
        except BaseException:
            running.give_up()
            raise
        result = running.result()
        code = finish(plan, stdout, result)
        running.close(result)
        leave_soon(code)
        runner.close()
        return code


def load(plan: Plan) -> OrganismDefinition:
    """The organism of `plan`, its warnings told. Raises ConfigError."""
    definition = load_organism(plan.file, plan.overrides)
    if not plan.messages:
        definition = replace(definition, messages=())
    if plan.workers is not None:
        definition = replace(definition, pool=replace(definition.pool, workers=plan.workers))
    return definition


def _nothing_to_do(definition: OrganismDefinition) -> str:
    names = [one.name for one in definition.listeners]
    example = f"--send '{names[0] if names else 'LISTENER'}={{...}}'"
    return f"xpipe: nothing to do: no messages of {definition.file} to send; pass --input FILE or {example}"


class Running:
    """A run while it lasts, and what it leaves to be told."""

    def __init__(self, plan: Plan, definition: OrganismDefinition, stdout: Descriptor, interrupts: Interrupts) -> None:
        self._plan = plan
        self._definition = definition
        self._stdout = stdout
        self._interrupts = interrupts
        self._outlet = _open_outlet(plan, stdout)
        self._organism = Organism(
            definition,
            on_happening=lambda happening: self._harvest.take(happening),
            printed=self._outlet.drained if self._outlet is not None and _is_in_place(plan) else None,
            serves=plan.serve,
        )
        if plan.serve and not self._organism.backend.capabilities.cross_process:
            raise UsageError(
                f"--serve: no other process can reach a {definition.backend.type} backend; use sqlite or redis"
            )
        self._stream = _stream(plan, self._outlet, self._organism.types)
        self._harvest = Harvest(self._organism.types, plan.json or self._stream is None, self._stream)
        self._end = End(Reason.FINISHED)
        self._error: XpipeError | None = None
        self._account: Account | None = None
        self._document: IO[bytes] | None = None
        self._talk: Talk | None = None
        interrupts.abandon = self.give_up

    def result(self) -> Result:
        """What is to be told. Only after `run`."""
        return Result(self._end, self._error, self._account, self._harvest, self._stream, self._document)

    def close(self, result: Result) -> None:
        """Leave the backend; outputs that were printed need not be printed again."""
        if result.told:
            with contextlib.suppress(BackendError):
                self._organism.confirm(result.printed)
        self._organism.leave()

    def give_up(self) -> None:
        """Leave nothing behind: no worker, no half-written file, no hidden cursor. From any thread."""
        if self._organism.pool is not None:
            self._organism.pool.kill()
        if self._stream is not None:
            self._stream.discard()
        if self._talk is not None:
            self._talk.release()
            show_cursor(2)

    async def run(self) -> None:
        """Run to the end, whatever the end is. Raises only what is a bug."""
        with self._caught_talk():
            started, clock = datetime.now(UTC), time.monotonic()
            try:
                await self._organism.start()
            except XpipeError as error:
                self._error = error
                return
            with self._display():
                await self._serve(started, clock)

    def _tell_unserved(self) -> None:
        left = [] if self._plan.resume or self._plan.serve else self._organism.unserved()
        if left:
            ids = ", ".join(one.id for one in left[:5]) + (", ..." if len(left) > 5 else "")
            hint = "pass --resume to finish them"
            tell(f"xpipe: {counted(len(left), 'unfinished conversation')} of earlier runs: {ids}; {hint}", "warning")

    async def _serve(self, started: datetime, clock: float) -> None:
        session = self._session()
        try:
            self._interrupts.first = lambda number: self._wind_down(session, number)
            if self._plan.timeout is not None:
                why = f"not finished within {format_duration(self._plan.timeout)}"
                self._bound(self._plan.timeout, EXIT_UNFINISHED, why)
            self._tell_unserved()
            if self._plan.resume:
                await self._organism.resume()
            self._end = await session.run()
        except XpipeError as error:
            self._error = error
        finally:
            self._interrupts.first = None
            await self._organism.release()
            try:
                self._settle(Timings(started, time.monotonic() - clock))
            except BackendError as error:  # What was printed is printed, though nobody can tell what is left.
                self._error = self._error or error
            await self._organism.halt()

    def _session(self) -> Session:
        plan, definition, outlet = self._plan, self._definition, self._outlet
        inputs = self._inputs()
        readings = [one.reading for one in inputs if one.reading is not None]
        items = given(definition.messages, plan.sends, inputs, definition.limits.payload_bytes)
        valve = Valve(lambda: outlet.full, lambda: outlet.broken) if outlet is not None else Valve()
        return Session(self._organism, items, readings, Bounds(plan.timeout, plan.grace, plan.serve), valve)

    def _inputs(self) -> list[Input]:
        backend = self._organism.backend
        if not (backend.capabilities.persistent or backend.capabilities.cross_process):
            return [Input(path) for path in self._plan.inputs]
        return [Input(path, self._reading(path, source_name(path))) for path in self._plan.inputs]

    def _reading(self, path: str, name: str | None) -> Reading | None:
        return Reading(path, name, self._organism.backend.cursor(name), self._plan.resume) if name else None

    def _settle(self, timings: Timings) -> None:
        self._account = take_account(self._organism, self._harvest, timings)
        if self._plan.json:
            self._document = spool()
            write_document(self._document, self._account, self._harvest, self._organism)

    def _caught_talk(self) -> contextlib.AbstractContextManager[object]:
        """Handlers' prints do not go through a live display, which there is on a terminal that no data goes to."""
        mixed = self._plan.data_on_stdout and Medium.of(self._stdout.number).width
        if mixed or voice.json or voice.least > LEVELS["info"] or not Medium.of(2).live:
            return contextlib.nullcontext()
        self._talk = Talk()
        return self._talk

    def _display(self) -> contextlib.AbstractContextManager[object]:
        if self._talk is None:
            return contextlib.nullcontext()
        live = Live(self._talk.stderr, Progress(self._organism).scene)
        self._talk.say = live.say
        return live

    def _wind_down(self, session: Session, number: int) -> None:
        session.interrupt(number)
        grace = format_duration(self._plan.grace)
        name = signal.Signals(number).name
        self._bound(self._plan.grace, exit_code_of_signal(number), name)
        tell(f"xpipe: {name}: stopping; waiting up to {grace} for running handlers (signal again to quit now)")

    def _bound(self, seconds: float, code: int, why: str) -> None:
        """End the process with `code` if the run is not over in `seconds` and as many more as it may take to end."""

        def end() -> None:
            late = time.monotonic() + OWN
            while self._account is None:
                if blocking := stuck(threading.main_thread().ident or 0):
                    self._interrupts.end_at_once(code, f"{why}: {blocking} blocks the event loop")
                if time.monotonic() > late:
                    self._interrupts.end_at_once(code, why)

        bound = threading.Timer(seconds + SLACK, end)
        bound.daemon = True
        bound.start()


def _open_outlet(plan: Plan, stdout: Descriptor) -> Background | None:
    if plan.format is None:
        return None
    if plan.out is None:
        return Background(stdout)
    file: Outlet = open_file(plan.out) if _is_in_place(plan) else ReplacedFile(plan.out)
    return Background(file)


def _is_in_place(plan: Plan) -> bool:
    """Whether outputs are written where they are wanted as they come."""
    return plan.format is not None and (plan.out is None or FORMATS[plan.format].in_place or not _is_ordinary(plan.out))


def _is_ordinary(path: Path) -> bool:
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def _stream(plan: Plan, outlet: Background | None, types: PayloadTypes) -> OutputStream | None:
    if outlet is None or plan.format is None:
        return None
    return OutputStream(outlet, FORMATS[plan.format], types)
