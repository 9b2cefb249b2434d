"""Data on its way to stdout: it starts at once, stops when nobody reads, and is never held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xpipe.cli.formats import encode_json
from xpipe.cli.looking import SCHEMA_VERSION
from xpipe.cli.outlet import Descriptor, claim_stdout

_CHUNK = 1 << 16


class Emitter:
    """Writes to stdout, which nothing else may write to from now on. Raises WriteError."""

    def __init__(self) -> None:
        self.stdout: Descriptor = claim_stdout()

    def lines(self, lines: Iterable[str]) -> None:
        """Write text for people."""
        self._write(f"{line}\n".encode("utf-8", "backslashreplace") for line in lines)

    def jsonl(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write each row as a line of JSON."""
        self._write(encode_json(row) + b"\n" for row in rows)

    def json(self, facts: Mapping[str, Any], name: str = "", rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Write one document: `facts`, and under `name` the `rows`, one a line."""
        self._write(_document(facts, name, rows))

    def _write(self, parts: Iterable[bytes]) -> None:
        """The first part goes out as soon as it is there, the others in large pieces."""
        pending, most = bytearray(), 1
        for part in parts:
            pending += part
            if len(pending) >= most:
                self.stdout.write(bytes(pending))
                pending.clear()
                most = _CHUNK
            if self.stdout.broken:
                return
        self.stdout.write(bytes(pending))


def _document(facts: Mapping[str, Any], name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b'{\n"schema_version": %d' % SCHEMA_VERSION
    for key, value in facts.items():
        yield b",\n" + encode_json(key) + b": " + encode_json(value)
    if name:
        lead = b",\n" + encode_json(name) + b": [\n"
        empty = lead
        for row in rows:
            yield lead + encode_json(row)
            lead = b",\n"
        yield (b"\n]" if lead != empty else lead.rstrip(b"\n") + b"]")
    yield b"\n}\n"
