"""Tables fit, and fold where it hurts least."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xpipe.cli.layout import Column, table_lines
from xpipe.cli.text import columns

CHAIN = "cli-1.top.system%2Esequence~7950723c30a8-b.1.last"
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")) | st.sampled_from(" .%~├"), max_size=60)


def shown(of: tuple[Column, ...], rows: list[tuple[str, ...]], width: int) -> list[str]:
    return [line for lines in table_lines(of, rows, width) for line in lines]


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5), st.integers(20, 60), st.booleans())
def test_a_table_fits_and_keeps_every_character(rows: list[tuple[str, ...]], width: int, whole: bool) -> None:
    of = (Column("a", whole=whole), Column("b", name=whole), Column("c", "right"))

    laid = list(table_lines(of, rows, width))

    assert all(columns(line) <= width for lines in laid for line in lines)
    for row, lines in zip(rows, laid, strict=True):
        assert all("".join(lines).count(one) >= "".join(row).count(one) for one in "".join(row) if one not in " ├│")


def test_a_chain_is_folded_between_its_segments_and_never_inside_an_escape() -> None:
    of = (Column("id", whole=True), Column("chain"), Column("age", whole=True))

    assert shown(of, [("12345678", CHAIN, "3 min")], 60) == [
        "12345678  cli-1.top.system%2Esequence~7950723c30a8-b.  3 min",
        "          1.last",
    ]
    assert shown(of, [("12345678", CHAIN, "3 min")], 40) == [
        "12345678  cli-1.top.               3 min",
        "          system%2Esequence",
        "          ~7950723c30a8-b.1.last",
    ]
    assert shown((Column("chain"),), [("item%2Eof",)], 6) == ["item", "%2Eof"]


def test_names_stay_whole_while_others_can_be_folded_between_words() -> None:
    of = (Column("listener", name=True), Column("takes"))
    row = ("├─ 1. item.of.things", "Order, SequenceComplete")

    assert shown(of, [row], 40) == ["├─ 1. item.of.things  Order,", " " * 22 + "SequenceComplete"]
    assert shown(of, [row], 30) == ["├─ 1.         Order,", "│  item.of.   SequenceComplete", "│  things"]
