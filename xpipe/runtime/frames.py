"""What a pump and its worker processes say to each other: frames of a length and MessagePack; data, never code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap

import msgspec

from xpipe.core.organism import CodeRef
from xpipe.runtime.current import Where
from xpipe.runtime.responses import Failure, Outgoing
from xpipe.runtime.speech import Logged, Said


class WorkerListener(msgspec.Struct, array_like=True):
    """A CPU-bound listener as a worker knows it."""

    name: str
    handler: CodeRef
    usage_instructions: str = ""


class Setup(msgspec.Struct, array_like=True, tag="setup", tag_field="frame"):
    """The first frame to a worker: where code is found, the payload types by the pump's names, the listeners.

    prints: what handlers print is sent to the pump, too; level: the least that a record of `logging` has to be.
    """

    path: list[str]
    types: dict[str, CodeRef]
    listeners: list[WorkerListener]
    prints: bool
    level: int


class Task(msgspec.Struct, array_like=True, tag="task", tag_field="frame"):
    """A message for a CPU-bound handler. `number` is the pump's own, `place` counts what this worker was given."""

    number: int
    listener: str
    type: str
    payload: bytes
    thread: str
    sender: str
    is_self_call: bool
    message: str
    conversation: str
    attempt: int
    hop: int
    place: int = 0

    def where(self) -> Where:
        """The hop that this is."""
        return Where(self.conversation, self.thread, self.listener, self.hop, self.attempt)


class History(msgspec.Struct, array_like=True, tag="history", tag_field="frame"):
    """The recorded messages of the thread a task belongs to; empty when the worker asks for them."""

    number: int
    slots: list[bytes] = []


class Ready(msgspec.Struct, array_like=True, tag="ready", tag_field="frame"):
    """The worker has loaded the user's code."""


class Broken(msgspec.Struct, array_like=True, tag="broken", tag_field="frame"):
    """The worker cannot load the user's code."""

    text: str


class Result(msgspec.Struct, array_like=True, tag="result", tag_field="frame"):
    """How task `number` ended: with responses, or with a failure. `seconds` is the time inside the handler."""

    number: int
    responses: list[Outgoing]
    failure: Failure | None
    seconds: float


class Skipped(msgspec.Struct, array_like=True, tag="skipped", tag_field="frame"):
    """Task `number`, given as the one at `place`, was not run because the pump has taken it back."""

    number: int
    place: int


class FrameTooLarge(OverflowError):
    """More than the 4 bytes of a frame's length can count."""


ToWorker = Setup | Task | History
FromWorker = Ready | Broken | Result | Skipped | History | Said | Logged

MAX_FRAME = 0xFFFFFFFF
_encoder = msgspec.msgpack.Encoder()
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode


def frame(content: ToWorker | FromWorker) -> bytes:
    """`content` as one frame: its length in 4 bytes, then its MessagePack. Raises FrameTooLarge."""
    data = _encoder.encode(content)
    if len(data) > MAX_FRAME:
        raise FrameTooLarge
    return len(data).to_bytes(4, "big") + data


class FrameBuffer:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete now that `data` has come."""
        self._data += data
        start, end = 0, len(self._data)
        while end - start >= 4:
            stop = start + 4 + int.from_bytes(self._data[start : start + 4], "big")
            if stop > end:
                break
            yield bytes(self._data[start + 4 : stop])
            start = stop
        del self._data[:start]


_MARK = struct.Struct("<qd")
_REVOKED = struct.Struct("<q")
MARK_SIZE = _MARK.size + _REVOKED.size


def write_mark(mark: mmap, number: int, started: float) -> None:
    """Note that task `number` began at `started` (time.monotonic, the same clock in all processes); 0: none."""
    mark[: _MARK.size] = _MARK.pack(number, started)


def read_mark(mark: mmap) -> tuple[int, float]:
    """The number of the running task, or 0, and when it began."""
    while True:
        first = bytes(mark[: _MARK.size])
        if first == bytes(mark[: _MARK.size]):
            number, started = _MARK.unpack(first)
            return number, started


def write_revoked(mark: mmap, place: int) -> None:
    """Take back the tasks up to `place` that have not begun.

    Through memory, not through the connection: a handler may hold the interpreter's lock for long. The worker marks
    a task before it looks here, the pump looks at the mark after it has written here: one of them sees the other.
    """
    mark[_MARK.size : MARK_SIZE] = _REVOKED.pack(place)


def read_revoked(mark: mmap) -> int:
    """The place up to which tasks have been taken back."""
    place: int = _REVOKED.unpack_from(mark, _MARK.size)[0]
    return place
