"""The handlers of the organism, and their payloads: plain dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Note:
    """The input."""

    title: str
    text: str


@dataclass
class Text:
    """A text whose words to count."""

    text: str


@dataclass
class Counted:
    """The number of words, and the longest of them."""

    words: int
    longest: str


@dataclass
class Description:
    """The output."""

    title: str
    words: int
    longest: str


async def describe(payload: Note | Counted, metadata: HandlerMetadata) -> HandlerResponse[Text] | Description:
    """Called twice: with a note, whose text it sends to `count`, and with the answer of `count`."""
    if isinstance(payload, Note):
        return HandlerResponse(Text(payload.text), to="count")
    # The history holds the messages that this thread has received.
    note = next(slot.payload for slot in metadata.history if isinstance(slot.payload, Note))
    return Description(note.title, payload.words, payload.longest)


def count(text: Text) -> Counted:
    """A plain function runs in a thread. If it raises, the caller gets a fault instead of an answer."""
    words = text.text.split()
    if not words:
        raise ValueError("the text has no words")
    return Counted(len(words), max(words, key=len))
