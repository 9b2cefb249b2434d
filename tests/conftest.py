"""No test leaves anything behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import leftovers
import pytest
from cli.bench import Bench
from cli.warm import IS_WANTED, Warm
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail.
settings.register_profile(
    "patient", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")
PATIENCE = 5.0
"""Seconds in which what is ending may end."""
NOT_KEPT = "PYTHONDONTWRITEBYTECODE"
"""Where this is set, each process that a test starts would compile all of xpipe, which costs more than most tests do:
what they have compiled is kept until the tests end."""


@pytest.fixture(scope="session", autouse=True)
def own_temp_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temp folder that no other program uses, also for the processes that tests start. Its path is short, as the
    path of a socket must be."""
    tmp_path_factory.getbasetemp()  # stays where people look for it
    folder = tempfile.mkdtemp(prefix="xt", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        if os.environ.get(NOT_KEPT):
            patch.delenv(NOT_KEPT)
            patch.setenv("PYTHONPYCACHEPREFIX", f"{folder}/compiled")
        yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm | None]:
    """For all tests of a session, and so made before any of them; None where each command is to be cold."""
    if not IS_WANTED:
        yield None
        return
    made = Warm(Bench.environment())
    yield made
    made.close()


@pytest.fixture(scope="session")
def repository_files() -> leftovers.Files:
    return leftovers.Files()


@pytest.fixture(autouse=True)
def nothing_left(own_temp_folder: Path, repository_files: leftovers.Files) -> Iterator[None]:
    """Fails a test that leaves a process, a file or a lasting key behind."""
    processes = leftovers.Processes()
    yield
    end = time.monotonic() + PATIENCE
    while left := [*processes.left(), *repository_files.left(), *leftovers.temporary(own_temp_folder)]:
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    left += leftovers.lasting_keys()
    if left:
        repository_files.accept()
        for path in own_temp_folder.glob("xpipe*"):
            shutil.rmtree(path, ignore_errors=True)
        pytest.fail("this test has left behind:\n  " + "\n  ".join(left), pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts skipped tests by reason, so that nobody takes what was not tested for tested."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, number in Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped).most_common():
        terminalreporter.write_line(f"{number} skipped: {reason}")
