"""The terminal: what it can show, and styles and a live display on it. The only place that knows Rich."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from xpipe.cli.layout import Column, is_too_narrow, stacked_rows, table_lines
from xpipe.cli.text import number, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, RenderableType
    from rich.text import Text

REFRESHES = 10
"""Of a live display, a second."""
_HEIGHT = 25


class Medium(NamedTuple):
    """What a stream can show. width: columns, None when nothing needs to be folded; color: styles; live: redrawing."""

    width: int | None
    color: bool
    live: bool

    @classmethod
    def of(cls, descriptor: int, environ: Mapping[str, str] = os.environ) -> Medium:
        """What file descriptor `descriptor` can show, by its nature and by what the variables ask for."""
        terminal = _is_terminal(descriptor)
        dumb = environ.get("TERM", "") in ("dumb", "unknown")
        forced = environ.get("FORCE_COLOR", "") not in ("", "0")
        color = (forced or (terminal and not dumb)) and not environ.get("NO_COLOR")
        live = terminal and not dumb and not environ.get("CI")
        return cls(_width(descriptor, environ) if terminal else None, color, live)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _width(descriptor: int, environ: Mapping[str, str]) -> int:
    asked = environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(descriptor).columns or 80
    except OSError:
        return 80


class Printer:
    """Makes text for a medium."""

    def __init__(self, medium: Medium) -> None:
        self.medium = medium

    def styled(self, text: str, style: str) -> str:
        """`text` on one line in `style`, where the medium has styles."""
        if not self.medium.color:
            return visible(text)
        from rich.text import Text

        return self._render(Text(visible(text), style=style, overflow="ignore", no_wrap=True), width=100_000)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int = 0) -> str:
        """A table, aligned; what does not fit is folded, or stands line by line. It leaves room for an `indent`."""
        width = self.medium.width and max(20, self.medium.width - indent)
        cells = [[column.title for column in columns], *([visible(cell) for cell in row] for row in rows)]
        if width is not None and is_too_narrow(columns, cells, width):
            return "\n\n".join("\n".join(lines) for lines in stacked_rows(cells, width))
        head, *body = table_lines(columns, cells, width)
        return "\n".join([*(self.styled(line, "dim") for line in head), *(line for lines in body for line in lines)])

    def _render(self, what: RenderableType, width: int) -> str:
        buffer = io.StringIO()
        _console(buffer, self.medium.color, width).print(what)
        return buffer.getvalue().rstrip("\n")


def _text(cell: str) -> Text:
    from rich.text import Text

    return Text(visible(cell), overflow="fold")


def _size(descriptor: int) -> ConsoleDimensions:
    from rich.console import ConsoleDimensions

    try:
        lines = os.get_terminal_size(descriptor).lines or _HEIGHT
    except OSError:
        lines = _HEIGHT
    return ConsoleDimensions(_width(descriptor, os.environ), lines)


def _console(file: io.TextIOBase, color: bool, width: int, live: bool = False) -> Console:
    from rich.console import Console

    return Console(
        file=file,  # type: ignore[arg-type]  # any text file will do
        force_terminal=color or live,
        color_system="auto" if color else None,
        width=width,
        height=_HEIGHT,  # With a width alone Rich takes a dumb terminal to be 80 columns wide.
        no_color=not color,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


class Bar(NamedTuple):
    """Progress towards a known total."""

    label: str
    done: int
    total: int


class Scene(NamedTuple):
    """What a live display shows: a headline, rows of cells, bars."""

    headline: str
    rows: list[tuple[str, ...]]
    bars: list[Bar]


class Live:
    """A scene on the terminal `descriptor`, drawn anew up to REFRESHES times a second, gone when it ends.

    `look` gives what to show; it is called in a thread of its own.
    """

    def __init__(self, descriptor: int, look: Callable[[], Scene]) -> None:
        from rich.live import Live as RichLive

        self._look = look
        self._descriptor = descriptor
        file = open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        medium = Medium.of(descriptor)
        self._console = _console(file, medium.color, medium.width or 80, live=True)
        self._live = RichLive(
            console=self._console,
            get_renderable=self._draw,
            transient=True,
            refresh_per_second=REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, lines: bytes) -> None:
        """Write `lines` above the scene, for good."""
        from rich.text import Text

        self._console.print(Text.from_ansi(lines.decode("utf-8", "backslashreplace")), soft_wrap=True)

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        self._console.size = _size(self._descriptor)
        scene = self._look()
        headline = Text(visible(scene.headline), overflow="ellipsis", no_wrap=True)
        return Group(headline, self._cells(scene.rows), self._bars(scene.bars))

    def _cells(self, rows: list[tuple[str, ...]]) -> RenderableType:
        from rich.table import Table

        grid = Table.grid(padding=(0, 3, 0, 0))
        for row in rows:
            grid.add_row(*map(_text, row))
        return grid

    def _bars(self, bars: list[Bar]) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        grid = Table.grid(padding=(0, 1, 0, 0))
        width = max(10, min(40, self._console.width - 40))
        for bar in bars:
            drawn = ProgressBar(bar.total, bar.done, width, style="dim", complete_style="cyan", finished_style="cyan")
            grid.add_row(_text(bar.label), drawn, _text(f"{number(bar.done)} of {number(bar.total)}"))
        return grid


def show_cursor(descriptor: int) -> None:
    """Undo what a live display does to the terminal `descriptor`, in a process that is about to end."""
    os.write(descriptor, b"\r\x1b[J\x1b[?25h")
