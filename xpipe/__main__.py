"""The console script `xpipe`, and `python -m xpipe`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from xpipe.version import __version__

        sys.stdout.write(f"xpipe {__version__}\n")
        return
    from xpipe.cli.app import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
