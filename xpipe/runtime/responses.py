"""What a handler gave back, as data: its responses encoded, or how it failed."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from xpipe.core.codec import PayloadTypes, is_payload_class
from xpipe.core.errors import PayloadError
from xpipe.core.module_names import plain_names
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, HandlerResponse, SequenceStart
from xpipe.core.retry import ASKED_AGAIN, REJECTED, Reject, Retry, pause_of
from xpipe.core.secrets import redacted

_NOT_THEIRS = (str(Path(__file__).parent.parent), str(Path(importlib.__file__).parent), "<frozen importlib")
"""Where the frames come from that tell a user nothing: xpipe, and Python's import system."""
_STARTED_BY = {BufferStart: BUFFER, SequenceStart: SEQUENCE}
"""Payloads that start a Buffer or a Sequence, with their targets: they are never answers."""
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
    """The responses in `result`, the return value of a handler. Raises PayloadError (R8, R9, R15)."""
    if result is None:
        return []
    if type(result) is HandlerResponse:
        return [_encode(types, result)]
    if not isinstance(result, list | tuple) or type(result) in types:
        return [_encode_one(types, result, "")]
    responses = [_encode_one(types, one, "a list with ") for one in result]
    if sum(one.to is None for one in responses) > 1 and not all(isinstance(one, HandlerResponse) for one in result):
        raise _bad_response("a list with several answers, but a call gets one")
    return responses


def _encode_one(types: PayloadTypes, result: Any, lead: str) -> Outgoing:
    if isinstance(result, HandlerResponse):
        return _encode(types, result)
    cls = type(result)
    if isinstance(result, type):
        raise _bad_response(f"{lead}the class {result.__name__} instead of an instance of it")
    if cls not in types and not is_payload_class(cls):
        raise _bad_response(f"{lead}{'an' if cls.__name__[:1].lower() in 'aeiou' else 'a'} {cls.__name__}")
    return Outgoing(_STARTED_BY.get(cls), *types.encode(result))


def _bad_response(what: str) -> PayloadError:
    hint = "return a payload, HandlerResponse(payload, to=NAME), a list of them, or None"
    return PayloadError(f"the handler returned {what}; {hint}", code="bad_response")


def _encode(types: PayloadTypes, response: HandlerResponse) -> Outgoing:
    to = response.to
    if to is not None and not isinstance(to, str):
        raise PayloadError(f"`to` is a {type(to).__name__}; name a listener", code="bad_response")
    if to is not None and not to.isascii() and to != exact(to):
        raise PayloadError(f"`to` is {to!a}, which is no text; name a listener", code="bad_response")
    name, payload = types.encode(response.payload)
    return Outgoing(to, name, payload)


def describe(error: BaseException) -> Failure:
    """The failure for the exception `error` of a handler. Never raises, even if its attributes do."""
    cls = type(error)  # `isinstance` may ask `error` for its class.
    try:
        if issubclass(cls, PayloadError):
            return Failure(exact(error.code), _text(error))  # type: ignore[attr-defined]
        if issubclass(cls, Reject):
            return Failure(REJECTED, _text(error))
        if issubclass(cls, Retry):
            after = error.after  # type: ignore[attr-defined]
            return Failure(ASKED_AGAIN, _text(error), after=None if after is None else pause_of(after))
    except BaseException as wrong:  # A subclass, or whoever raised it, may have made anything of its attributes.
        BaseException.__dict__["__cause__"].__set__(wrong, error)
        return _exception(wrong)
    return _exception(error)


def _exception(error: BaseException) -> Failure:
    causes = list(islice(_names(type(error)), MAX_CAUSES))
    return Failure("exception", _shown(_named(error)), user_traceback(error), causes)


def _named(error: BaseException) -> str:
    name, text = _class_names(type(error))[0], _text(error)
    return f"{name}: {text}" if text else name


def _names(cls: type[BaseException]) -> Iterator[str]:
    for one in type.__dict__["__mro__"].__get__(cls):
        if issubclass(one, BaseException):
            yield from (_shown(name)[:MAX_NAME] for name in _class_names(one))


def _class_names(cls: type) -> tuple[str, str]:
    """The short and full name of `cls`, whatever its metaclass says."""
    name, qualified, module = (type.__dict__[key].__get__(cls) for key in ("__name__", "__qualname__", "__module__"))
    return name, f"{module if isinstance(module, str) else '?'}.{qualified}"


def exact(text: str) -> str:
    """`text` as a plain str that UTF-8 can carry: a file name from the operating system may hold half characters.

    Of a class derived from str no method is called.
    """
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def _shown(text: str) -> str:
    """`text` for people: bounded, without credentials, with plain module names."""
    return redacted(plain_names(exact(str.__getitem__(text, slice(2 * MAX_TEXT)))))[:MAX_TEXT]


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
        return redacted(plain_names(exact("".join(summary.format()))))[-MAX_TRACEBACK:]
    except BaseException:  # Its causes, its notes, whatever belongs to it.
        return _bare_traceback(error)


def _bare_traceback(error: BaseException) -> str:
    """The frames alone, read past what the class of `error` makes of its attributes."""
    trace = BaseException.__dict__["__traceback__"].__get__(error)
    frames = [one for one in traceback.extract_tb(trace, limit=-30) if not one.filename.startswith(_NOT_THEIRS)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames), f"{_named(error)}\n"]
    return redacted(plain_names(exact("".join(lines))))[-MAX_TRACEBACK:]


def _keep_user_frames(summary: traceback.TracebackException) -> None:
    """Drop our own frames, and those of the import system, from an exception and from those that led to it."""
    one: traceback.TracebackException | None = summary
    while one is not None:
        frames = [frame for frame in one.stack if not frame.filename.startswith(_NOT_THEIRS)]
        one.stack = traceback.StackSummary.from_list(frames)
        one = one.__cause__ or one.__context__
