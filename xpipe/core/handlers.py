"""How to call a handler: whether it returns a coroutine, and whether it takes metadata."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from inspect import Parameter
from types import FunctionType
from typing import Any


def is_async(handler: object) -> bool:
    """Whether calling `handler` returns a coroutine, as far as can be told without calling it."""
    while isinstance(handler, partial):
        handler = handler.func
    call = getattr(handler, "__call__", None)  # noqa: B004  # asks whether an instance's call is async
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def bind(handler: Callable[..., Any]) -> tuple[Callable[..., Any], bool]:
    """The function to call, and whether as `call(payload, metadata)` or as `call(payload)`.

    Raises TypeError if `handler` can be called in neither way.
    """
    if type(handler) is FunctionType and "__wrapped__" not in handler.__dict__:
        code = handler.__code__  # Most are plain functions, and a signature takes long to make.
        if not (handler.__defaults__ or code.co_kwonlyargcount or code.co_flags & inspect.CO_VARARGS):
            if code.co_argcount not in (1, 2):
                raise TypeError
            return handler, code.co_argcount == 2
    signature = signature_of(handler, follow_wrapped=False)
    passed = _passed(handler, signature) if signature is not None else True
    if passed is None:  # What its *args are handed on to decides, if it says what that is.
        meant = signature_of(handler)
        passed = _passed(handler, meant) if meant is not None else True
    if isinstance(passed, str):
        return _with_keyword(handler, passed), True
    return handler, passed is not False


def signature_of(handler: Callable[..., Any], follow_wrapped: bool = True) -> inspect.Signature | None:
    """The signature of `handler`, annotations unresolved, or None if it has none."""
    try:
        if sys.version_info >= (3, 14):
            import annotationlib

            form = annotationlib.Format.FORWARDREF
            return inspect.signature(handler, follow_wrapped=follow_wrapped, annotation_format=form)
        return inspect.signature(handler, follow_wrapped=follow_wrapped)
    except (ValueError, TypeError):
        return None


def _passed(handler: Callable[..., Any], signature: inspect.Signature) -> bool | str | None:
    """How metadata is passed: by position, not at all, by a keyword; None if *args leave it open. Raises TypeError."""
    parameters = signature.parameters.values()
    ordered = [one for one in parameters if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    others = [one for one in parameters if one.kind is Parameter.KEYWORD_ONLY]
    is_open = any(one.kind is Parameter.VAR_POSITIONAL for one in parameters)
    given = handler.keywords if isinstance(handler, partial) else {}
    keyword = next((one.name for one in others if one.name not in given and _is_for_metadata(one)), None)
    required = [one for one in ordered if one.default is Parameter.empty]
    if (
        not (ordered or is_open)
        or len(required) > 2
        or any(one.default is Parameter.empty and one.name != keyword for one in others)
    ):
        raise TypeError
    if len(required) == 2:
        return True
    if keyword is not None:
        return keyword
    if len(ordered) > 1:
        return _is_for_metadata(ordered[1])
    return None if is_open else False


def _is_for_metadata(parameter: Parameter) -> bool:
    """Whether an optional parameter is for the metadata."""
    if parameter.name in ("metadata", "_metadata"):
        return True
    if parameter.annotation is not Parameter.empty:
        return "HandlerMetadata" in str(parameter.annotation)
    return parameter.default is None


def _with_keyword(handler: Callable[..., Any], name: str) -> Callable[..., Any]:
    return lambda payload, metadata: handler(payload, **{name: metadata})
