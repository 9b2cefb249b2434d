"""What a pump and its worker processes say to each other: frames of a length and MessagePack; data, never code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap

import msgspec

from xpipe.core.organism import CodeRef
from xpipe.runtime.responses import Failure, Outgoing


class WorkerListener(msgspec.Struct, array_like=True):
    """A CPU-bound listener as a worker knows it."""

    name: str
    handler: CodeRef
    usage_instructions: str = ""


class Setup(msgspec.Struct, array_like=True, tag="setup", tag_field="frame"):
    """The first frame to a worker: where code is found, the payload types in the pump's order, the listeners."""

    path: list[str]
    types: list[CodeRef]
    listeners: list[WorkerListener]


class Task(msgspec.Struct, array_like=True, tag="task", tag_field="frame"):
    """A message for a CPU-bound handler; `number` is the pump's own."""

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


class Release(msgspec.Struct, array_like=True, tag="release", tag_field="frame"):
    """Give back up to `count` tasks that have not begun, the last ones first."""

    count: int


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


class Released(msgspec.Struct, array_like=True, tag="released", tag_field="frame"):
    """Tasks given back."""

    numbers: list[int]


ToWorker = Setup | Task | Release | History
FromWorker = Ready | Broken | Result | Released | History

_encoder = msgspec.msgpack.Encoder()
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode


def frame(content: ToWorker | FromWorker) -> bytes:
    """`content` as one frame: its length in 4 bytes, then its MessagePack. Raises OverflowError beyond 4 GiB."""
    data = _encoder.encode(content)
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
MARK_SIZE = _MARK.size


def write_mark(mark: mmap, number: int, started: float) -> None:
    """Note that task `number` began at `started` (time.monotonic, the same clock in all processes); 0: none."""
    mark[:MARK_SIZE] = _MARK.pack(number, started)


def read_mark(mark: mmap) -> tuple[int, float]:
    """The number of the running task, or 0, and when it began."""
    while True:
        first = bytes(mark[:MARK_SIZE])
        if first == bytes(mark[:MARK_SIZE]):
            number, started = _MARK.unpack(first)
            return number, started
