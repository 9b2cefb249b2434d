"""Requirements for handlers: a function of a payload and optional metadata, at module level for worker processes."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpipe.config.wording import one_line, printable
from xpipe.core.codec import is_payload_class
from xpipe.core.handlers import bind, is_async, signature_of
from xpipe.core.payloads import HandlerResponse


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong with a handler or payload class: a finding without its place."""

    code: str
    message: str
    hint: str = ""


_LISTS = (list, tuple, collections.abc.Sequence)
_SHAPE = "Write it as: async def handler(payload)."


def complain_about_handler(handler: object, name: str) -> Complaint | None:
    """What keeps `handler` from being one, or None."""
    if isinstance(handler, type):
        return Complaint("handler-class", f"{name} is a class, not a handler.", _SHAPE)
    if not callable(handler):
        kind = type(handler).__name__
        return Complaint("handler-type", f"{name} is not a function but of type {kind}.", _SHAPE)
    if _is(inspect.isasyncgenfunction, handler) or _is(inspect.isgeneratorfunction, handler):
        hint = "Return a response or a list of them instead of using yield."
        return Complaint("handler-generator", f"{name} is a generator, not a handler.", hint)
    if _lacks_its_instance(handler):
        message = f"{name} is a method; its first argument would be the payload."
        return Complaint("handler-method", message, "Name a method of an instance, or add @staticmethod.")
    try:
        bind(handler)
    except TypeError:
        signature = signature_of(handler)
        shown = "" if signature is None else f", but is {_last_name(name)}{_bare(signature)}"
        message = f"{name} must take a payload, and may take metadata{shown}."
        return Complaint("handler-signature", message, _SHAPE)
    return None


def complain_about_worker(handler: Callable[..., Any], name: str, again: object) -> Complaint | None:
    """What keeps `handler` from running in a worker process, which looks it up again and finds `again`; or None."""
    if is_async(handler):
        hint = "Write it as a plain def: it has a process for itself."
        return Complaint("cpu-bound-async", f"{name} is cpu_bound and must not be async.", hint)
    qualified = getattr(inspect.unwrap(_inner(handler)), "__qualname__", "")
    if qualified.rpartition(".")[2] == "<lambda>" or "<locals>" in qualified:
        what = "a lambda" if qualified.endswith("<lambda>") else "defined inside a function"
        message = f"{name} is cpu_bound and must be a function at the top level of its module, but is {what}."
        return Complaint("cpu-bound-local", message, "Define it with def at the top level.")
    if again is not handler and again != handler:
        message = f"{name} is cpu_bound, but a second look-up in its module gives another object."
        return Complaint("cpu-bound-local", message, "Define it with def at the top level.")
    return None


def annotated_classes(handler: Callable[..., Any]) -> tuple[type, ...] | Complaint:
    """The payload classes in the annotation of the handler's first parameter, or why there are none."""
    signature = signature_of(handler)
    first = next(iter(signature.parameters.values()), None) if signature else None
    if first is None or first.annotation is inspect.Parameter.empty:
        message = "The listener has no payload_class and its handler's first parameter no annotation."
        return Complaint("no-payload-class", message, "Add payload_class, or annotate the parameter.")
    try:
        members = _members(_resolve(first.annotation, handler))
    except Exception as error:  # evaluating an annotation runs user code
        message = f"The annotation of {first.name} cannot be resolved: {type(error).__name__}: {one_line(str(error))}."
        return Complaint("payload-annotation", message, "Add payload_class to the listener.")
    for member in members:
        if not is_payload_class(member):
            message = f"The annotation of {first.name} contains {_named(member)}, which is no dataclass or Struct."
            return Complaint("payload-annotation", message, "Annotate it with payload classes, joined by | if several.")
    return tuple(dict.fromkeys(members))


def annotated_responses(handler: Callable[..., Any]) -> tuple[type, ...] | None:
    """The classes of the payloads that `handler` sends or answers, as it is annotated; None if that does not tell."""
    signature = signature_of(handler)
    if signature is None or signature.return_annotation is inspect.Signature.empty:
        return None
    try:
        return tuple(dict.fromkeys(_payloads(_resolve(signature.return_annotation, handler))))
    except Exception:  # evaluating an annotation runs user code; what it means is not known then
        return None


def names_used(handler: Callable[..., Any]) -> set[str]:
    """The names of its module that the code of `handler` refers to."""
    names: set[str] = set()
    waiting = [getattr(inspect.unwrap(_inner(handler)), "__code__", None)]
    while waiting:
        code = waiting.pop()
        if isinstance(code, types.CodeType):
            names.update(code.co_names)
            waiting.extend(code.co_consts)
    return names


def _payloads(hint: Any) -> list[type]:
    """The payload classes in the annotation of what a handler returns. Raises ValueError where it does not tell."""
    found: list[type] = []
    for member in _members(hint):
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if origin in _LISTS and arguments:
            found += [cls for argument in arguments if argument is not Ellipsis for cls in _payloads(argument)]
        elif origin is HandlerResponse:
            found += _members(arguments[0])
        elif is_payload_class(member) and member is not HandlerResponse:
            found.append(member)
        elif member is not type(None):
            raise ValueError(f"{member} does not tell what is answered")
    if not all(is_payload_class(cls) for cls in found):
        raise ValueError(f"{hint} does not tell what is answered")
    return found


def _resolve(annotation: object, handler: Callable[..., Any]) -> Any:
    function = inspect.unwrap(_inner(handler))
    holder = types.SimpleNamespace(__annotations__={"payload": annotation})
    hints = typing.get_type_hints(holder, globalns=getattr(function, "__globals__", {}))
    return hints["payload"]


def _members(hint: Any) -> list[Any]:
    if hasattr(hint, "__value__"):  # a `type X = ...` statement
        return _members(hint.__value__)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(hint) for member in _members(part)]
    return [hint]


def _named(member: Any) -> str:
    return "None" if member is type(None) else getattr(member, "__name__", None) or str(member)


def _lacks_its_instance(handler: object) -> bool:
    if not isinstance(handler, types.FunctionType) or handler.__code__.co_varnames[:1] != ("self",):
        return False
    owner = handler.__qualname__.rpartition(".")[0]
    return bool(owner) and not owner.endswith("<locals>")


def _last_name(reference: str) -> str:
    return reference.replace(":", ".").rpartition(".")[2]


def _bare(signature: inspect.Signature) -> str:
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return printable(str(inspect.Signature(parameters)))


def _is(question: Callable[[Any], bool], handler: object) -> bool:
    return question(handler) or question(getattr(handler, "__call__", None))  # noqa: B004  # the method is what is asked for


def _inner(handler: Any) -> Any:
    """The function that `handler`, perhaps a partial, a method or a callable instance, runs."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isroutine(handler) or hasattr(handler, "__globals__"):
        return handler
    return getattr(type(handler), "__call__", handler)  # noqa: B004  # the method is what is wanted
