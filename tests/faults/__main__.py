"""Kills runs hundreds of times: python -m tests.faults --kills 200 [--backend sqlite|redis] [--point NAME]"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
