"""Files that mean harm or are no YAML at all: one clear finding each, nothing executed, no memory filled."""

from __future__ import annotations

import os
from pathlib import Path

import foreign
import pytest
import yaml

from xpipe.config.loading import check_definition

LARGE = "Keep large input in a file of its own and give it with --input."
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{this}: &{this} [{','.join([f'*{before}'] * 10)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "1:101: error[yaml-depth]: The file is nested deeper than 100 levels."

CASES: dict[str, tuple[str | bytes, str]] = {
    "billion laughs": (
        LAUGHS,
        f"6:8: error[yaml-size]: The file holds more than 200000 values, aliases expanded. {LARGE}",
    ),
    "10,000 open lists": ("[" * 10_000, DEEP),
    "10,000 open mappings": ("{" * 10_000, DEEP),
    "10,000 lists in a line": ("- " * 10_000, DEEP.replace("101", "201")),
    "1,000 nested mappings": ("".join(" " * level + "a:\n" for level in range(1000)), DEEP.replace("1:", "101:", 1)),
    "deep by aliases": (
        "a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*a" + "]" * 60,
        "2:64: error[yaml-depth]: The file is nested deeper than 100 levels.",
    ),
    "too large": (b"#" * 9_000_000, f"1:1: error[file-too-large]: The file is larger than 8 MiB. {LARGE}"),
    "NUL bytes": (
        b"organism: x\nb: a\0b",
        "2:5: error[file-characters]: The character U+0000 is not allowed "
        "in YAML. Write it as an escape in double quotes.",
    ),
    "UTF-16": (
        "organism: x".encode("utf-16"),
        "1:1: error[file-encoding]: The file is not UTF-8 text: byte 0xFF cannot be decoded. Save it as UTF-8.",
    ),
    "Latin-1": (
        "organism: x\nb: ä".encode("latin-1"),
        "2:4: error[file-encoding]: The file is not UTF-8 text: byte 0xE4 cannot be decoded. Save it as UTF-8.",
    ),
    "only comments": (
        "# nothing\n---\n",
        "1:1: error[file-empty]: The file is empty. It needs the keys organism and listeners.",
    ),
}


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def parser(request, monkeypatch):
    """Both YAML parsers; the one in Python is used where libyaml is missing."""
    if request.param == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader")


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_one_finding(findings, name):
    text, expected = CASES[name]
    assert findings(text) == [expected]


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("!!python/object/apply:os.system [touch ran]", "!!python/object/apply:os.system"),
        ("!!python/name:os.system x", "!!python/name:os.system"),
        ("!mine x", "!mine"),
        ("!!binary aGVsbG8=", "!!binary"),
    ],
)
def test_a_tag_makes_no_object_and_the_rest_is_checked(findings, folder, tag, shown):
    text = f"organism: {tag}\nlisteners: [{{name: a, handler: handlers.greet, timeout: [1]}}]\n"
    assert findings(text) == [
        f"1:11: error[yaml-tag]: The tag {shown} is not supported: values are data, never objects. Remove it.",
        "2:57: error[wrong-type]: timeout must be a duration such as 30s, not a list. "
        "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
    ]
    assert not (folder / "ran").exists()


UNREADABLE = ":1:1: error[file-unreadable]: The file cannot be read"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere.yaml", "nowhere.yaml:1:1: error[file-missing]: There is no such file. Check the path."),
        ("organsm.yaml", 'organsm.yaml:1:1: error[file-missing]: There is no such file. Did you mean "organism.yaml"?'),
        (".", ".:1:1: error[file-folder]: This is a folder, not a file. Give the path of the YAML file in it."),
        ("a\0b", f"a\0b{UNREADABLE}: a path cannot hold a null character. Check the path."),
        ("x" * 300, f"{'x' * 300}{UNREADABLE}: {foreign.NAME_TOO_LONG}. Check the path."),
        ("organism.yaml/x", f"organism.yaml/x{UNREADABLE}: {foreign.NO_FOLDER}. Check the path."),
    ],
)
def test_a_path_that_cannot_be_read_is_one_finding(folder, path, expected):
    (folder / "organism.yaml").write_text("")
    definition, found = check_definition(path)
    assert definition is None
    assert [str(one) for one in found] == [expected]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_finding(folder):
    (folder / "o.yaml").touch(mode=0o000)
    assert [str(one) for one in check_definition("o.yaml")[1]] == [
        f"o.yaml{UNREADABLE}: {foreign.NOT_ALLOWED}. Give yourself read access to it."
    ]


def test_thousands_of_mistakes_are_bounded(findings):
    found = findings("".join(f"key{number}: 1\n" for number in range(5000)))
    assert len(found) == 501
    assert found[-1] == "500:1: error[more-findings]: 4502 more findings are left out."


def listening(count: int) -> str:
    """An organism of `count` listeners; who has no peers is called by nobody else either."""
    entries = "".join(f"  - {{name: l{at}, handler: handlers.py:greet, peers: []}}\n" for at in range(count))
    return f"organism: o\nlisteners:\n{entries}messages: [{{to: l0, payload: {{name: Ada}}}}]\n"


def test_a_file_with_more_notes_than_are_told_can_be_run(folder):
    (folder / "organism.yaml").write_text(listening(503))
    definition, found = check_definition("organism.yaml")
    assert definition is not None
    assert {one.severity for one in found} == {"note"}
    assert str(found[-1]) == "organism.yaml:503:1: note[more-findings]: 2 more findings are left out."


def test_an_error_after_hundreds_of_warnings_is_told(findings):
    text = listening(600).replace("peers: []", "peers: [l0, l0]")
    found = findings(text + "limits: {hops: none}\n")
    assert len(found) == 501
    assert found[-2].startswith(
        '604:16: error[wrong-type]: hops must be a whole number of at least 1, not "none". '
        "Write 1 or more, or leave hops out for 10000."
    )
    assert found[-1].startswith("604:1: warning[more-findings]: ")
    assert found[0].startswith("3:")


def test_a_fifo_that_nobody_writes_to_is_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "organism.yaml")

    _, [finding] = check_definition(tmp_path / "organism.yaml")

    assert finding.message == "This is a FIFO, and nothing is written to it."


def test_a_file_may_come_through_a_pipe() -> None:
    receiver, sender = os.pipe()
    os.write(sender, b"organism: {nme: x}")
    os.close(sender)

    _, findings = check_definition(f"/dev/fd/{receiver}")

    os.close(receiver)
    assert "unknown-key" in {one.code for one in findings}
