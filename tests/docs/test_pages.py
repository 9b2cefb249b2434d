"""What the documentation says can be done, can be done: every command of every page runs, every YAML block is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis_server

from docs import fragments
from docs.output import looks_like
from docs.pages import PROMISES, REPOSITORY, Block, blocks, blocks_of, name_of, pages, tokens_of
from docs.reading import Reader

QUICK = "docs/embedding.md"
MOST_LEFT_OUT = 2
"""Blocks of commands that the tests do not run, the two that set up a clone included."""
FRAGMENTS = [block for block in blocks() if block.language == "yaml" and not {"file", "from"} & set(block.promises)]
SHOWN = [block for block in blocks() if "from" in block.promises]


def id_of(block: Block) -> str:
    return block.place


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [pytest.param(one, marks=[] if name_of(one) == QUICK else pytest.mark.slow) for one in pages()], ids=name_of
)
def test_a_reader_who_does_what_the_page_says_gets_what_it_promises(page: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks_of(page):
        reader.do(block)
    if reader.is_without_redis:
        pytest.skip(redis_server.NO_SERVER)


@pytest.mark.parametrize("block", FRAGMENTS, ids=id_of)
def test_a_yaml_block_is_right_as_a_part_of_an_organism(block: Block, tmp_path: Path) -> None:
    assert fragments.problems_of(block.text, tmp_path) == []


@pytest.mark.parametrize("block", SHOWN, ids=id_of)
def test_what_is_shown_of_a_file_stands_in_that_file(block: Block) -> None:
    lines = iter((REPOSITORY / block.promises["from"]).read_text("utf-8").splitlines())
    missing = [line for line in block.text.splitlines() if line and line not in lines]
    assert missing == []


def test_every_block_says_what_it_is_and_promises_what_the_tests_know() -> None:
    known = {"sh", "yaml", "python", "json", "text", "mermaid", "xml"}
    assert [one.place for one in blocks() if one.language not in known] == []
    assert [(one.place, name) for one in blocks() for name in one.promises if name not in PROMISES] == []


def test_no_command_hides_in_a_block_without_a_fence() -> None:
    hidden = [name_of(page) for page in pages() for token in tokens_of(page) if token.type == "code_block"]
    assert hidden == []


def test_few_commands_are_left_out_and_each_says_why() -> None:
    left_out = [block for block in blocks() if block.is_left_out]
    assert len(left_out) <= MOST_LEFT_OUT, [block.place for block in left_out]
    assert [block.place for block in left_out if not block.promises.get("not run", "a reason")] == []


def test_every_link_within_the_repository_leads_somewhere() -> None:
    broken = []
    for page in pages():
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)", page.read_text("utf-8")):
            file = page if not target else page.parent / target
            if not file.exists() or (anchor and anchor[1:] not in anchors_of(file)):
                broken.append(f"{name_of(page)}: {target}{anchor}")
    assert broken == []


def anchors_of(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of `page`."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_docs_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text("utf-8")
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert listed == {page.name for page in (REPOSITORY / "docs").glob("*.md")} - {"README.md"}


def test_output_that_differs_in_ids_and_times_only_is_the_same() -> None:
    shown = "count  done  12 ms  ░░██  host:17\n...\n1 thread, 3f2a0000-0000-0000-0000-000000000000"
    printed = "count  done    1.5 s  ░░░░░██  vm:24053\nmore\nlines\n1 thread, 70c10000-0000-0000-0000-00000000000a\n"
    assert looks_like(shown, printed) == ""
    assert "-count failed" in looks_like("count failed\n", "count done\n")


def test_a_page_whose_command_ends_otherwise_than_it_says_is_found_out(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.do(Block("page.md:1", "sh", "mkdir deeper\ncd deeper\n"))
    reader.do(Block("page.md:2", "sh", "test $(basename $PWD) = deeper\nexit 3\n", {"exit": "3"}))
    with pytest.raises(AssertionError, match=r"page.md:3: exit code 1, and 0 was promised"):
        reader.do(Block("page.md:3", "sh", "false\necho goes on\n"))
