"""Tracks the position in an input file in the backend, so that no two runs with --resume read a document twice."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator

import msgspec

from xpipe.core.errors import UsageError, WireError
from xpipe.core.messages import Cursor
from xpipe.wire.documents import Document

Found = tuple[Document | WireError, Cursor | None]
"""A document, and the cursor behind it; None for one that the file does not hold completely yet."""


def source_name(path: str) -> str | None:
    """The name under which a backend keeps how far `path` has been read; None for what cannot be read again."""
    if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
        return None
    return os.path.realpath(path)


class Reading:
    """One pass of this run over the file `path`.

    A run that resumes continues the pass whose cursor `seen` the backend keeps, with any other runs that do the same.
    Any other run begins a pass of its own at the start of the file. A mark at the head of their fingerprints tells the
    cursors of passes apart. incomplete: the place of a document that is still being written, "" for none.
    """

    def __init__(self, path: str, name: str, seen: Cursor | None, resumes: bool) -> None:
        self.path = path
        self.incomplete = ""
        self._name = name
        self._seen = seen
        self._resumes = resumes
        self._begun = resumes
        self._keeps_cursor = True
        self._leaves_rest = False
        self._told = False
        self._mark, self._print, self._place = _parts(seen) if resumes else (secrets.token_hex(4), "", 0)

    def documents(self, documents: Iterator[Document | WireError]) -> Iterator[Found]:
        """Each document that no earlier run has read, with the unmarked cursor behind it.

        Raises UsageError when the file does not begin with the documents that earlier runs read.
        """
        offset, skipped, seen = 0, self._place, self._print
        fingerprint = hashlib.blake2b(digest_size=16)
        for document in documents:
            if _is_incomplete(document):
                if self._resumes:
                    self.incomplete = document.where
                    break
                yield document, None
                continue
            offset += 1
            data = document.data if isinstance(document, Document) else b""
            fingerprint.update(b"%d:%b" % (len(data), data))
            if offset > skipped:
                yield document, Cursor(self._name, fingerprint.hexdigest(), offset)
            elif offset == skipped and fingerprint.hexdigest() != seen:
                raise self._changed(skipped)
        if offset < skipped:
            raise self._changed(skipped)

    def takes(self, cursor: Cursor) -> bool:
        """Whether this run takes the document before `cursor`. Raises UsageError when the file has changed."""
        if cursor.offset == self._place and cursor.fingerprint != self._print:
            raise self._changed(cursor.offset)
        return cursor.offset > self._place and not self._leaves_rest

    def move(self, cursor: Cursor) -> tuple[Cursor | None, Cursor | None]:
        """The cursor that a commit up to the unmarked `cursor` keeps, and the one that it expects."""
        if not self._keeps_cursor:
            return None, None
        return Cursor(self._name, f"{self._mark}.{cursor.fingerprint}", cursor.offset), self._seen

    def moved(self, cursor: Cursor) -> None:
        """The commit up to the unmarked `cursor` is made."""
        if self._keeps_cursor:
            self._seen, self._begun = self.move(cursor)[0], True
        self._print, self._place = cursor.fingerprint, cursor.offset

    def overtaken(self, current: Cursor | None) -> str:
        """The commit was refused: another run has moved the cursor to `current`. What to log, "" if nothing."""
        self._seen = current
        mark, print_, place = _parts(current)
        if current is None or not self._begun:
            return ""  # Nobody reads it, or this run begins a pass of its own.
        if mark == self._mark or (self._resumes and place >= self._place):
            self._mark, self._print, self._place = mark, print_, place
            return self._once("another run reads this file too; each document goes to one of them")
        if not self._resumes:
            self._keeps_cursor = False
            return self._once("another run started this file over; `--resume` will continue that one")
        self._leaves_rest = True
        return self._once("another run started this file over; leaving the rest to it")

    def _once(self, text: str) -> str:
        told, self._told = self._told, True
        return "" if told else f"{self.path}: {text}"

    def _changed(self, documents: int) -> UsageError:
        return UsageError(
            f"--resume --input {self.path}: it does not begin with the {documents} documents that earlier runs read "
            "from it; put that file back, and send corrected lines in a file of their own; "
            "or run without --resume to read the file from the start"
        )


def _parts(cursor: Cursor | None) -> tuple[str, str, int]:
    """Mark, fingerprint and offset of a cursor; earlier versions wrote no mark."""
    mark, _, fingerprint = (cursor.fingerprint if cursor else "").rpartition(".")
    return mark, fingerprint, cursor.offset if cursor else 0


def _is_incomplete(document: Document | WireError) -> bool:
    """Whether the file ends before `document` does: it may still be being written."""
    if isinstance(document, WireError):
        return document.cut_off
    return document.unterminated and not _is_json(document.data)


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return False
    except RecursionError:
        return True
    return True
