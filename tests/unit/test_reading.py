"""Passes over one input file by several runs: who takes which document, whatever happens to the cursor meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xpipe.cli.tracking import Reading
from xpipe.core.errors import UsageError, WireError
from xpipe.core.messages import Cursor
from xpipe.wire.documents import Document

NAME = "in.jsonl"
LINES = 9


class Store:
    """Keeps a cursor as a backend does."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None

    def commit(self, cursor: Cursor | None, seen: Cursor | None) -> bool:
        if cursor is not None and self.cursor != seen:
            return False
        self.cursor = cursor or self.cursor
        return True


class Run:
    """A run that takes the file in groups of up to `size` documents; `taken` are their numbers."""

    def __init__(self, store: Store, resumes: bool, lines: int = LINES) -> None:
        self.store = store
        self.reading = Reading(NAME, NAME, store.cursor, resumes)
        self.taken: list[int] = []
        self.logged: list[str] = []
        self._found = self.reading.documents(documents(lines))

    def take(self, size: int) -> None:
        pairs = [(int(one.data), at) for _, (one, at) in zip(range(size), self._found, strict=False) if at and one]  # type: ignore[union-attr]
        while group := [(number, at) for number, at in pairs if self.reading.takes(at)]:
            last = group[-1][1]
            if self.store.commit(*self.reading.move(last)):
                self.reading.moved(last)
                self.taken += [number for number, _ in group]
                return
            self.logged += filter(None, [self.reading.overtaken(self.store.cursor)])

    def take_all(self) -> None:
        for _ in range(LINES):
            self.take(1)


def documents(lines: int) -> Iterator[Document | WireError]:
    return iter([Document(b"%d" % number, "json", f"{NAME}:{number}:1") for number in range(1, lines + 1)])


ALL = list(range(1, LINES + 1))


def test_two_runs_that_resume_share_the_documents() -> None:
    store = Store()
    first, second = Run(store, resumes=True), Run(store, resumes=True)

    for run, size in ((first, 3), (second, 2), (second, 4), (first, 1), (first, 5), (second, 3), (first, 5)):
        run.take(size)

    assert sorted(first.taken + second.taken) == ALL
    assert first.taken
    assert second.taken
    assert second.logged == [f"{NAME}: another run reads this file too; each document goes to one of them"]


def test_a_run_that_resumes_continues_the_pass_of_a_run_that_still_reads() -> None:
    store = Store()
    first = Run(store, resumes=False)
    first.take(2)
    second = Run(store, resumes=True)
    second.take(3)
    first.take_all()

    assert (first.taken, second.taken) == ([1, 2, 6, 7, 8, 9], [3, 4, 5])


def test_every_run_without_resume_reads_the_whole_file() -> None:
    store = Store()
    first = Run(store, resumes=False)
    first.take(4)
    second = Run(store, resumes=False)
    second.take(4)
    first.take_all()
    second.take_all()

    assert first.taken == second.taken == ALL
    assert Run(store, resumes=True).reading.takes(Cursor(NAME, "", LINES + 1))
    assert first.logged == [f"{NAME}: another run started this file over; `--resume` will continue that one"]


def test_a_run_that_resumes_leaves_the_rest_to_a_run_that_started_over_behind_it() -> None:
    store = Store()
    Run(store, resumes=True).take(3)
    resumed, anew = Run(store, resumes=True), Run(store, resumes=False)
    resumed.take(2)
    anew.take(2)
    resumed.take_all()
    anew.take_all()

    assert (resumed.taken, anew.taken) == ([4, 5], ALL)


def test_a_run_that_resumes_joins_a_new_pass_that_is_ahead_of_it() -> None:
    store = Store()
    Run(store, resumes=True).take(1)
    resumed, anew = Run(store, resumes=True), Run(store, resumes=False)
    anew.take(3)
    resumed.take_all()
    anew.take_all()

    assert (resumed.taken, anew.taken) == ([4, 5, 6, 7, 8, 9], [1, 2, 3])


def test_a_cursor_that_was_forgotten_meanwhile_stops_nobody() -> None:
    store = Store()
    Run(store, resumes=True).take(2)
    resumed = Run(store, resumes=True)
    store.cursor = None
    resumed.take_all()

    assert resumed.taken == ALL[2:]


def test_a_cursor_of_an_earlier_version_is_continued() -> None:
    store = Store()
    Run(store, resumes=True).take(2)
    assert store.cursor is not None
    store.cursor = Cursor(NAME, store.cursor.fingerprint.rpartition(".")[2], 2)

    resumed = Run(store, resumes=True)
    resumed.take_all()

    assert resumed.taken == ALL[2:]


def test_a_winner_that_read_another_file_of_that_name_is_not_followed() -> None:
    store = Store()
    resumed = Run(store, resumes=True)
    store.cursor = Cursor(NAME, ".of another file", 2)

    with pytest.raises(UsageError, match="does not begin with the 2 documents"):
        resumed.take(4)


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize(
    "last",
    [
        Document(b'{"n": 1', "json", "in.jsonl:2:1", unterminated=True),
        WireError("in.jsonl:2:1: the input ends before this JSON value is closed", cut_off=True),
    ],
)
def test_a_document_that_is_still_being_written_does_not_count(last: Document | WireError, resumes: bool) -> None:
    reading = Reading(NAME, NAME, None, resumes)
    whole = Document(b"1", "json", "in.jsonl:1:1")

    found = list(reading.documents(iter([whole, last])))

    assert [cursor and cursor.offset for _, cursor in found] == ([1] if resumes else [1, None])
    assert reading.incomplete == ("in.jsonl:2:1" if resumes else "")


def test_a_whole_document_needs_no_line_break_behind_it() -> None:
    reading = Reading(NAME, NAME, None, resumes=True)

    found = list(reading.documents(iter([Document(b'{"n": 1}', "json", "in.jsonl:1:1", unterminated=True)])))

    assert [cursor and cursor.offset for _, cursor in found] == [1]
