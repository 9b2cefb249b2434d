"""Runs the cell of a matrix with real processes, and says what is wrong with what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis_server

from matrix.cells import GUILTY, INTERRUPTED, LASTING, Cell
from matrix.organism import write

TESTS = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
MARK = "XPIPE_MATRIX"
"""The variable that tells the processes of a cell, whoever has started them."""
INNOCENT = 3
"""Conversations of each shape's kind that must not notice anything."""
PATIENCE = 60.0


class Running:
    """One cell in `folder`. `seconds`: from the trouble to the end of the last run."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.seconds = 0.0
        self._cell = cell
        self._folder = folder
        self._environment = ENVIRONMENT | {MARK: str(folder)}
        self._server = redis_server.start("--appendonly", "yes") if cell.backend == "redis" else None
        write(folder, self._backend())
        self._runs: list[subprocess.Popen[bytes]] = []

    def _backend(self) -> dict[str, Any]:
        match self._cell.backend:
            case "sqlite":
                return {"type": "sqlite", "path": "state.db"}
            case "redis":
                assert self._server is not None
                return {"type": "redis", "redis_url": self._server.tcp, "redis_prefix": "matrix:"}
            case other:
                return {"type": other}

    def wrong(self) -> list[str]:
        """Run the cell; a sentence for everything that must not be."""
        try:
            return list(self._check(self._run()))
        finally:
            self._close()

    def _run(self) -> list[int]:
        """The exit codes of the runs."""
        run = self._start("--send", self._job(GUILTY), *(["--send", self._job(-1)] * INNOCENT))
        self._wait(lambda: (self._folder / "began").exists() or run.poll() is not None)
        began = time.monotonic()
        codes = self._go_on(run)
        self.seconds = time.monotonic() - began
        return codes

    def _go_on(self, run: subprocess.Popen[bytes]) -> list[int]:
        match self._cell.trouble.name:
            case "pump killed":
                self._wait(self._is_confirmed)  # Else what was printed last would be printed again.
                run.kill()
                return [run.wait(PATIENCE), self._resume()]
            case "pump stopped":
                run.terminate()
                return [run.wait(PATIENCE), self._resume()]
            case "server restarted":
                assert self._server is not None
                self._server.restart()
                self._let_go()
            case "manager killed":
                os.kill(_manager_of(run.pid), signal.SIGKILL)
            case "cancelled":
                self._cancel()
        return [run.wait(PATIENCE)]

    def _resume(self) -> int:
        self._let_go()
        return self._start("--resume").wait(PATIENCE)

    def _let_go(self) -> None:
        (self._folder / "go").touch()

    def _is_confirmed(self) -> bool:
        undelivered = self._xpipe("outputs", "organism.yaml", "--undelivered", "--json")
        return len(self._outputs()) == INNOCENT and not json.loads(undelivered.stdout)["outputs"]

    def _cancel(self) -> None:
        self._wait(lambda: len(self._outputs()) == INNOCENT)
        listed = self._xpipe("threads", "organism.yaml", "--json", "--state", "active", "--state", "waiting")
        [conversation] = {one["conversation"] for one in json.loads(listed.stdout)["threads"]}
        self._xpipe("cancel", "organism.yaml", conversation)

    def _job(self, guilty: int) -> str:
        cell = self._cell
        trouble = "interrupted" if cell.trouble.name in INTERRUPTED else cell.trouble.name
        job = {"trouble": trouble, "shape": cell.shape, "guilty": guilty, "worker": cell.trouble.worker}
        return f"entry={json.dumps(job)}"

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        number = len(self._runs)
        out = ("--out", f"out-{number}.jsonl", "--json", "--grace", "200ms")
        with (
            (self._folder / f"report-{number}").open("wb") as report,
            (self._folder / f"err-{number}").open("wb") as errors,
        ):
            command = [sys.executable, "-m", "xpipe", "run", "organism.yaml", *out, *arguments]
            process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=report,
                stderr=errors, start_new_session=True,
            )  # fmt: skip
        self._runs.append(process)
        return process

    def _xpipe(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "xpipe", *arguments]
        ended = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended

    def _wait(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"the trouble did not come about: {self._said()}"
            time.sleep(0.01)

    def _said(self) -> str:
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self._folder.glob("err-*")))

    def _outputs(self) -> list[dict[str, Any]]:
        lines = [line for path in sorted(self._folder.glob("out-*.jsonl")) for line in path.read_bytes().splitlines()]
        return [json.loads(line) for line in lines]

    # -- what has to hold

    def _check(self, codes: list[int]) -> Iterator[str]:
        yield from self._check_processes()
        if "Traceback" in (said := self._said()):
            yield f"somebody was shown a traceback: {said}"
        if self._cell.trouble.name == "manager killed":
            if codes != [4]:
                yield f"the run ended with {codes}, not 4: {said}"
            return
        yield from self._check_codes(codes)
        yield from self._check_outputs(self._outputs())
        yield from self._check_report(json.loads((self._folder / f"report-{len(codes) - 1}").read_bytes()))
        if self._cell.backend in LASTING:
            yield from self._check_state()

    def _check_processes(self) -> Iterator[str]:
        """The runs have taken their workers and managers with them."""
        end = time.monotonic() + PATIENCE
        while (left := list(_processes(f"{MARK}={self._folder}"))) and time.monotonic() < end:
            time.sleep(0.01)
        if left:
            yield f"these processes are left: {left}"

    def _check_report(self, report: dict[str, Any]) -> Iterator[str]:
        """What the last run says is left of all conversations."""
        open = [one for one in report["threads"] if one["state"] in ("active", "waiting")]
        totals = {name: report["totals"][name] for name in ("in_flight", "unfinished", "buffers")}
        if open or any(totals.values()):
            yield f"these are still under way: {totals}, {open}"

    def _check_codes(self, codes: list[int]) -> Iterator[str]:
        first = {"pump killed": [-signal.SIGKILL], "pump stopped": [143]}.get(self._cell.trouble.name, [])
        last = 1 if self._is_fault else 0
        if codes != [*first, last]:
            yield f"the runs ended with {codes}, not {[*first, last]}: {self._said()}"

    @property
    def _is_fault(self) -> bool:
        """Whether the trouble reaches whoever began the conversation."""
        trouble, shape = self._cell.trouble, self._cell.shape
        return trouble.name == "cancelled" or (bool(trouble.code) and shape in ("call", "sequence"))

    def _check_outputs(self, outputs: list[dict[str, Any]]) -> Iterator[str]:
        conversations = Counter(output["conversation"] for output in outputs)
        if len(conversations) != 1 + INNOCENT or set(conversations.values()) != {1}:
            yield f"{1 + INNOCENT} callers were answered like this: {conversations}"
        good = [one for one in outputs if one["kind"] == "response" and one["type"] == "Done"]
        bad = [one for one in outputs if one not in good]
        if self._cell.trouble.code:
            yield from self._check_guilty(bad)
        elif bad:
            yield f"it should have ended well: {bad}"

    def _check_guilty(self, bad: list[dict[str, Any]]) -> Iterator[str]:
        code, shape = self._cell.trouble.code, self._cell.shape
        if len(bad) != 1:
            yield f"one conversation should have ended badly, not {bad}"
        elif self._is_fault:
            if bad[0]["kind"] != "fault" or bad[0]["payload"]["code"] != code:
                yield f"the caller got {bad[0]}, not the fault {code}"
        elif bad[0]["payload"]["bad"] != (["1:partial"] if shape == "nested" else [f"{GUILTY}:{code}"]):
            yield f"the item {GUILTY} alone should have failed with {code}: {bad[0]}"

    def _check_state(self) -> Iterator[str]:
        """Once everything that is over is collected, only the root is left."""
        left = json.loads(self._xpipe("gc", "organism.yaml", "--older-than", "0", "--json").stdout)
        if orphans := left["collected"]["orphans"]:
            yield f"these belong to nothing: {orphans}"
        pairs = json.loads(self._xpipe("registry", "organism.yaml", "--json").stdout)["registry"]
        if len(pairs) != 1:
            yield f"more than the root is left: {pairs}"

    def _close(self) -> None:
        for run in self._runs:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        if self._server is not None:
            self._server.remove()


def _manager_of(pid: int) -> int:
    """The manager process of the run `pid`: the child that was not told to be a worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if b"manager_process" in Path(f"/proc/{child}/cmdline").read_bytes())


def _processes(mark: str) -> Iterator[str]:
    """The command lines of the processes that have `mark` in their environment and have not ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It ends, or is another user's.
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
