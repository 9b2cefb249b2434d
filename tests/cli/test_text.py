"""Text for people cannot steer a terminal and loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpipe.cli.console import Column, Medium, Printer
from xpipe.cli.text import columns, counted, fold, payload_lines, safe_json, safe_xml, size, text_lines, visible

UNSEEN = "\u061c\u200b\u200e\u2028\u202e\u2060\u2066\ufeff\U000e0001\U000e0041\U000e007f"
"""Lines, directions, blanks without width, and tags: what nobody sees, and what may change what is seen."""


@given(st.text())
def test_visible_text_holds_no_control_character(text: str) -> None:
    shown = visible(text)
    assert all(ord(one) >= 32 and not 0x7F <= ord(one) <= 0x9F and one not in UNSEEN for one in shown)


def test_control_characters_are_written_out() -> None:
    assert visible("a\x1b[31m\x9b\u202e\n") == r"a\x1b[31m\x9b\u202e\n"
    assert visible("a\nb\x07", keep_lines=True) == "a\nb\\x07"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")) | st.just(" ")), st.integers(10, 40))
def test_a_folded_line_fits_and_keeps_every_character(line: str, width: int) -> None:
    pieces = list(fold(line, width))
    assert all(columns(piece) <= width for piece in pieces)
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")


def test_a_folded_line_goes_on_under_its_own_indentation() -> None:
    assert list(fold("  - one two three", 12)) == ["  - one two", "    three"]


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert [columns("ab"), columns("漢字"), columns("e\u0301")] == [2, 4, 1]
    assert list(fold("漢字漢字 漢字", 10)) == ["漢字漢字", "漢字"]
    assert list(fold("漢字漢字漢字", 5)) == ["漢字"] * 3


def test_a_long_line_is_folded_in_one_pass() -> None:
    assert sum(map(len, fold("x" * 5_000_000, 80))) == 5_000_000


@pytest.mark.parametrize("one", UNSEEN)
def test_what_nobody_sees_is_written_out_everywhere(one: str) -> None:
    assert visible(f"a{one}b") == f"a{one.encode('unicode_escape').decode()}b"
    line = safe_json(json.dumps(f"a{one}b", ensure_ascii=False).encode())
    assert line.isascii()
    assert json.loads(line) == f"a{one}b"
    assert safe_xml(f"<a>{one}</a>".encode()) == f"<a>&#x{ord(one):x};</a>".encode()


@pytest.mark.parametrize("text", ["naïve", "日本語", "👩\u200d🚀", "نمی\u200cخواهم", "e\u0301"])
def test_what_writing_needs_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert safe_json(f'"{text}"'.encode()) == f'"{text}"'.encode()


def test_only_a_newline_ends_a_line() -> None:
    assert text_lines("one\r2\x0b3\x854\u20285\ntwo\n") == ["one\r2\x0b3\x854\u20285", "two"]
    assert text_lines("") == []


@given(st.text())
def test_json_and_xml_say_the_same_without_terminal_codes(text: str) -> None:
    line = json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace")
    assert json.loads(safe_json(line)) == text
    assert b"\x7f" not in safe_json(line)
    assert safe_xml("<a>\x85</a>".encode()) == b"<a>&#x85;</a>"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"a": "plain text", "b": "1.0", "c": None}, ["a: plain text", 'b: "1.0"', "c: null"]),
        ({"a": {"b": [{"c": [1]}, {"d": 2}]}}, ["a:", "  b:", "    - c: [1]", "    - d: 2"]),
        ({"a": "true", "b": "x: y", "c": "a\nb"}, ['a: "true"', 'b: "x: y"', r'c: "a\nb"']),
        ([], ["[]"]),
        ({}, ["{}"]),
    ],
)
def test_payloads_read_like_yaml(value: object, lines: list[str]) -> None:
    assert list(payload_lines(value)) == lines


def test_counts_and_sizes_are_for_people() -> None:
    assert [counted(1, "retry", "retries"), counted(1234, "retry", "retries")] == ["1 retry", "1 234 retries"]
    assert [size(812), size(1024), size(1_045_000), size(5 << 30)] == ["812 B", "1.0 KiB", "1021 KiB", "5.0 GiB"]


def test_colours_asked_for_in_a_pipe_cut_nothing_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    printer = Printer(Medium(None, color=True, live=False))
    row = [f"{at}-{'i' * 60}" for at in range(4)]
    table = printer.table([Column(f"title {at}", whole=True) for at in range(4)], [row])
    assert table.split("\n")[1].split() == row
    assert len(table.split("\n")) == 2
    assert printer.styled("x" * 300, "bold").count("x") == 300


@pytest.mark.parametrize("width", range(22, 120, 7))
def test_a_table_loses_no_column_however_narrow(width: int) -> None:
    printer = Printer(Medium(width, color=False, live=False))
    titles = [Column("thread", whole=True), Column("call chain"), Column("state", whole=True), Column("size", "right")]
    cells = ["a1b2c3d4", "cli-1.orders.warehouse", "waiting", "1.2 KiB"]
    table = printer.table(titles, [cells, cells])
    assert all(columns(line) <= width for line in table.split("\n"))
    assert [table.count(whole) for whole in ("a1b2c3d4", "waiting")] == [2, 2]
    assert table.count(".") == 6, "the chains and the sizes, folded or not"
