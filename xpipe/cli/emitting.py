"""Data on its way to stdout: it starts at once, stops when nobody reads, and is never held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from xpipe.cli.formats import SCHEMA_VERSION, encode_json
from xpipe.cli.outlet import Descriptor, claim_stdout

_CHUNK = 1 << 16


class Emitter:
    """Writes to stdout, which nothing else may write to from now on. Raises WriteError."""

    def __init__(self, stdout: Descriptor | None = None) -> None:
        self.stdout: Descriptor = stdout or claim_stdout()

    def lines(self, lines: Iterable[str], at_once: bool = False) -> None:
        """Write text for people; with `at_once` each line as soon as it is there."""
        self._write((f"{line}\n".encode("utf-8", "backslashreplace") for line in lines), at_once)

    def jsonl(self, rows: Iterable[Mapping[str, object]], at_once: bool = False) -> None:
        """Write each row as a line of JSON; with `at_once` as soon as it is there."""
        self._write((encode_json({"schema_version": SCHEMA_VERSION, **row}) + b"\n" for row in rows), at_once)

    def json(self, facts: Mapping[str, object], name: str = "", rows: Iterable[Mapping[str, object]] = ()) -> None:
        """Write one document: `facts`, and under `name` the `rows`, one a line."""
        self._write(_document(facts, name, rows))

    def _write(self, parts: Iterable[bytes], at_once: bool = False) -> None:
        """The first part goes out as soon as it is there, the others in large pieces, or `at_once` as well."""
        pending, most = bytearray(), 1
        for part in parts:
            pending += part
            if len(pending) >= most:
                self.stdout.write(bytes(pending))
                pending.clear()
                most = 1 if at_once else _CHUNK
            if self.stdout.broken:
                return
        self.stdout.write(bytes(pending))


def _document(facts: Mapping[str, object], name: str, rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
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
