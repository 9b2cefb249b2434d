"""Writing an organism into a folder of its own and checking it there."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from xpipe.config.loading import check_definition

HANDLERS = """
from dataclasses import dataclass

@dataclass
class Greeting:
    name: str

async def greet(payload: Greeting, metadata): ...

def plain(payload: Greeting, metadata): ...
"""

Findings = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The organism's folder, also the working directory; it holds handlers.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@pytest.fixture
def findings(folder: Path) -> Findings:
    """Checks YAML text; the findings as text, without the file's name and with `{folder}` for the folder."""

    def check(
        text: str | bytes, environ: Mapping[str, str] | None = None, imports: bool = True, **files: str
    ) -> list[str]:
        for name, content in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(content))
        file = folder / "organism.yaml"
        file.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        _, found = check_definition("organism.yaml", environ or {}, imports)
        shown = [str(one).removeprefix("organism.yaml:") for one in found]
        return [one.replace(str(folder), "{folder}") for one in shown]

    return check
