"""The pages of the documentation, and their fenced blocks with the promises that stand before them.

A promise is an HTML comment in the line before a block:

    file: PATH       the block is that file; it is written before the page goes on
    from: PATH       the lines of the block stand in that file of the repository, in this order
    exit: CODE       the commands end with CODE; 0 if nothing is said
    output           the block is what the commands before have printed; `...` is any lines, ids and times may differ
    needs: redis     the commands need a redis-server
    not run: REASON  the commands are not run by the tests
    test-command, run-command  those that set up a clone: .ci/run runs the first, and the second does what it does
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).parents[2]
PROMISES = {"file", "from", "exit", "output", "needs", "not run", "test-command", "run-command"}
GENERATED = {"generated", "end of generated"}
_COMMENT = re.compile(r"<!--\s*([a-z][a-z -]*?)\s*(?::\s*(.*?)\s*)?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `place` is page:line, promises are by name."""

    place: str
    language: str
    text: str
    promises: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_left_out(self) -> bool:
        """Whether its commands are not run with the page."""
        return not self.promises.keys().isdisjoint({"not run", "test-command", "run-command"})


def pages() -> list[Path]:
    """Every page that people read."""
    found = [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("organisms/*/README.md")]
    return sorted(found)


def name_of(page: Path) -> str:
    """The path of `page` in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of `page`, in order."""
    comments: list[str] = []
    for token in tokens_of(page):
        if token.type == "html_block":
            comments.append(token.content)
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            promises = dict(_COMMENT.findall("".join(comments)))
            promises = {name: said for name, said in promises.items() if name not in GENERATED}
            yield Block(f"{name_of(page)}:{line}", token.info.strip(), token.content, promises)
            comments = []
        else:
            comments = []


def tokens_of(page: Path) -> list[Token]:
    """The Markdown of `page`, parsed."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def blocks() -> Iterator[Block]:
    """Those of all pages."""
    for page in pages():
        yield from blocks_of(page)
