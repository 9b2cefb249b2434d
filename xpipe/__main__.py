"""The console script `xpipe`, and `python -m xpipe`."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from xpipe.cli.leaving import flush, leave

COLLECT_AFTER = 50_000
"""New objects after which the collector looks for garbage: neither what is imported nor messages and their records are
any, and looking at them again and again would take a tenth of the time."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(COLLECT_AFTER)
    if sys.argv[1:] == ["--version"]:
        from xpipe.version import __version__

        leave(flush(f"xpipe {__version__}\n"))
    from xpipe.cli.app import run_command_line

    leave(run_command_line(sys.argv[1:]))


def _leave_out_the_current_folder() -> None:
    """`python -m` puts it first, where `xpipe` does not look: its modules would hide installed ones."""
    with contextlib.suppress(OSError):  # It is gone.
        if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
            del sys.path[0]


if __name__ == "__main__":
    if not sys.flags.safe_path:
        _leave_out_the_current_folder()
    main()
