"""What is going on, for who waits."""

from __future__ import annotations

import sys


def tell(text: str) -> None:
    """Say it on stderr: stdout is for tables."""
    print(f"[{text}]", file=sys.stderr, flush=True)
