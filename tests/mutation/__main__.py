"""Changes the rules and runs their tests: python -m tests.mutation [--sample 500] [--seed N] [--only TEXT]"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from mutation.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
