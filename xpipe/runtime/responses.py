"""What a handler gave back, as data: its responses encoded, or how it failed."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from xpipe.config.spaces import plain_names
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import HandlerResponse
from xpipe.core.retry import ASKED_AGAIN, REJECTED, Reject, Retry, pause_of

_NOT_THEIRS = (str(Path(__file__).parent.parent), str(Path(importlib.__file__).parent), "<frozen importlib")
"""Where the frames come from that tell a user nothing: xpipe, and Python's import system."""
MAX_TEXT = 10_000
MAX_TRACEBACK = 20_000
MAX_CAUSES = 40
MAX_NAME = 500


class Outgoing(msgspec.Struct, array_like=True, gc=False):
    """A response of a handler: its payload as bytes, and the listener it goes to, None for the caller."""

    to: str | None
    type: str
    payload: bytes


class Failure(msgspec.Struct, array_like=True, gc=False):
    """Why a handler did not end well: a fault code, a sentence, and the user's part of the traceback.

    causes: the names of the exception's classes, the nearest first; after: the pause that the handler asked for.
    """

    code: str
    text: str
    traceback: str = ""
    causes: list[str] = []
    after: float | None = None


def encode_responses(types: PayloadTypes, result: Any) -> list[Outgoing]:
    """The responses in `result`, what a handler returned. Raises PayloadError (R8, R9)."""
    if result is None:
        return []
    if type(result) is HandlerResponse:
        return [_encode(types, result)]
    if isinstance(result, list | tuple) and all(isinstance(one, HandlerResponse) for one in result):
        return [_encode(types, response) for response in result]
    if isinstance(result, HandlerResponse):
        return [_encode(types, result)]
    what = type(result).__name__
    hint = "return HandlerResponse.respond(...), HandlerResponse(..., to=NAME), a list of them, or None"
    raise PayloadError(f"the handler returned a {what}; {hint}", code="bad_response")


def _encode(types: PayloadTypes, response: HandlerResponse) -> Outgoing:
    to = response.to
    if to is not None and not isinstance(to, str):
        raise PayloadError(f"`to` is a {type(to).__name__}; name a listener", code="bad_response")
    if to is not None and not to.isascii() and to != _printable(to):
        raise PayloadError(f"`to` is {to!a}, which is no text; name a listener", code="bad_response")
    name, payload = types.encode(response.payload)
    return Outgoing(to, name, payload)


def describe(error: BaseException) -> Failure:
    """The failure that the exception `error` of a handler is."""
    if isinstance(error, PayloadError):
        return Failure(error.code, _text(error))
    if isinstance(error, Reject):
        return Failure(REJECTED, _text(error))
    if isinstance(error, Retry):
        return _asked_again(error)
    return _exception(error)


def _asked_again(error: Retry) -> Failure:
    try:
        after = None if error.after is None else pause_of(error.after)
    except Exception as wrong:  # A subclass, or whoever raised it, may have made anything of `after`.
        wrong.__cause__ = error
        return _exception(wrong)
    return Failure(ASKED_AGAIN, _text(error), after=after)


def _exception(error: BaseException) -> Failure:
    name, text = type(error).__name__, _text(error)
    causes = list(islice(_names(type(error)), MAX_CAUSES))
    return Failure("exception", _shown(f"{name}: {text}" if text else name), user_traceback(error), causes)


def _names(cls: type[BaseException]) -> Iterator[str]:
    for one in cls.__mro__:
        if issubclass(one, BaseException):
            yield from (_shown(name)[:MAX_NAME] for name in (one.__name__, f"{one.__module__}.{one.__qualname__}"))


def _printable(text: str) -> str:
    """`text` without what UTF-8 cannot carry: a file name from the operating system may hold half characters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(text: str) -> str:
    """`text` for people, as long as a text may be, with the user's modules under the names that they have in code."""
    return _printable(plain_names(text))[:MAX_TEXT]


def _text(error: BaseException) -> str:
    try:
        return _shown(str(error))
    except BaseException:  # What it raises is the user's, too.
        return "(its text cannot be shown)"


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` without the frames of xpipe itself, at most MAX_TRACEBACK characters."""
    try:
        summary = traceback.TracebackException.from_exception(error, limit=-30)
        _keep_user_frames(summary)
        return _printable(plain_names("".join(summary.format())))[-MAX_TRACEBACK:]
    except Exception:
        return ""


def _keep_user_frames(summary: traceback.TracebackException) -> None:
    """Drop our own frames, and those of the import system, from an exception and from those that led to it."""
    one: traceback.TracebackException | None = summary
    while one is not None:
        frames = [frame for frame in one.stack if not frame.filename.startswith(_NOT_THEIRS)]
        one.stack = traceback.StackSummary.from_list(frames)
        one = one.__cause__ or one.__context__
