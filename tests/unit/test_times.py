"""Times in payloads keep their offset from hop to hop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from xpipe.core.codec import PayloadTypes, holds_datetime

TOKYO = timezone(timedelta(hours=9))


@dataclass
class Meeting:
    begins: datetime
    doors: time | None = None
    raw: bytes = b"\x00\xff"


@dataclass
class Calendar:
    meetings: list[Meeting] = field(default_factory=list)
    parts: list[Calendar] = field(default_factory=list)


@dataclass
class Holiday:
    day: date


@pytest.mark.parametrize("offset", [TOKYO, UTC, None])
def test_a_time_comes_back_with_the_offset_it_was_given(offset: timezone | None) -> None:
    types = PayloadTypes([Meeting])
    meeting = Meeting(datetime(2024, 1, 2, 0, 30, tzinfo=offset), time(8, 15, tzinfo=offset))

    back = types.decode(*types.encode(meeting))

    assert back == meeting
    assert back.begins.isoformat() == meeting.begins.isoformat()
    assert back.begins.date() == date(2024, 1, 2)


def test_times_deep_inside_a_class_that_holds_itself_are_found() -> None:
    types = PayloadTypes([Calendar])
    deep = Calendar(parts=[Calendar([Meeting(datetime(2024, 1, 2, tzinfo=TOKYO))])])

    back = types.decode(*types.encode(deep))

    assert back.parts[0].meetings[0].begins.utcoffset() == timedelta(hours=9)


def test_classes_without_times_are_encoded_directly() -> None:
    assert not holds_datetime(Holiday)
    assert holds_datetime(Calendar)
