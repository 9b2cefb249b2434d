"""Methods in stages: what they wait for, apart from what can be done while another call is waited for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

Stages = Generator[Callable[[], Any], Any, R]
"""Yields each call that may block, gets what it returns, and returns the result."""


def in_stages(make: Callable[Concatenate[S, P], Stages[R]]) -> Callable[Concatenate[S, P], R]:
    """The method that goes through the stages that `make` makes. `stages_of` gives them to whoever can do better."""

    def method(self: S, /, *args: P.args, **options: P.kwargs) -> R:
        stages, answer = make(self, *args, **options), None
        while True:
            try:
                call = stages.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # It is what `make` returns.
            answer = call()

    method.stages = make  # type: ignore[attr-defined]  # A function takes any.
    update_wrapper(method, make)
    return method


def stages_of(method: Callable[P, R]) -> Callable[P, Stages[R]]:
    """The stages of a bound method; only one if it was not made with `in_stages`."""
    make = getattr(method, "stages", None)
    return partial(_whole, method) if make is None else partial(make, method.__self__)  # type: ignore[attr-defined]


def _whole(method: Callable[P, R], *args: P.args, **options: P.kwargs) -> Stages[R]:
    return (yield partial(method, *args, **options))  # type: ignore[no-any-return]  # It is what `method` returns.
