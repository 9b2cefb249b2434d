"""Ctrl-C, SIGTERM and a lost terminal: the first asks for an orderly end, the second one ends at once.

A handler that holds the interpreter's lock keeps even the thread that listens from running. So each signal that is
not heard leaves the next one of its kind to the kernel, which ends the process.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from xpipe.cli.errors import exit_code_of_signal
from xpipe.cli.voice import tell
from xpipe.runtime import forks

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SA_RESETHAND = 0x80000000 if sys.platform == "linux" else 0x4


class Interrupts:
    """Notices signals in a thread of its own, so that a handler that blocks the event loop cannot hold them up.

    `first` is called with the first signal, in that thread; without it the first one ends at once, too. `abandon` is
    called before that: what must not be left behind.
    """

    def __init__(self) -> None:
        self.first: Callable[[int], None] | None = None
        self.abandon: Callable[[], None] = lambda: None
        self._seen = 0
        self._heed: dict[int, Callable[[], object]] = {}
        self._listen, self._speak = socket.socketpair()
        self._speak.setblocking(False)

    def __enter__(self) -> Interrupts:
        signal.set_wakeup_fd(self._speak.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            # nohup and shells in the background ignore signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _noticed_elsewhere)
                self._heed[number] = bool
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, _noticed_elsewhere)
            self._heed[signal.SIGTSTP] = bool
        forks.keep_signals((*SIGNALS, signal.SIGTSTP), _give_back)
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
        tell(f"xpipe: {why}: stopped at once; running handlers did not finish", "error")
        os._exit(code)

    def _watch(self) -> None:
        for number in self._heed:
            self._heed[number] = _handled_once(number)
        while data := self._listen.recv(64):
            for number in data:
                if number in self._heed:
                    self._heed[number]()
                if number == signal.SIGTSTP:
                    _stop()
                elif number in SIGNALS:
                    self._take(number)

    def _take(self, number: int) -> None:
        self._seen += 1
        first = self.first
        if first is None or self._seen > 1:
            self.end_at_once(exit_code_of_signal(number), signal.Signals(number).name)
        else:
            first(number)


def _handled_once(number: int) -> Callable[[], object]:
    """Have the signal `number` handled as now, but once: then the kernel's default holds until the result is called.

    Where the C library is not to be had it is handled always, and calling the result changes nothing.
    """
    try:
        from ctypes import CDLL, create_string_buffer

        sigaction = CDLL(None).sigaction
    except (ImportError, OSError, AttributeError, MemoryError):
        return bool
    action, other = create_string_buffer(1024), create_string_buffer(1024)  # Larger than the structure is anywhere.
    # Where in it the flags are differs between systems: there, where another flag makes a difference.
    signal.siginterrupt(number, False)
    sigaction(number, None, other)
    signal.siginterrupt(number, True)
    sigaction(number, None, action)
    differing = [at for at, (one, two) in enumerate(zip(action.raw, other.raw, strict=True)) if one != two]
    if not differing:
        return bool
    at = differing[0] // 4 * 4
    flags = int.from_bytes(action.raw[at : at + 4], sys.byteorder) | _SA_RESETHAND
    action.raw = action.raw[:at] + flags.to_bytes(4, sys.byteorder) + action.raw[at + 4 :]
    sigaction(number, action, None)
    return lambda: sigaction(number, action, None)


def _stop() -> None:
    """Stop the process as Ctrl-Z does; that nothing ran meanwhile is nobody's fault."""
    faulthandler.cancel_dump_traceback_later()
    os.kill(os.getpid(), signal.SIGSTOP)


def _give_back() -> None:
    """In a process that a handler forks: what it is sent is no signal to this one, whose socket it shares."""
    signal.set_wakeup_fd(-1)
    forks.default_signals((*SIGNALS, signal.SIGTSTP))


def _noticed_elsewhere(number: int, frame: FrameType | None) -> None:
    """A handler of our own keeps Python from raising; the wake-up descriptor tells the watching thread."""
