"""Dead letters: which there are, and what can be done about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from xpipe.core.errors import UsageError
from xpipe.core.messages import REJECTED, REQUEST, RESPONSE, SELF, UNREADABLE, DeadLetter, Injection, Message, readable
from xpipe.core.payloads import Fault
from xpipe.ports import SharedBackend
from xpipe.runtime.lease import living, serving

RETRY = "retry"
"""The name of the initiators of conversations that try a dead letter again."""
FULL = "the backend keeps as many threads as backend.max_threads allows; `xpipe gc` makes room"
_PIECE = 500
"""Dead letters dropped in one commit."""
_WORK = (REQUEST, SELF, RESPONSE)
_decode_fault = msgspec.msgpack.Decoder(Fault).decode


@dataclass(frozen=True, slots=True)
class LetterView:
    """A dead letter, its message None when it cannot be read. conversation, listener: "" where that is not known."""

    letter: DeadLetter
    message: Message | None
    fault: Fault
    conversation: str
    listener: str

    @property
    def number(self) -> int:
        """What it is called by."""
        return self.letter.number

    @property
    def obstacle(self) -> str:
        """Why it cannot be tried again, "" if it can."""
        if self.message is None:
            return f"its message cannot be read: {UNREADABLE}"
        if self.message.kind == REJECTED:
            return "it never was a message; correct its text and send it with `xpipe send` or --input"
        if self.message.kind not in _WORK:
            return f"its message is no work to be done again: it tells {self.message.to} of what has ended"
        return ""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; None or empty for all. after, before: when given up, in seconds of the epoch."""

    numbers: frozenset[int] | None = None
    listeners: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    after: float | None = None
    before: float | None = None

    @property
    def takes_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self == LetterFilter()

    def takes(self, view: LetterView) -> bool:
        """Whether it is meant."""
        at = view.letter.at
        return (
            (self.numbers is None or view.number in self.numbers)
            and (not self.listeners or view.listener in self.listeners)
            and (not self.codes or view.fault.code in self.codes)
            and (self.after is None or at >= self.after)
            and (self.before is None or at < self.before)
        )


@dataclass(frozen=True, slots=True)
class Retrial:
    """What became of trying `view` again: the conversation that does, or the problem; neither after a dry run."""

    view: LetterView
    conversation: str | None = None
    problem: str = ""


def letters(backend: SharedBackend, which: LetterFilter) -> Iterator[LetterView]:
    """The dead letters that `which` takes, by rising numbers, so the oldest first."""
    views = (_view(backend, letter) for letter in backend.dead_letters())
    return filter(which.takes, views)


def find_letter(backend: SharedBackend, number: int) -> LetterView:
    """The dead letter `number`. Raises UsageError when there is none."""
    for view in letters(backend, LetterFilter(frozenset((number,)))):
        return view
    raise UsageError(_unknown([number]))


def choose(backend: SharedBackend, which: LetterFilter) -> frozenset[int]:
    """The numbers of those that `which` takes now. Raises UsageError when one that it names is not there."""
    found = frozenset(view.number for view in letters(backend, which))
    missing = (which.numbers or frozenset()) - found
    if missing:
        raise UsageError(_unknown(sorted(missing)))
    return found


def retry(backend: SharedBackend, numbers: frozenset[int], now: float, dry_run: bool) -> Iterator[Retrial]:
    """Make each of `numbers` that can be tried again a new conversation, which takes the place of the dead letter."""
    owner = serving(backend.pumps())
    for view in letters(backend, LetterFilter(numbers)):
        if view.message is None or dry_run or view.obstacle:
            yield Retrial(view, problem=view.obstacle)
        else:
            yield _retry(backend, view, view.message, owner, now)


def drop(backend: SharedBackend, numbers: Iterable[int]) -> int:
    """Forget the dead letters of these numbers; how many there were."""
    ordered = sorted(numbers)
    return sum(backend.drop_dead(ordered[at : at + _PIECE]) for at in range(0, len(ordered), _PIECE))


def is_run(backend: SharedBackend) -> bool:
    """Whether a pump handles messages now."""
    return bool(living(backend.pumps()))


def _retry(backend: SharedBackend, view: LetterView, message: Message, pump: str, now: float) -> Retrial:
    if backend.load().full and not backend.make_room():
        return Retrial(view, problem=FULL)
    work = Injection(RETRY, [message.to], message.type, message.payload, retried_from=view.conversation)
    anew = backend.retry_dead(view.number, pump, work, now)
    return Retrial(view, anew, "" if anew else "somebody else has retried or dropped it")


def _view(backend: SharedBackend, letter: DeadLetter) -> LetterView:
    message, fault = readable(letter.message), _fault(letter.fault)
    if message is not None:
        return LetterView(letter, message, fault, message.conversation, message.to)
    for thread in backend.find_threads(letter.thread, 1) if letter.thread else ():
        if thread.thread == letter.thread:
            return LetterView(letter, None, fault, thread.conversation, thread.listener)
    return LetterView(letter, None, fault, "", "")


def _fault(data: bytes) -> Fault:
    try:
        return _decode_fault(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Fault("damaged_fault", f"what caused it cannot be read: {UNREADABLE}")


def _unknown(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return f"there is no dead letter {listed}; `xpipe dead list` shows their numbers"
