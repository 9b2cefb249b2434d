"""A profile of what xpipe does in a case, for https://www.speedscope.app."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.case import Case
from benchmarks.errors import Failed
from benchmarks.options import Options
from benchmarks.talk import tell

RATE = 250
"""Samples a second."""


def profile(case: Case, options: Options, folder: Path) -> Iterator[Path]:
    """Run each side that is xpipe once, in py-spy; the files that were written. Raises Failed."""
    recorder = shutil.which("py-spy", path=Path(sys.executable).parent) or shutil.which("py-spy")
    if recorder is None:
        raise Failed("there is no py-spy: install xpipe[bench]")
    folder.mkdir(parents=True, exist_ok=True)
    for side in case.sides(options.share):
        if not side.is_xpipe:
            continue
        file = folder / f"{case.name}-{re.sub(r'[^a-z0-9]+', '-', side.name.lower()).strip('-')}.speedscope.json"
        what = ["--rate", str(RATE), "--subprocesses", "--format", "speedscope", "--output", str(file.absolute())]
        tell(f"{case.name}: {side.name}, in py-spy")
        side.go([recorder, "record", *what, "--"])
        yield file
