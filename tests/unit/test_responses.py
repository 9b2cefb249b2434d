"""What is told of a handler that failed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import xpipe
from xpipe import HandlerResponse, Reject, Retry
from xpipe.config.code import load_object
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.organism import CodeRef
from xpipe.core.payloads import Fault
from xpipe.runtime.frames import Result, decode_from_worker, frame
from xpipe.runtime.responses import MAX_TEXT, MAX_TRACEBACK, Failure, describe, encode_responses


def test_frames_of_xpipe_are_left_out_of_every_exception_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def fail():\n    raise KeyError('deep')\nfail()\n")
    try:
        load_object(CodeRef(str(tmp_path), "broken.py", "anything"))
    except Exception as error:
        told = describe(error).traceback

    assert "broken.py" in told
    assert "KeyError: 'deep'" in told
    assert str(Path(xpipe.__file__).parent) not in told
    assert "importlib" not in told


def test_modules_of_the_user_have_the_names_that_they_have_in_code(tmp_path: Path) -> None:
    code = "class Broken(OSError):\n    pass\ndef fail():\n    raise Broken(Broken.__module__)\n"
    (tmp_path / "handlers.py").write_text(code)
    fail: Any = load_object(CodeRef(str(tmp_path), "handlers.py", "fail"))
    with pytest.raises(OSError) as caught:
        fail()

    told = describe(caught.value)

    assert told.causes[:4] == ["Broken", "handlers.Broken", "OSError", "builtins.OSError"]
    assert told.text == "Broken: handlers"
    assert told.traceback.endswith("\nhandlers.Broken: handlers\n")


NO_NUMBER = "the after of a Retry is a {}; give a number of seconds, or a timedelta"
NO_PAUSE = "the after of a Retry is not from 0 to 36,500 days; give the seconds until the next attempt"
WRONG: list[tuple[Any, str]] = [
    ("5", f"TypeError: {NO_NUMBER.format('str')}"),
    (True, f"TypeError: {NO_NUMBER.format('bool')}"),
    *(
        (wrong, f"ValueError: {NO_PAUSE}")
        for wrong in (float("-inf"), float("nan"), float("inf"), 1e300, 10**30, 10**5000)
    ),
    (timedelta(days=36_501), f"ValueError: {NO_PAUSE}"),
]


@pytest.mark.parametrize(("after", "text"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_no_pause_is_an_error_of_the_handler_that_asks_for_it(after: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        Retry(after=after)
    assert describe(raised.value).text == text


@pytest.mark.parametrize(("after", "text"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_made_no_pause_later_is_the_same_error_from_a_worker_too(after: Any, text: str) -> None:
    asked = Retry("busy")
    asked.after = after

    told = describe(asked)

    assert (told.code, told.text, told.after) == ("exception", text, None)
    assert "Retry: busy" in told.traceback
    decode_from_worker(frame(Result(1, [], told, 0.0))[4:])


@pytest.mark.parametrize(("after", "seconds"), [(None, None), (0, 0.0), (2.5, 2.5), (timedelta(minutes=1), 60.0)])
def test_a_pause_is_seconds_or_a_timedelta(after: Any, seconds: float | None) -> None:
    assert describe(Retry("busy", after=after)) == Failure("retries_exhausted", "busy", after=seconds)


@pytest.mark.parametrize("kind", [Retry, Reject, Exception])
def test_an_exception_whose_text_cannot_be_told_is_told_without(kind: type[Exception]) -> None:
    mute = type("Mute", (kind,), {"__str__": lambda _: 1 / 0})

    assert describe(mute()).text.endswith("(its text cannot be shown)")


def test_a_target_that_no_text_can_hold_is_a_bad_response() -> None:
    response = HandlerResponse(Fault("code", "text"), to="half \ud800")

    with pytest.raises(PayloadError, match=r"`to` is 'half .*ud800', which is no text; name a listener") as caught:
        encode_responses(PayloadTypes([]), response)

    assert caught.value.code == "bad_response"


def test_a_long_text_is_told_up_to_a_bound() -> None:
    assert len(describe(Reject("x" * 3 * MAX_TEXT)).text) == MAX_TEXT


@pytest.mark.parametrize("user", ["user:", ""])
def test_a_credential_that_begins_within_the_bound_of_a_text_and_ends_behind_it_is_not_told(user: str) -> None:
    text = f"{'x ' * (MAX_TEXT // 2 - 20)}https://{user}{'hidden' * 20}@host"

    assert "hidden" not in describe(Reject(text)).text


def test_of_very_many_frames_only_the_innermost_are_told() -> None:
    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError("deep")

    with pytest.raises(ValueError, match="deep") as caught:
        fail(100)

    told = describe(caught.value).traceback
    assert "in fail" in told
    assert "in test_of_very_many_frames" not in told


def test_the_frames_of_an_exception_that_hides_its_attributes_are_told_up_to_a_bound(tmp_path: Path) -> None:
    # given: an exception whose cause cannot be read, raised in a very long line
    code = "class Hidden(Exception):\n    __cause__ = property(lambda _: 1 / 0)\n"
    line = f"def fail(): raise Hidden('{'x' * 2 * MAX_TRACEBACK}'[:3])\n"
    (tmp_path / "hiding.py").write_text(code + line)
    fail: Any = load_object(CodeRef(str(tmp_path), "hiding.py", "fail"))
    try:
        fail()
    except Exception as error:
        told = describe(error).traceback

    assert len(told) == MAX_TRACEBACK
    assert told.endswith("Hidden: xxx\n")


@pytest.mark.parametrize(
    ("rejection", "text"), [(Reject(), "the handler rejected the message"), (Reject(reason="spam"), "spam")]
)
def test_a_rejection_tells_its_reason_or_that_there_was_none(rejection: Reject, text: str) -> None:
    assert describe(rejection).text == text
