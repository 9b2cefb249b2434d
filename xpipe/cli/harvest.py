"""What came out of a run: counted as it comes, and put where it is wanted, never kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from xpipe.cli.formats import Format, json_line
from xpipe.cli.outlet import Outlet
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import Fault
from xpipe.runtime.happenings import Ending, Happening, Output, Unheard

IN_MEMORY = 8 << 20


def spool() -> IO[bytes]:
    """A file without a name that reaches the disk only when it grows."""
    return cast(IO[bytes], SpooledTemporaryFile(max_size=IN_MEMORY))


def unwritable(output: Output, error: PayloadError) -> Output:
    """The fault in the place of an output that cannot be written because of `error`."""
    fault = Fault(error.code, f"the answer cannot be written: {error}", output.sender)
    return Output(output.conversation, "fault", output.sender, "Fault", fault)


class OutputStream:
    """Writes outputs to `outlet` in `format`, as they come."""

    def __init__(self, outlet: Outlet, format: Format, types: PayloadTypes) -> None:
        self.outlet = outlet
        self._format = format
        self._types = types
        self._lead = format.head

    def add(self, output: Output) -> None:
        """Write `output`. Raises PayloadError when the format cannot carry it; then nothing is written."""
        data = self._format.render(output, self._types)
        self.outlet.write(self._lead + data)
        self._lead = self._format.between

    def close(self) -> None:
        """Write the end and wait until all is written."""
        opening = self._format.head if self._lead == self._format.head else b""
        self.outlet.write(opening + self._format.tail)
        self.outlet.close()

    def discard(self) -> None:
        """Give up: a file that was to be replaced stays as it was."""
        self.outlet.discard()


class Harvest:
    """Takes what happens. `keep`: the outputs can be read again with `lines`; `stream`: they go there."""

    def __init__(self, types: PayloadTypes, keep: bool, stream: OutputStream | None) -> None:
        self.outputs = self.fault_outputs = self.unwritable = self.done = self.failed = self.cancelled = (
            self.unheard
        ) = 0
        self.first_unheard: list[Unheard] = []
        self._types = types
        self._kept = spool() if keep else None
        self._stream = stream

    def take(self, happening: Happening) -> None:
        """Note an output, the end of a conversation, or a fault that nobody was told of."""
        match happening:
            case Output():
                self._put(happening)
            case Ending(state="failed"):
                self.failed += 1
            case Ending(state="cancelled"):
                self.cancelled += 1
            case Ending():
                self.done += 1
            case Unheard():
                self.unheard += 1
                if len(self.first_unheard) < 20:
                    self.first_unheard.append(happening)

    def lines(self, most: int | None = None) -> Iterator[bytes]:
        """The kept outputs as JSON Lines, in the order in which they came; at most the first `most`."""
        if self._kept is not None:
            self._kept.seek(0)
            yield from islice(self._kept, most)

    def _put(self, output: Output) -> None:
        try:
            self._write(output)
        except PayloadError as error:
            output = unwritable(output, error)
            self._write(output)
            self.unwritable += 1
        self.outputs += 1
        self.fault_outputs += output.kind == "fault"

    def _write(self, output: Output) -> None:
        line = json_line(output, self._types) if self._kept is not None else b""
        if self._stream is not None:
            self._stream.add(output)
        if self._kept is not None:
            self._kept.write(line + b"\n")
