"""Runs that are killed, again and again, until a last one brings everything to its end."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults.checks import Verdict, left_behind
from faults.points import COMPLETE, KILLED, LONG_AGO, Point, point_named
from faults.spawning import Spawner
from faults.world import Run, World, wait_until

FIRST, MORE = 48, 8
"""Documents that there are at first, and that come with each further run."""
MANY, MANY_MORE = 150, 40
"""The same where the time of death is left to chance."""
MOST_KILLS = 8
"""A message that was lost with its pump ten times becomes a fault (L2); fewer kills leave every answer as it is."""


@dataclass
class Outcome:
    """What came of a scenario. `wrong`: a sentence for everything that must not be."""

    kills: int = 0
    conversations: int = 0
    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.kills += other.kills
        self.conversations += other.conversations
        self.answers += other.answers
        self.wrong += other.wrong


class Scenario:
    """Kills runs on `world`, then checks what they left. `chance` decides what is left to chance."""

    def __init__(self, world: World, chance: random.Random, forgetful: bool = False) -> None:
        self._world = world
        self._chance = chance
        self._forgetful = forgetful
        self._outcome = Outcome()
        self._delivered: set[tuple[int, int]] = set()

    def kill_at(self, point: Point, kills: int) -> Outcome:
        """`kills` runs that die at `point`, then one to the end."""
        world = self._world
        world.add_documents(FIRST)
        self._come_first(point)
        if kills == 1:
            self._outcome.kills += self._die(point, point.passage)
        else:
            self._die_often(point, kills)
        return self._finish()

    def _die_often(self, point: Point, kills: int) -> None:
        """A run after a death may have nothing to do that leads past `point`; then it ends, and the next one dies."""
        for _ in range(3 * kills):
            if self._outcome.kills == kills:
                return
            died = self._die(point, self._chance.randint(1, point.most), surely=False)
            self._outcome.kills += died
            if not died:
                self._come_first(point)
        if self._outcome.kills < kills:
            self._complain(f"of {3 * kills} runs only {self._outcome.kills} died at `{point}`")

    def _come_first(self, point: Point) -> None:
        if point.earlier == KILLED:
            self._die(point_named(point.backend, "claims received, no handler begun"), 3)
        elif point.earlier == COMPLETE:
            self._end_well(self._world.start(*self._world.going_on))
        elif point.earlier == LONG_AGO:
            self._end_well(self._world.start_long_ago(*self._world.going_on))
        self._world.add_documents(MORE)

    def _die(self, point: Point, passage: int, surely: bool = True) -> bool:
        """Whether a run died at that passage; where it `surely` passes there, it is wrong if it did not."""
        run = self._world.start_dying(point, passage, *self._world.going_on)
        code = run.end()
        if not run.died_at_its_point and (surely or code != 0):
            self._complain(f"passage {passage} of `{point}` was not reached, exit code {code}: {self._world.said(run)}")
        self._note_death(run)
        self._world.add_documents(MORE)
        return run.died_at_its_point

    def kill_at_random(self, kills: int) -> Outcome:
        """`kills` runs that are killed after a random time, then one to the end."""
        self._world.add_documents(MANY)
        while self._outcome.kills < kills:
            run = self._world.start(*self._world.going_on)
            wait_until(lambda run=run: run.has_begun, "the run did not begin")  # type: ignore[misc]
            time.sleep(self._chance.uniform(0.0, 0.4))  # Where this finds the run is the point of the test.
            self._outcome.kills += run.kill()
            self._note_death(run)
            self._world.add_documents(MANY_MORE)
        return self._finish()

    def _note_death(self, run: Run) -> None:
        """An output that has been confirmed was printed, and is not printed again."""
        again = {one.answer for one in run.printed()} & self._delivered
        if again:
            self._complain(f"run {run.number} printed again what had been confirmed: {again}")
        if run.number % 2:
            return  # The next run shall find the state as the death has left it.
        self._delivered = self._world.delivered()
        unprinted = self._delivered - {one.answer for one in self._world.printed()}
        if unprinted:
            self._complain(f"after run {run.number} these are confirmed and were never printed: {unprinted}")

    def _finish(self) -> Outcome:
        self._end_well(self._world.start(*self._world.going_on))
        verdict = Verdict(self._world, self._forgetful)
        for wrong in verdict.wrong():
            self._complain(wrong)
        self._outcome.conversations = verdict.conversations
        self._outcome.answers = verdict.answers
        if (collected := self._world.collect_all()) is not None:
            self._complain(f"gc: {collected}")
        for left in left_behind(self._world):
            self._complain(f"left when all is forgotten: {left}")
        return self._outcome

    def _end_well(self, run: Run) -> None:
        code = run.end()
        if code != 0:
            self._complain(f"run {run.number} ended with {code}: {self._world.said(run)}")
        self._note_death(run)

    def _complain(self, text: str) -> None:
        self._outcome.wrong.append(text)


def kill_at(folder: Path, point: Point, kills: int, chance: random.Random, spawner: Spawner | None = None) -> Outcome:
    """`kills` deaths at `point` in one organism."""
    world = World(folder, point.backend, spawner, **(point.options or {}))
    try:
        return Scenario(world, chance, point.forgets).kill_at(point, kills)
    finally:
        world.close()


def kill_at_random(
    folder: Path, backend: str, kills: int, chance: random.Random, spawner: Spawner | None = None
) -> Outcome:
    """`kills` deaths at random times in one organism."""
    world = World(folder, backend, spawner)
    try:
        return Scenario(world, chance).kill_at_random(kills)
    finally:
        world.close()
