"""The process that forks runs: an order a line on stdin, `[pid, "ready"]` and `[pid, exit code]` on stdout."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import sys
import threading

import xpipe
from faults import dying


def main() -> None:
    """Fork for every order until stdin ends."""
    for module in pkgutil.walk_packages(xpipe.__path__, "xpipe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("redis")
    begun = threading.Semaphore(0)
    threading.Thread(target=reap, args=(begun,), daemon=True).start()
    while line := os.read(0, 65_536):
        for order in line.splitlines():
            pid = os.fork()
            if pid == 0:
                live(json.loads(order))
            tell(pid, "ready")
            begun.release()


def tell(pid: int, code: int | str) -> None:
    os.write(1, json.dumps([pid, code]).encode() + b"\n")


def reap(begun: threading.Semaphore) -> None:
    """Tell how each fork ends, after it was told that it has begun."""
    while begun.acquire():
        pid, status = os.waitpid(-1, 0)
        tell(pid, os.waitstatus_to_exitcode(status))


def live(order: dict[str, object]) -> None:
    """Be what `order` asks for; does not return."""
    os.setsid()
    os.chdir(str(order["folder"]))
    talk = os.open(str(order["talk"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(talk, 1)
    os.dup2(talk, 2)
    random.seed()
    code = 70
    try:
        run(str(order["module"]), list(map(str, order["arguments"])))  # type: ignore[call-overload]  # it is a list
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(module: str, arguments: list[str]) -> None:
    if module == "faults.dying":
        dying.run(arguments)
    else:
        from xpipe.__main__ import main as xpipe_main

        sys.argv = ["xpipe", *arguments]
        xpipe_main()


if __name__ == "__main__":
    main()
