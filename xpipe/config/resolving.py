"""From the entry of a listener to a Listener: its handler and payload classes loaded and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpipe.config.code import CodeError, candidates, find_object, load_module, load_object, reference_to, refresh
from xpipe.config.handlers import (
    Complaint,
    annotated_classes,
    annotated_responses,
    complain_about_handler,
    complain_about_worker,
    names_used,
)
from xpipe.config.kinds import texts_in
from xpipe.config.nodes import Node, is_empty
from xpipe.config.payload_classes import complain_about_class, visible_classes
from xpipe.config.reporting import Report
from xpipe.config.retrying import retry_policy
from xpipe.config.shape import Entry
from xpipe.config.wording import one_line
from xpipe.core.handlers import is_async
from xpipe.core.organism import DEFAULT_TIMEOUT, CodeRef, Listener
from xpipe.core.payloads import SYSTEM_PAYLOADS


class Resolver:
    """Loads the code that the listeners of one file name. `types` collects the payload classes found."""

    def __init__(self, folder: str, imports: bool, report: Report) -> None:
        self.types: dict[type, CodeRef] = {}
        self._folder = folder
        self._imports = imports
        self._report = report
        self._failed: set[str] = set()
        if imports:
            refresh(folder)

    def resolve(self, entry: Entry) -> Listener | None:
        """The listener of `entry`, or None if its code cannot be used; findings say why."""
        self._check_options(entry)
        if not self._imports:
            self._check_references(entry)
            return _listener(entry, _not_loaded, ())
        given = self._given_classes(entry)
        loaded = self._find(entry.place("handler"), entry.values.get("handler"))
        if loaded is None:
            return None
        try:
            return self._examine(entry, *loaded, given)
        except Exception as error:  # user objects may raise whatever they are asked
            message = f"{entry.values['handler']} cannot be examined: {type(error).__name__}: {one_line(str(error))}."
            self._report.add(entry.place("handler"), "handler-type", message)
            return None

    def _examine(self, entry: Entry, ref: CodeRef, handler: Any, given: list[type] | None) -> Listener | None:
        if not self._check_handler(entry, ref, handler):
            return None
        self._add_visible(ref)
        accepts = self._accepted(entry, handler, given)
        answers = annotated_responses(handler)
        for cls in answers or ():
            self._add_type(cls)
        if accepts and not self._check_answers(entry, ref, handler, answers):
            return None
        return _listener(entry, handler, accepts, ref, answers) if accepts else None

    def _check_options(self, entry: Entry) -> None:
        if entry.values.get("cpu_bound") and entry.values.get("inline"):
            message = (
                "A listener cannot be both cpu_bound and inline: one runs in a worker process, the other on the loop."
            )
            self._report.add(entry.place("inline"), "cpu-bound-inline", message, "Remove one of them.")

    def _check_references(self, entry: Entry) -> None:
        texts = [(entry.place("handler"), entry.values.get("handler")), *_class_texts(entry)]
        for place, text in texts:
            try:
                if text is not None:
                    candidates(self._folder, text)
            except CodeError as error:
                self._report.add(place, error.code, error.message, error.hint)

    def _find(self, place: Node, text: str | None) -> tuple[CodeRef, Any] | None:
        if text is None:
            return None
        try:
            modules = {_module_name(ref.module) for ref in candidates(self._folder, text)}
            # A module that fails is run and reported where it is named first, not once for each name in it.
            if not modules & self._failed:
                return find_object(self._folder, text)
        except CodeError as error:
            self._report.add(place, error.code, error.message, error.hint)
            if error.module:
                self._failed.add(_module_name(error.module))
        return None

    def _check_handler(self, entry: Entry, ref: CodeRef, handler: Any) -> bool:
        place, name = entry.place("handler"), entry.values["handler"].strip()
        complaint = complain_about_handler(handler, name)
        if complaint is None and entry.values.get("cpu_bound"):
            complaint = complain_about_worker(handler, name, load_object(ref))
        if complaint is not None:
            return self._complain(place, complaint)
        if entry.values.get("inline") and is_async(handler):
            message = "inline has no effect on an async handler, which runs on the event loop anyway."
            self._report.add(entry.place("inline"), "inline-async", message, "Remove it.", "warning")
        return True

    def _given_classes(self, entry: Entry) -> list[type] | None:
        """The classes that payload_class names; None if one of them cannot be used."""
        classes: list[type] = []
        usable = "payload_class" in entry.values or "payload_class" not in entry.nodes
        for place, text in _class_texts(entry):
            loaded = self._find(place, text)
            if loaded is None or not self._check_class(place, loaded[1], text):
                usable = False
                continue
            classes.append(loaded[1])
            if loaded[1] not in SYSTEM_PAYLOADS:
                self.types.setdefault(loaded[1], loaded[0])
        return classes if usable else None

    def _accepted(self, entry: Entry, handler: Callable[..., Any], given: list[type] | None) -> tuple[type, ...]:
        annotated = annotated_classes(handler)
        if given is None:
            return ()
        if isinstance(annotated, Complaint):
            if not given:
                self._complain(entry.place("handler"), annotated)
            return tuple(dict.fromkeys(given))
        fresh = [cls for cls in annotated if cls not in given]
        usable = [self._check_class(entry.place("handler"), cls, cls.__name__) for cls in fresh]
        if not all(usable):
            return ()
        for cls in fresh:
            self._add_type(cls)
        return tuple(dict.fromkeys([*given, *fresh]))

    def _check_answers(
        self, entry: Entry, ref: CodeRef, handler: Callable[..., Any], answers: tuple[type, ...] | None
    ) -> bool:
        """Check that the handler's answers can be sent, by its annotation or else its code."""
        place = entry.place("handler")
        if answers is not None:
            usable = [self._check_class(place, cls, cls.__name__) for cls in answers]
            return all(usable)
        used = names_used(handler)
        for name, cls in visible_classes(load_module(ref)):
            complaint = complain_about_class(cls, name) if name in used else None
            if complaint is not None:
                hint = "If the handler never sends it, annotate what it returns, or -> None for nothing."
                self._report.add(place, complaint.code, complaint.message, hint, "warning")
        return True

    def _check_class(self, place: Node, cls: object, name: str) -> bool:
        complaint = complain_about_class(cls, name.strip())
        return complaint is None or self._complain(place, complaint)

    def _add_visible(self, ref: CodeRef) -> None:
        for name, cls in visible_classes(load_module(ref)):
            self.types.setdefault(cls, CodeRef(ref.folder, ref.module, name))

    def _add_type(self, cls: type) -> None:
        if cls not in self.types and cls not in SYSTEM_PAYLOADS and (ref := reference_to(cls, self._folder)):
            self.types[cls] = ref

    def _complain(self, place: Node, complaint: Complaint) -> bool:
        self._report.add(place, complaint.code, complaint.message, complaint.hint)
        return False


def _module_name(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _class_texts(entry: Entry) -> list[tuple[Node, str]]:
    node = entry.nodes.get("payload_class")
    return [] if node is None or is_empty(node) else texts_in(node)


def _listener(
    entry: Entry,
    handler: Callable[..., Any],
    accepts: tuple[type, ...],
    ref: CodeRef | None = None,
    answers: tuple[type, ...] | None = None,
) -> Listener | None:
    values = entry.values
    if "name" not in values:
        return None
    peers = values.get("peers")
    return Listener(
        name=values["name"],
        handler=handler,
        accepts=accepts,
        description=values.get("description", ""),
        agent=values.get("agent", False),
        peers=None if peers is None else frozenset(peers),
        broadcast=values.get("broadcast", False),
        cpu_bound=values.get("cpu_bound", False),
        inline=values.get("inline", False),
        timeout=values.get("timeout", DEFAULT_TIMEOUT) or None,
        concurrency=values.get("concurrency"),
        ref=ref,
        retry=retry_policy(values.get("retry")),
        answers=answers,
    )


def _not_loaded(_payload: object, _metadata: object) -> None:
    raise RuntimeError("this organism was checked without its code; load it with imports")
