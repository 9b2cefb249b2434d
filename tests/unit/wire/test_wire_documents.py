# ruff: noqa: E501  a case is one line
"""A stream is split into documents in flat memory, and a broken one does not spoil the others."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpipe.core.errors import WireError
from xpipe.wire.documents import Document, read_documents


class Trickle(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    size = 1

    def read1(self, _: int | None = -1) -> bytes:
        return super().read1(self.size)


def split(data: bytes, name: str = "f", form: str | None = None, max_bytes: int = 1000) -> list[str]:
    return list(_shown(read_documents(io.BytesIO(data), name, form, max_bytes)))


def _shown(found: Iterator[Document | WireError]) -> Iterator[str]:
    for one in found:
        yield f"{one.where} {one.data.decode()}" if isinstance(one, Document) else f"error {one}"


@pytest.mark.parametrize(
    ("data", "documents"),
    [
        (b"", []),
        (b" \n\t ", []),
        (b'\xef\xbb\xbf{"a":1}\n\n {"a":2}\r\n', ['f:1:1 {"a":1}', 'f:3:2 {"a":2}']),
        (b'{\n "a": "}"\n}\n', ['f:1:1 {\n "a": "}"\n}']),
        (b'{\n"a":1\n}\n{\n"a":2\n}', ['f:1:1 {\n"a":1\n}', 'f:4:1 {\n"a":2\n}']),
        (b'[{"a":1},\n {"a":"]\\""}, 3]', ['f:1:2 {"a":1}', 'f:2:2 {"a":"]\\""}', "f:2:15 3"]),
        (b"[]", []),
        (b'{"a":1} {"b":2}{"c":3}', ['f:1:1 {"a":1}', 'f:1:9 {"b":2}', 'f:1:16 {"c":3}']),
        ('{"é":1} {"b":2}'.encode(), ['f:1:1 {"é":1}', 'f:1:9 {"b":2}']),
        ('{"é":1}\n{"b":2}'.encode("utf-16"), ['f:1:1 {"é":1}', 'f:2:1 {"b":2}']),
        (b'[{"a":1},]', ['f:1:2 {"a":1}', "error f:1:10: a value is expected after the comma; remove the comma"]),
        (b'[{"a":1} {"b":2}]', ['f:1:2 {"a":1}', "error f:1:10: a comma is missing before this value", 'f:1:10 {"b":2}']),
        (b'[{"a":1},{"a', ['f:1:2 {"a":1}', "error f:1:10: the input ends before this JSON value is closed", "error f:1:13: the input ends inside the array that starts at f:1:1"]),
        (b'{"a":1}\nbad\n{"a":3}', ['f:1:1 {"a":1}', "f:2:1 bad", 'f:3:1 {"a":3}']),
        (b'{"a":1\n{"a":2}\n{"a":3}', ["error f:1:1: this JSON value is not closed before the next one starts", 'f:2:1 {"a":2}', 'f:3:1 {"a":3}']),
        (b'{"a":"x\n{"a":2}\n', ["error f:1:6: the line ends inside this string; write a line break as \\n", 'f:2:1 {"a":2}']),
        (b'{"a":\n', ["error f:1:1: the input ends before this JSON value is closed"]),
    ],
)  # fmt: skip
def test_json_is_split(data: bytes, documents: list[str]) -> None:
    assert split(data) == documents


@pytest.mark.parametrize(
    ("data", "documents"),
    [
        (b'<?xml version="1.0"?>\n<!-- <A> --><A><b/></A>\n <A/><B x=">"> </B >', ["f:2:13 <A><b/></A>", "f:3:2 <A/>", 'f:3:6 <B x=">"> </B >']),
        (b"<messages>\n<A>1</A><message><to>x</to></message>\n</messages>", ["f:2:1 <A>1</A>", "f:2:9 <message><to>x</to></message>"]),
        (b"<messages/><A/>", ["f:1:12 <A/>"]),
        (b"<A><id>1<id></A>\n<A>2</A>", ["f:1:1 <A><id>1<id></A>", "f:2:1 <A>2</A>"]),
        (b"<A>1\n<A>2</A>\n<A>3</A>", ["error f:1:1: this <A> is never closed", "f:2:1 <A>2</A>", "f:3:1 <A>3</A>"]),
        (b"<A><A>x</A><A/></A><A/>", ["f:1:1 <A><A>x</A><A/></A>", "f:1:20 <A/>"]),
        (b"<A><!-- </A> --><![CDATA[</A>]]><?x </A>?></A>", ["f:1:1 <A><!-- </A> --><![CDATA[</A>]]><?x </A>?></A>"]),
        (b"<AB><A></A></AB>", ["f:1:1 <AB><A></A></AB>"]),
        (b"<A>1</A><A>", ["f:1:1 <A>1</A>", "error f:1:9: this <A> is never closed"]),
        (b"<A/>x<A/>", ["f:1:1 <A/>", "error f:1:5: there is text outside of any element", "f:1:6 <A/>"]),
        (b"<A/></B><A/>", ["f:1:1 <A/>", "error f:1:5: this end tag closes nothing", "f:1:9 <A/>"]),
        (b"< /><A/>", ["error f:1:1: < must be followed by the name of an element", "f:1:5 <A/>"]),
        (b'<!DOCTYPE A [<!ENTITY x "]>">]><A>&x;</A><B/>', ["error f:1:1: a DOCTYPE is not accepted; remove it and its entities", "f:1:42 <B/>"]),
        (b"<messages><A>1</messages><A/>", ["error f:1:11: this <A> is never closed", "f:1:26 <A/>"]),
        (b"<messages><A/>", ["f:1:11 <A/>", "error f:1:15: the input ends inside the <messages> that starts at f:1:1"]),
        (b"<!-- x", ["error f:1:1: the input ends before this <!-- is closed"]),
        ('<?xml version="1.0" encoding="latin-1"?><A>é</A><A/>'.encode("latin-1"), ["f:1:41 <A>é</A>", "f:1:49 <A/>"]),
        ("<A>é</A>\n<A/>".encode("utf-16"), ["f:1:1 <A>é</A>", "f:2:1 <A/>"]),
        ("<A>é</A>".encode("utf-16-le"), ["f:1:1 <A>é</A>"]),
        (b'<?xml version="1.0" encoding="foo"?><A/>', ["error f:1:1: the encoding foo that the document declares is not known; use UTF-8; the rest of f is not read"]),
    ],
)  # fmt: skip
def test_xml_is_split(data: bytes, documents: list[str]) -> None:
    assert split(data) == documents


@pytest.mark.parametrize(
    ("name", "form", "data", "document"),
    [
        ("a.jsonl", None, b"<A/>", "a.jsonl:1:1 <A/>"),
        ("a.xml", None, b"<A/>", "a.xml:1:1 <A/>"),
        ("-", None, b" <A/>", "-:1:2 <A/>"),
        ("a.xml", "json", b'{"a":1}', 'a.xml:1:1 {"a":1}'),
    ],
)
def test_the_form_is_given_or_told_by_suffix_or_first_byte(
    name: str, form: str | None, data: bytes, document: str
) -> None:
    assert split(data, name, form) == [document]


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (b'{"a":1}\n{"a":"' + b"x" * 100 + b'"}\n{"b":1}', ['f:1:1 {"a":1}', "error f:2:1: {}", 'f:3:1 {"b":1}']),
        (b'{"a":1,\n"b":"' + b"x" * 100 + b'"}\n{"b":1}', ["error f:1:1: {}", 'f:3:1 {"b":1}']),
        (b'[{"a":"' + b"x" * 100 + b'"},{"b":1}]', ["error f:1:2: {}", 'f:1:111 {"b":1}']),
        (b"<A>" + b"x" * 100 + b"</A><A/>", ["error f:1:1: {}", "f:1:108 <A/>"]),
        (b"<messages><A>" + b"x" * 200_000 + b"</A>\n<A/></messages>", ["error f:1:11: {}", "f:2:1 <A/>"]),
    ],
)
def test_a_document_over_the_bound_is_an_error_and_skipped(data: bytes, rest: list[str]) -> None:
    sentence = "the document is longer than 50 bytes"

    assert split(data, max_bytes=50) == [one.replace("{}", sentence) for one in rest]


def test_a_huge_document_is_skipped_without_being_kept() -> None:
    class Endless(io.RawIOBase):
        left = 400

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return (
                b"<A>" if self.left == 399 else b"x" * size if self.left > 0 else b"</A><B/>" if self.left == 0 else b""
            )

    tracemalloc.start()
    found = list(_shown(read_documents(Endless(), "f", "xml", 100_000)))  # type: ignore[arg-type]  # all that is used of it
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [one[:5] for one in found] == ["error", "f:1:2"]
    assert peak < 2_000_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"<A>", b"{", b"<A a='"])
def test_hostile_nesting_is_one_broken_document_in_linear_time(piece: bytes) -> None:
    assert len(split(piece * 100_000, max_bytes=10**6)) == 1


def test_the_offset_is_the_end_of_the_document() -> None:
    data = b'{"a":1}\n{"b":2}\n'

    offsets = [one.offset for one in read_documents(io.BytesIO(data), "f") if isinstance(one, Document)]

    assert offsets == [7, 15]


PIECES = st.lists(
    st.sampled_from(
        [b"<A>", b"</A>", b"<A/>", b"<B x='", b"'>", b"</B>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"\n", b"x", b"<messages>",
         b"</messages>", b"<!DOCTYPE A>", b"<", b">", b"<?p", b"?>", b'{"a":', b"}", b"[", b"]", b",", b'"', b"\\", b"1", "é".encode()]
    ),
    max_size=14,
).map(b"".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(PIECES, st.sampled_from(["xml", "json", "jsonl", None]), st.sampled_from([4, 30, 1000]))
def test_the_documents_do_not_depend_on_how_the_bytes_arrive(data: bytes, form: str | None, max_bytes: int) -> None:
    whole = list(_shown(read_documents(io.BytesIO(data), "f", form, 1000)))

    assert list(_shown(read_documents(Trickle(data), "f", form, 1000))) == whole
    for one in read_documents(Trickle(data), "f", form, max_bytes):
        assert isinstance(one, WireError) or len(one.data) <= max_bytes


def test_a_document_is_given_out_before_the_next_one_arrives() -> None:
    class Pipe(io.BytesIO):
        chunks = iter([b'{"a":1}\n', b'{"a":2}\n'])

        def read1(self, _: int | None = -1) -> bytes:
            return next(self.chunks, b"")

    pipe = Pipe()
    documents = read_documents(pipe, "-", None, 1000)

    assert isinstance(next(documents), Document)
    assert next(pipe.chunks) == b'{"a":2}\n'
