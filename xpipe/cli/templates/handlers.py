"""The handlers of the organism, and the payloads that they exchange: plain dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Note:
    """What comes in."""

    title: str
    text: str


@dataclass
class Text:
    """Words that are to be counted."""

    text: str


@dataclass
class Counted:
    """How many words there were, and the longest of them."""

    words: int
    longest: str


@dataclass
class Description:
    """What goes out."""

    title: str
    words: int
    longest: str


async def describe(payload: Note | Counted, metadata: HandlerMetadata) -> HandlerResponse[Text] | Description:
    """Called twice: with the note, whose text goes on to `count`, and with what `count` has answered."""
    if isinstance(payload, Note):
        return HandlerResponse(Text(payload.text), to="count")
    # What this thread has received before is in its history.
    note = next(slot.payload for slot in metadata.history if isinstance(slot.payload, Note))
    return Description(note.title, payload.words, payload.longest)


def count(text: Text) -> Counted:
    """A plain function runs in a thread. What it raises is a fault, which goes to the caller instead of an answer."""
    words = text.text.split()
    if not words:
        raise ValueError("a text without words cannot be counted")
    return Counted(len(words), max(words, key=len))
