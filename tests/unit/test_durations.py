"""Durations for people."""

from __future__ import annotations

import pytest

from xpipe.core.durations import format_duration, parse_duration, shortest_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.000_000_9, "<0.01 ms"),
        (0.000_058_9, "0.06 ms"),
        (0.000_334, "0.33 ms"),
        (0.000_999, "1.0 ms"),
        (0.003_44, "3.4 ms"),
        (0.009_97, "10 ms"),
        (0.0116, "12 ms"),
        (0.25, "250 ms"),
        (0.8, "800 ms"),
        (0.9996, "1 s"),
        (1.238, "1.2 s"),
        (30.0, "30 s"),
        (59.97, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (7_260.0, "2 h 1 min"),
    ],
)
def test_a_duration_has_the_digits_that_people_can_use(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "value", [None, True, [], {}, b"5s", -1, float("nan"), float("inf"), "", "s", "-5s", "5 weeks"]
)
def test_an_invalid_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds, or a number with a unit such as 250ms"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(90.0, "90s"), (300.0, "5m"), (0.25, "250ms"), (0.0001, "0.0001s"), (2.5e-07, "0.00000025")]
)
def test_the_shortest_form_of_a_duration_is_read_as_the_same_seconds(seconds: float, text: str) -> None:
    shortest = shortest_duration(seconds)

    assert shortest.startswith(text)
    assert parse_duration(shortest) == seconds
