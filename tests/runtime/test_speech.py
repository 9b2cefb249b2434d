"""Lines that handlers print: whole, with the hop they come from, never mixed with those of others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

from xpipe.runtime import speech
from xpipe.runtime.current import Where, current
from xpipe.runtime.speech import LONGEST, Said


class Hop:
    def __init__(self, listener: str) -> None:
        self.place = Where("conversation", "thread", listener, 1, 1)

    def where(self) -> Where:
        return self.place


@contextmanager
def heard() -> Iterator[list[Said]]:
    """All that is printed meanwhile. No fixture: pytest has streams of its own for a test and for what prepares it."""
    said: list[Said] = []
    speech.take_over(said.append)
    try:
        yield said
    finally:
        speech.give_back()


def told(said: list[Said]) -> list[tuple[str, str]]:
    return [(one.where.listener if one.where else "", one.line) for one in said]


def say(hop: Hop, text: str) -> None:
    def write() -> None:
        current.set(hop)
        sys.stdout.write(text)

    copy_context().run(write)


def test_lines_of_two_hops_do_not_mix() -> None:
    with heard() as said:
        one, two = Hop("one"), Hop("two")
        for hop, text in ((one, "a"), (two, "1"), (one, "b\nc"), (two, "2\n"), (one, "\n")):
            say(hop, text)
        assert told(said) == [("one", "ab"), ("two", "12"), ("one", "c")]


def test_the_rest_of_a_line_is_said_when_its_hop_ends() -> None:
    with heard() as said:
        one, two = Hop("one"), Hop("two")
        say(one, "begun")
        say(two, "goes on")
        speech.end(one)
        speech.end(one)
        assert told(said) == [("one", "begun")]
        speech.give_back()
        assert told(said) == [("one", "begun"), ("two", "goes on")]


def test_a_line_without_an_end_is_said_in_pieces() -> None:
    with heard() as said:
        say(Hop("one"), "x" * (LONGEST + 1))
        assert [len(line) for _, line in told(said)] == [LONGEST + 1]


def test_what_is_said_outside_of_handlers_has_no_hop() -> None:
    with heard() as said:
        sys.stdout.write("hello\n")
        sys.stderr.write("oops\n")
        assert said == [Said("hello", False, None), Said("oops", True, None)]


def test_many_threads_tear_no_line() -> None:
    with heard() as said:

        def chat(number: int) -> None:
            current.set(Hop(f"listener {number}"))
            for _ in range(200):
                print(number, number, number)  # noqa: T201

        threads = [threading.Thread(target=chat, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said) == 1_600
        assert all(line.split() == [name.removeprefix("listener ")] * 3 for name, line in told(said))


def test_the_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr
    speech.take_over(lambda _: None)
    assert speech.is_taken_over()
    speech.give_back()
    assert (sys.stdout, sys.stderr) == before
    assert not speech.is_taken_over()


def test_code_that_asks_what_stdout_is_gets_no_terminal_and_the_stream_below() -> None:
    below = sys.stdout
    with heard() as said:
        assert not sys.stdout.isatty()
        assert sys.stdout.buffer is below.buffer
        assert sys.stdout.encoding == below.encoding
        sys.stdout.flush()
    assert said == []
