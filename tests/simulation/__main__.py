"""Simulates runs: PYTHONHASHSEED=0 python -m tests.simulation [--seeds 10000] [--seed N]"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if os.environ.get("PYTHONHASHSEED") != "0":  # The order of sets is part of what a seed decides.
    os.execve(
        sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
    )
sys.path.insert(0, str(Path(__file__).parent.parent))

from simulation.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
