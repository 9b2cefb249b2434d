"""What is published holds together: the lock file pins what pyproject.toml asks for, PyPI shows links that lead on."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.pages import REPOSITORY

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
LOCK = (REPOSITORY / "requirements.lock").read_text("utf-8")
PINNED = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", LOCK))


def test_the_lock_pins_what_the_project_asks_for() -> None:
    asked = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["test"],
        *PROJECT["build-system"]["requires"],
    ]
    for one in map(Requirement, asked):
        pinned = PINNED.get(canonicalize_name(one.name))
        assert pinned is not None, f"{one.name} is not in requirements.lock; run .ci/lock"
        assert one.specifier.contains(pinned), f"requirements.lock pins {one.name} {pinned}; run .ci/lock"


def test_the_lock_names_hashes_and_no_host() -> None:
    entries = re.split(r"(?m)^(?=[\w.-]+==)", LOCK)[1:]
    assert len(entries) == len(PINNED)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK


def test_the_readme_on_pypi_has_links_that_lead_to_files() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for change in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(change["pattern"], change["replacement"], readme)
    home = re.escape(PROJECT["project"]["urls"]["Homepage"].removeprefix("https://github.com/"))
    targets = re.findall(r"\]\(([^)]+)\)", readme)

    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    own = [re.match(rf"https://[\w.]+/{home}/(?:blob/)?main/([^#]+)", target) for target in targets]
    files = [match[1] for match in own if match]
    assert len(files) > 20
    assert [file for file in files if not (REPOSITORY / file).exists()] == []
