"""Methods in stages are methods to whoever just calls them."""

from __future__ import annotations

import pytest

from xpipe.core.stages import Stages, in_stages, stages_of


class Adder:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def ask(self, number: int) -> int:
        self.asked.append(number)
        return number

    @in_stages
    def add(self, one: int, other: int = 0) -> Stages[int]:
        """The sum."""
        first = yield lambda: self.ask(one)
        if other < 0:
            raise ValueError(other)
        return first + (yield lambda: self.ask(other))


def test_a_method_in_stages_makes_its_calls_in_order_and_returns_the_result() -> None:
    adder = Adder()
    assert (adder.add(1, other=2), adder.asked) == (3, [1, 2])
    assert (Adder.add.__name__, Adder.add.__doc__) == ("add", "The sum.")


def test_what_a_method_in_stages_raises_comes_out() -> None:
    with pytest.raises(ValueError, match="-1"):
        Adder().add(1, -1)


def go_through(stages: Stages[int], adder: Adder) -> tuple[int, list[int]]:
    """The result, and what the calls returned; none of them was made before its turn."""
    answer, made = None, list[int]()
    try:
        while True:
            call = stages.send(answer)
            assert adder.asked == made
            answer = call()
            made.append(answer)
    except StopIteration as end:
        return end.value, made


@pytest.mark.parametrize(("name", "calls"), [("add", [1, 0]), ("ask", [1])])
def test_the_stages_wait_for_who_makes_their_calls(name: str, calls: list[int]) -> None:
    adder = Adder()
    assert go_through(stages_of(getattr(adder, name))(1), adder) == (1, calls)
