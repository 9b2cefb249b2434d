"""Runs the matrix of troubles: python -m tests.matrix [--trouble NAME] [--backend NAME]"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from matrix.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
