"""Ctrl-C, SIGTERM and a lost terminal: the first asks for an orderly end, the second one ends at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from xpipe.cli.errors import exit_code_of_signal
from xpipe.cli.voice import tell
from xpipe.runtime import forks

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Notices signals in a thread of its own, so that a handler that blocks the event loop cannot hold them up.

    `first` is called with the first signal, in that thread; without it the first one ends at once, too. `abandon` is
    called before that: what must not be left behind.
    """

    def __init__(self) -> None:
        self.first: Callable[[int], None] | None = None
        self.abandon: Callable[[], None] = lambda: None
        self._seen = 0
        self._listen, self._speak = socket.socketpair()
        self._speak.setblocking(False)

    def __enter__(self) -> Interrupts:
        signal.set_wakeup_fd(self._speak.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            # nohup and shells in the background ignore signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _noticed_elsewhere)
        forks.keep_signals(SIGNALS, _give_back)
        threading.Thread(target=self._watch, name="xpipe-signals", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.first = None

    def end_at_once(self, code: int, why: str) -> None:
        """Leave nothing behind and end the process."""
        # Telling may block on a full pipe.
        bound = threading.Timer(0.5, os._exit, [code])
        bound.daemon = True
        bound.start()
        self.abandon()
        tell(f"xpipe: {why}: ended at once; what was running is not finished", "error")
        os._exit(code)

    def _watch(self) -> None:
        while data := self._listen.recv(64):
            for number in data:
                if number in SIGNALS:
                    self._take(number)

    def _take(self, number: int) -> None:
        self._seen += 1
        first = self.first
        if first is None or self._seen > 1:
            self.end_at_once(exit_code_of_signal(number), signal.Signals(number).name)
        else:
            first(number)


def _give_back() -> None:
    """In a process that a handler forks: what it is sent is no signal to this one, whose socket it shares."""
    signal.set_wakeup_fd(-1)
    forks.default_signals(SIGNALS)


def _noticed_elsewhere(number: int, frame: FrameType | None) -> None:
    """A handler of our own keeps Python from raising; the wake-up descriptor tells the watching thread."""
