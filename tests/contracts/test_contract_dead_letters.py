"""Messages given up on: what is kept of them, and for how long."""

from __future__ import annotations

import pytest
from contract_kit import FAULT_BYTES, NOW, Driver, answer, answered, done, failed, payload

from xpipe.core.messages import Claim, DeadLetter, Injection, Step
from xpipe.ledger.memory import MAX_DEAD_LETTERS


def give_up(drive: Driver, to: str = "a") -> Claim:
    """Claim what is ready for `to`, and fail."""
    claim = drive.claim(to)
    drive.commit(failed(claim))
    return claim


def test_a_dead_letter_tells_what_was_given_up_when_and_why(drive: Driver) -> None:
    drive.inject("a")
    drive.now += 7.5

    claim = give_up(drive)

    [letter] = drive.backend.dead_letters()
    assert letter == DeadLetter(claim.message, FAULT_BYTES, True, claim.thread, 1, NOW + 7.5, letter.number)
    assert drive.backend.totals().dead_letters == 1


def test_a_dead_letter_counts_the_attempts_at_its_message(drive: Driver) -> None:
    drive.inject("a")
    for attempt in (2, 3):
        claim = drive.claim()
        drive.commit(Step(claim.thread, claim.fence, again=attempt))

    give_up(drive)

    assert [letter.attempts for letter in drive.backend.dead_letters()] == [3]


def test_a_dead_letter_keeps_the_number_of_attempts_that_its_step_tells(drive: Driver) -> None:
    drive.inject("a")
    step = failed(drive.claim())
    assert step.dead is not None
    step.dead.attempts = 7

    drive.commit(step)

    assert [letter.attempts for letter in drive.backend.dead_letters()] == [7]


def test_dead_letters_are_listed_oldest_first_by_rising_numbers(drive: Driver) -> None:
    ids = drive.inject_many(4)
    one, two, three, four = drive.advance().claims
    drive.commit(failed(three), failed(one))
    drive.commit(failed(four))
    drive.commit(failed(two))

    letters = list(drive.backend.dead_letters())

    conversations = {one.thread: one.conversation for one in drive.backend.threads()}
    assert [ids.index(conversations[letter.thread]) for letter in letters] == [2, 0, 3, 1]
    numbers = [letter.number for letter in letters]
    assert numbers == sorted(set(numbers))


def test_dead_letters_stay_when_their_conversation_is_forgotten(drive: Driver) -> None:
    id = drive.inject("a")
    claim = give_up(drive)

    assert drive.backend.forget(id)

    assert [letter.thread for letter in drive.backend.dead_letters()] == [claim.thread]


def test_K1_dead_letters_from_before_a_time_are_dropped(drive: Driver) -> None:
    drive.inject_many(4)
    threads = []
    for claim in drive.advance().claims:
        drive.now += 1
        drive.commit(failed(claim))
        threads.append(claim.thread)

    assert drive.backend.drop_dead_letters(NOW + 1) == 0
    assert drive.backend.drop_dead_letters(NOW + 3) == 2

    assert [letter.thread for letter in drive.backend.dead_letters()] == threads[2:]
    assert drive.backend.totals().dead_letters == 2
    assert drive.backend.drop_dead_letters(NOW + 3) == 0


def test_numbers_of_dropped_dead_letters_are_not_used_again(drive: Driver) -> None:
    numbers = []
    for _ in range(3):
        drive.inject("a")
        give_up(drive)
        [letter] = drive.backend.dead_letters()
        numbers.append(letter.number)
        assert drive.backend.drop_dead_letters(drive.now + 1) == 1

    assert numbers == sorted(set(numbers))


def test_a_fault_of_an_item_that_nobody_collects_is_a_dead_letter_of_its_thread(drive: Driver) -> None:
    # given: a Buffer that does not collect, and an item that answers with a fault of its own
    drive.inject("buffer")
    claim = drive.claim("buffer")
    join = drive.join(claim, 1, collect=False)
    drive.commit(answered(claim, join=join, sends=[drive.send(claim, "b", "0.b", 0)]))
    item = drive.claim("b")
    reply = answer(item, FAULT_BYTES, fault=True)
    drive.now += 1

    drive.commit(done(item, call="", answer=reply, ends=True, failed=True))

    [letter] = drive.backend.dead_letters()
    assert letter == DeadLetter(reply.message, FAULT_BYTES, False, item.thread, 1, NOW + 1, letter.number)
    assert payload(letter.message) == FAULT_BYTES


def test_dead_letters_are_dropped_by_their_numbers(drive: Driver) -> None:
    drive.inject_many(3)
    drive.commit(*map(failed, drive.advance().claims))
    first, second, third = (letter.number for letter in drive.backend.dead_letters())

    assert drive.backend.drop_dead([first, third, 999]) == 2

    assert [letter.number for letter in drive.backend.dead_letters()] == [second]
    assert drive.backend.totals().dead_letters == 1


def test_a_dead_letter_is_retried_once_by_a_conversation_that_tells_where_it_comes_from(drive: Driver) -> None:
    id = drive.inject("a")
    give_up(drive)
    [letter] = drive.backend.dead_letters()
    injection = Injection("retry", ["a"], "Ping", b"in", retried_from=id)

    anew = drive.backend.retry_dead(letter.number, drive.pump, injection, drive.now)

    assert anew is not None
    assert drive.record(anew).retried_from == id
    assert drive.record(id).retried_from == ""
    assert list(drive.backend.dead_letters()) == []
    assert payload(drive.claim().message) == b"in"
    assert drive.backend.retry_dead(letter.number, drive.pump, injection, drive.now) is None
    assert drive.backend.totals().conversations == 2


def bury(drive: Driver, how_many: int) -> list[str]:
    """Give up so many messages one after the other; their threads."""
    drive.inject_many(how_many)
    threads = []
    while claims := drive.advance().claims:
        drive.commit(*map(failed, claims))
        threads += [claim.thread for claim in claims]
    return threads


@pytest.mark.slow
def test_the_oldest_of_too_many_dead_letters_are_dropped(drive: Driver) -> None:
    threads = bury(drive, MAX_DEAD_LETTERS + 2)

    assert [letter.thread for letter in drive.backend.dead_letters()] == threads[2:]
    assert drive.backend.totals().dead_letters == MAX_DEAD_LETTERS
