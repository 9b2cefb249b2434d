"""From a path to the text of the file."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from xpipe.config.reporting import Report, Unreadable
from xpipe.config.wording import did_you_mean
from xpipe.core.errors import reason_of

MAX_BYTES = 8 * 1024 * 1024
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_source(path: str | Path, report: Report) -> str:
    """The text of the file at `path`, at most 8 MiB of UTF-8. Raises Unreadable."""
    content = _read_bytes(path, report)
    if len(content) > MAX_BYTES:
        hint = "Keep large input in a file of its own and give it with --input."
        raise report.unreadable(1, 1, "file-too-large", "The file is larger than 8 MiB.", hint)
    text = _decode(content.removeprefix(b"\xef\xbb\xbf"), report)
    if bad := _FORBIDDEN.search(text):
        line, column = _position(text[: bad.start()])
        message = f"The character U+{ord(bad[0]):04X} is not allowed in YAML."
        raise report.unreadable(line, column, "file-characters", message, "Write it as an escape in double quotes.")
    return text


def _read_bytes(path: str | Path, report: Report) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            content = file.read(MAX_BYTES + 1)
            is_fifo = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError) as error:
        raise _cannot_open(path, error, report) from None
    if is_fifo and not content:
        message = "This is a FIFO, and nothing is written to it."
        raise report.unreadable(1, 1, "file-unreadable", message, "Give the path of a YAML file.")
    return content


def _open_at_once(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK)  # Else the open of a FIFO waits for a writer.
    os.set_blocking(handle, True)
    return handle


def _cannot_open(path: str | Path, error: OSError | ValueError, report: Report) -> Unreadable:
    if isinstance(error, FileNotFoundError):
        return report.unreadable(1, 1, "file-missing", "There is no such file.", _nearby(path))
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        message = "This is a folder, not a file."
        return report.unreadable(1, 1, "file-folder", message, "Give the path of the YAML file in it.")
    hint = "Give yourself read access to it." if isinstance(error, PermissionError) else "Check the path."
    return report.unreadable(1, 1, "file-unreadable", f"The file cannot be read: {reason_of(error)}.", hint)


def _nearby(path: str | Path) -> str:
    try:
        names = [one.name for one in Path(path).parent.iterdir() if one.suffix in (".yaml", ".yml")]
    except OSError:
        names = []
    return did_you_mean(Path(path).name, names) or "Check the path."


def _decode(content: bytes, report: Report) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode("utf-8"))
        message = f"The file is not UTF-8 text: byte 0x{content[error.start]:02X} cannot be decoded."
        raise report.unreadable(line, column, "file-encoding", message, "Save it as UTF-8.") from None


def _position(before: str) -> tuple[int, int]:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1
