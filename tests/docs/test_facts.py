"""What tables in the documentation list is what there is."""

from __future__ import annotations

import re
import tomllib

from docs.pages import REPOSITORY
from xpipe.cli.app import COMMANDS
from xpipe.config.retrying import FAULT_CODES
from xpipe.core import errors


def page(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def first_cells(text: str, heading: str) -> list[str]:
    """The first cells of the table below `heading`, its head left out."""
    rows = text.partition(heading)[2].lstrip().partition("\n\n")[0].splitlines()
    return [row.split("|")[1].strip() for row in rows[2:]]


def test_every_fault_code_is_explained() -> None:
    told = [cell.strip("`") for cell in first_cells(page("docs/failure.md"), "## Fault codes")]
    assert sorted(told) == sorted(FAULT_CODES)


def test_every_exit_code_is_explained() -> None:
    told = re.findall(r"(?m)^\| ([\d, ]+) \|", page("docs/exit-codes.md"))
    known = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(code) for cell in told for code in cell.split(",")} == known


def test_every_command_is_told_of() -> None:
    pages = page("README.md") + "".join(file.read_text("utf-8") for file in REPOSITORY.glob("docs/*.md"))
    commands = {name for name, entry in COMMANDS.items() if not entry.alias_of}
    assert {name for name in commands if f"xpipe {name}" not in pages} == set()


def test_the_layers_are_those_that_are_checked() -> None:
    checked = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn = re.findall(r'(?m)^    (\w+)\["\1: ', page("docs/internals.md"))
    assert [f"xpipe.{name}" for name in drawn] == checked
