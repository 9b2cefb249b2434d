"""`python launcher.py NOTE PROGRAM ARGUMENT...`: run a program and note seconds, CPU seconds, peak memory and its end.

It is a small process of its own because the peak memory of a child begins with that of the process it comes from.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    """Run the program to its end and write the note."""
    note, *command = sys.argv[1:]
    began = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    with open(note, "w", encoding="ascii") as file:
        print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status), file=file)


main()
