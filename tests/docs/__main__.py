"""Makes what is made in docs: python -m tests.docs reference | screenshots [NAME...]"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from docs.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
