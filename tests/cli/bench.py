"""Runs the real executable on small organisms."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli.warm import Warm

HANDLERS = '''
import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from xpipe import BufferComplete, BufferStart, HandlerMetadata, HandlerResponse


@dataclass
class Ask:
    text: str = ""
    seconds: float = 0.0
    items: int = 0


@dataclass
class Told:
    text: str


async def echo(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Told(ask.text))


async def chatty(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    print("printed by chatty")
    os.write(1, b"written by chatty\\n")
    return HandlerResponse.respond(Told(ask.text))


def chatty_worker(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    print("printed by a worker", flush=True)
    os.write(1, b"written by a worker\\n")
    return HandlerResponse.respond(Told(ask.text))


async def sleeper(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    mark(ask.text)
    await asyncio.sleep(ask.seconds)
    return HandlerResponse.respond(Told("slept"))


async def waiter(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    mark(ask.text)
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    return HandlerResponse.respond(Told("waited"))


async def slow_at_first(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    if not Path(ask.text).exists():
        mark(ask.text)
        await asyncio.sleep(600)
    return HandlerResponse.respond(Told("at once"))


def busy(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    mark(ask.text)
    time.sleep(ask.seconds)
    return HandlerResponse.respond(Told("worked"))


async def blocker(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    mark(ask.text)
    time.sleep(ask.seconds)
    return HandlerResponse.respond(Told("blocked"))


def mark(name: str) -> None:
    """Tell the test that this handler runs, and in which process."""
    if name:
        draft = Path(f"{name}.draft")
        draft.write_text(str(os.getpid()))
        draft.rename(name)


async def broken(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    raise ValueError(f"cannot do {ask.text}")


async def spread(ask: Ask | BufferComplete, metadata: HandlerMetadata) -> HandlerResponse:
    if isinstance(ask, BufferComplete):
        return HandlerResponse.respond(Told(f"{ask.successful} of {ask.total}"))
    items = [Ask(seconds=ask.seconds) for _ in range(ask.items)]
    return HandlerResponse(BufferStart("busy", items), to="system.buffer")


async def forget(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse(BufferStart("broken", [Ask("this")], collect=False), to="system.buffer")
'''

NAMES = (
    *("echo", "chatty", "chatty_worker", "sleeper", "waiter", "slow_at_first"),
    *("busy", "blocker", "broken", "spread", "forget"),
)
POOLED = ("chatty_worker", "busy")


def listener(name: str) -> str:
    pooled = ", cpu_bound: true" if name in POOLED else ""
    return f"  - {{name: {name}, handler: 'handlers.py:{name}', timeout: 0{pooled}}}\n"


class Bench:
    """A folder with handlers, organisms made of them, and the executable to run them with.

    warm: forks for commands that a test waits for and whose variables are none of Python's.
    """

    def __init__(self, folder: Path, warm: Warm | None = None) -> None:
        self.folder = folder
        self._warm = warm
        (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
        self._running: list[subprocess.Popen[bytes]] = []

    def organism(self, *names: str, extra: str = "") -> Path:
        """The file of an organism with the listeners `names`."""
        file = self.folder / "organism.yaml"
        listeners = "".join(map(listener, names))
        file.write_text(f"organism: {{name: bench}}\nlisteners:\n{listeners}{extra}", encoding="utf-8")
        return file

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "xpipe", *map(str, arguments)]

    @staticmethod
    def environment(**variables: str) -> dict[str, str]:
        dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI", "TERM", "XPIPE_ORGANISM", "XPIPE_BACKEND")
        return {name: value for name, value in os.environ.items() if name not in dropped} | variables

    def start(self, *arguments: object, **settings: object) -> subprocess.Popen[bytes]:
        """The executable with `arguments`, under way, in a session of its own."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        own = {"env": self.environment(), "cwd": self.folder, "start_new_session": True, "preexec_fn": heed_signals}
        given = {**pipes, **own, **settings}
        process = subprocess.Popen(self.command(*arguments), **given)  # type: ignore[call-overload]  # mixed settings
        self._running.append(process)
        assert isinstance(process, subprocess.Popen)
        return process

    def run(self, *arguments: object, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
        """The executable with `arguments`, ended."""
        if self._warm is not None and all(map(_is_ours, variables)):
            words = list(map(str, arguments))
            run = self._warm.run(words, self.folder, self.environment(**variables), stdin)
            if run is not None:
                return run
        process = self.start(*arguments, env=self.environment(**variables))
        stdout, stderr = process.communicate(stdin, timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def _is_ours(variable: str) -> bool:
    """Whether xpipe alone reads `variable`, and when a command begins."""
    return variable in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "STATE") or variable.startswith("XPIPE_")


def heed_signals() -> None:
    """Whoever runs the tests may ignore signals, as nohup and shells in the background do; xpipe would inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for `condition`; fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def workers_of(pid: int) -> list[int]:
    """The live children of `pid`."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in children.split() if is_alive(int(child))]
