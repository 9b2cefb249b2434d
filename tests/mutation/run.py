"""Tests, collected once, run in a fork for each mutant: those that reach the changed statement, the quickest first."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import CodeType, FunctionType

import pytest

from mutation.mutants import HIT, Mutant, counted_functions, module_of

KILLED, SURVIVED, UNCOVERED = "killed", "survived", "uncovered"
Place = tuple[str, int]


@dataclass
class Tests:
    """The tests that passed undisturbed: how long each took, and the statements that it reached."""

    seconds: dict[str, float] = field(default_factory=dict)
    reaching: defaultdict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    items: dict[str, pytest.Item] = field(default_factory=dict)

    def of(self, mutant: Mutant, most: float) -> list[pytest.Item]:
        """The tests to run on `mutant`, in the order of their durations, `most` seconds of them."""
        names = sorted(self.reaching[mutant.path, mutant.statement], key=self.seconds.__getitem__)
        chosen: list[pytest.Item] = []
        for name in names:
            most -= self.seconds[name]
            if most < 0 and chosen:
                break
            chosen.append(self.items[name])
        return chosen


class Plugin:
    """Takes the place of pytest's loop: runs every test once, then those of each of `mutants`."""

    def __init__(self, mutants: Sequence[Mutant], most: float) -> None:
        self.results: list[tuple[Mutant, str]] = []
        self._mutants = mutants
        self._most = most
        self._failed = False

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        tests = self._undisturbed(session.items)
        began = time.monotonic()
        for number, mutant in enumerate(self._mutants, 1):
            result = self._try(mutant, tests.of(mutant, self._most))
            self.results.append((mutant, result))
            left = (time.monotonic() - began) / number * (len(self._mutants) - number) / 60
            say(f"{number}/{len(self._mutants)} {result} {mutant.place} ({left:.0f} min left)")
        return True

    def _undisturbed(self, items: Sequence[pytest.Item]) -> Tests:
        tests, reached = Tests(), set[Place]()
        with ExitStack() as stack:
            for path in {one.path for one in self._mutants}:
                stack.enter_context(counted(path, reached))
            for item in items:
                reached.clear()
                began = time.monotonic()
                if not self._passes(item):
                    say(f"left out, as it fails undisturbed: {item.nodeid}")
                    continue
                tests.items[item.nodeid] = item
                tests.seconds[item.nodeid] = time.monotonic() - began
                for place in list(reached):
                    tests.reaching[place].add(item.nodeid)
        return tests

    def _passes(self, item: pytest.Item) -> bool:
        self._failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str:
        if not items:
            return UNCOVERED
        child = os.fork()
        if child == 0:
            os.setsid()
            silence()
            swap(mutant.path, *mutant.compile())
            os._exit(0 if all(map(self._passes, items)) else 1)
        return SURVIVED if ended(child, 20 + 5 * self._most) == 0 else KILLED


@contextmanager
def counted(path: str, reached: set[Place]) -> Iterator[None]:
    """While it lasts, the lines of the statements in the file `path` that are reached are added to `reached`."""
    setattr(sys.modules[module_of(path)], HIT, lambda line: reached.add((path, line)))
    swapped = [one for plain, other in counted_functions(path) for one in swap(path, plain, other)]
    yield
    for function, code in swapped:
        function.__code__ = code


def swap(path: str, old: CodeType, new: CodeType) -> list[tuple[FunctionType, CodeType]]:
    """Have every function with the code `old` run `new`; these functions with the code that they had."""
    if old.co_freevars != new.co_freevars:  # Without its `super()` a method is another kind of function.
        return []
    module = module_of(path)
    functions = [one for one in gc.get_objects() if isinstance(one, FunctionType) and one.__module__ == module]
    found = [(one, one.__code__) for one in functions if one.__code__ == old]
    for function, _ in found:
        function.__code__ = new
    return found


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def silence() -> None:
    """Nothing that a child says is of interest."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def ended(child: int, seconds: float) -> int:
    """How the process `child` ended; it is killed when it takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # With what it may have started.
    return found[1] if found[0] else os.waitpid(child, 0)[1]
