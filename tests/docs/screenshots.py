"""Pictures of a terminal for the documentation, made from real runs of the command line."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from docs.pages import REPOSITORY, blocks_of

FOLDER = REPOSITORY / "docs" / "images"
COLUMNS = 100
TOUR = REPOSITORY / "docs" / "tour.md"
"""Whose organism is shown."""
_ID = re.compile(r"(?<![\da-f-])[\da-f]{8}(?:-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12})?(?![\da-f-])")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
_LOADED_FONT = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


@dataclass(frozen=True, slots=True)
class Shot:
    """The command that is shown, and those that are run before it."""

    command: str
    before: tuple[str, ...] = ()


_RUN = "xpipe run"
_CITIES = """xpipe run --no-messages --send 'forecasts={"items": [{"city": "Oslo"}, {"city": "Rome"}]}'"""
SHOTS = {
    "run": Shot(_RUN),
    "check": Shot("xpipe check wrong.yaml"),
    "graph": Shot("xpipe graph"),
    "trace": Shot("xpipe trace", (_CITIES,)),
    "threads": Shot("xpipe threads", (_RUN, _CITIES)),
}


def write(name: str) -> Path:
    """Make the picture `name`; its path."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.svg"
    file.write_text(picture(name), encoding="utf-8")
    return file


def picture(name: str) -> str:
    """The picture `name` as SVG, from a real run."""
    shot = SHOTS[name]
    with tempfile.TemporaryDirectory(prefix="xs") as folder:
        _run("xpipe init weather", folder)
        weather = Path(folder) / "weather"
        for block in blocks_of(TOUR):
            if "file" in block.promises:
                (weather / block.promises["file"]).write_text(block.text, encoding="utf-8")
        for command in shot.before:
            _run(command, weather)
        return drawn(shot.command, steady(on_terminal(shot.command, weather)))


def _run(command: str, folder: str | Path) -> None:
    subprocess.run(_shell(command), cwd=folder, env=_environment(), capture_output=True, check=True)


def on_terminal(command: str, folder: Path) -> str:
    """What `command` writes to a terminal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(_shell(command), cwd=folder, env=_environment(), stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Whoever wrote has gone.
        return b""


def _shell(command: str) -> list[str]:
    return ["bash", "-c", command]


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    dropped = ("NO_COLOR", "COLUMNS", "BACKEND")
    # With CI there is no live display, whose traces would be in the picture.
    given = {"PATH": path, "TERM": "xterm-256color", "FORCE_COLOR": "1", "CI": "1"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | given


def steady(text: str) -> str:
    """`text` with the same ids and the same time whenever it was made."""
    ids: dict[str, str] = {}
    for id in _ID.findall(text):
        ids.setdefault(id, _made_up(len(ids) + 1)[: len(id)])
    text = _ID.sub(lambda found: ids[found[0]], text)
    return _TIME.sub("2026-05-04 09:30:00.125", text)


def _made_up(number: int) -> str:
    digits = f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number * 0xC2B2AE3D27D4EB4F % 2**64:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def drawn(command: str, text: str) -> str:
    """The picture of a terminal in which `command` has written `text`, with its escape codes."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)
    console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)
    # In a repository a picture cannot load fonts from elsewhere.
    format = _LOADED_FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", _FONTS)
    return console.export_svg(title="xpipe", code_format=format, unique_id="xpipe")
