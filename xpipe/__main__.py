"""The console script `xpipe`, and `python -m xpipe`."""

from __future__ import annotations

import gc
import sys

from xpipe.cli.leaving import flush, leave

START_UP = 50_000
"""Objects after which the collector looks for garbage: what is imported is none, and looking would take a tenth."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(START_UP)
    if sys.argv[1:] == ["--version"]:
        from xpipe.version import __version__

        leave(flush(f"xpipe {__version__}\n"))
    from xpipe.cli.app import run_command_line

    leave(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
