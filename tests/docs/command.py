"""Writes the parts of the documentation that are made: the reference of organism.yaml, and the screenshots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from docs import reference, screenshots


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("what", choices=["reference", "screenshots"])
    parser.add_argument("names", nargs="*", choices=[*screenshots.SHOTS, []], metavar="NAME", help="only these")
    given = parser.parse_args(arguments)
    if given.what == "reference":
        _tell(reference.write())
        return 0
    for name in given.names or screenshots.SHOTS:
        _tell(screenshots.write(name))
    return 0


def _tell(made: object) -> None:
    sys.stdout.write(f"wrote {made}\n")
