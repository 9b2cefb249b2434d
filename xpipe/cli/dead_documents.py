"""What `xpipe dead` prints for programs, as types; see `documents`."""

from __future__ import annotations

from typing import TypedDict

from xpipe.cli.documents import FaultRow, From, Payload, Problem, SlotKind, Time, Version


class LetterRow(From):
    """A message given up on. told: somebody has got its fault."""

    number: int
    conversation: str
    thread: str
    listener: str
    kind: SlotKind
    type: str
    payload: Payload
    problem: Problem
    attempts: int
    given_up: Time | None
    told: bool
    fault: FaultRow


class LettersDocument(TypedDict):
    """Dead letters, the oldest first."""

    schema_version: Version
    dead_letters: list[LetterRow]


class LetterDocument(TypedDict):
    """One dead letter."""

    schema_version: Version
    dead_letter: LetterRow


class LetterKey(TypedDict):
    """Which dead letter is meant."""

    number: int
    conversation: str
    listener: str
    code: str


class RetryRow(LetterKey):
    """retried_as: the conversation that tries it again; problem: why there is none and cannot be one."""

    retried_as: str | None
    problem: str | None


class DropDocument(TypedDict):
    """Dead letters that were dropped, or with dry_run would be."""

    schema_version: Version
    dry_run: bool
    dead_letters: list[LetterKey]


class RetryDocument(TypedDict):
    """Dead letters that were retried, or with dry_run would be."""

    schema_version: Version
    dry_run: bool
    dead_letters: list[RetryRow]


class DropRecord(LetterKey):
    """A dead letter that was dropped, or with dry_run would be."""

    dry_run: bool


class RetryRecord(RetryRow):
    """A dead letter that was retried, or with dry_run would be."""

    dry_run: bool
