"""Command lines in forks of one process that has imported all of xpipe: to start Python anew costs more than most do.

A fork has its own arguments, folder, variables, descriptors and session, runs the same `main`, and ends as a process
does. With XPIPE_TESTS_COLD=1 in the environment no test uses any; then each command is the executable itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

IS_WANTED = os.environ.get("XPIPE_TESTS_COLD", "") in ("", "0")
PATIENCE = 60
"""Seconds that a command may take."""
_LARGEST = 100_000
"""Bytes of a packet that the kernel takes for certain."""


class Warm:
    """The process that is forked, one command after the other."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(command, env=environ, pass_fds=[theirs.fileno()], start_new_session=True)
        self._ours.settimeout(PATIENCE)
        self._pipes = ThreadPoolExecutor(3)

    def run(
        self, arguments: list[str], folder: Path, environ: dict[str, str], stdin: bytes
    ) -> subprocess.CompletedProcess[bytes] | None:
        """The command with `arguments`, ended; None if they are too long."""
        packet = json.dumps([arguments, str(folder), environ]).encode()
        if len(packet) > _LARGEST:
            return None
        (asked, feed), (out, told), (err, said) = os.pipe(), os.pipe(), os.pipe()
        socket.send_fds(self._ours, [packet], [asked, told, said])
        for descriptor in (asked, told, said):
            os.close(descriptor)
        pid = int(self._ours.recv(20))
        feeding, *reading = (
            self._pipes.submit(_feed, feed, stdin),
            *(self._pipes.submit(_read, one) for one in (out, err)),
        )
        try:
            code = int(self._ours.recv(20))
        except TimeoutError:
            os.killpg(pid, signal.SIGKILL)
            self._ours.recv(20)
            raise
        feeding.result(PATIENCE)
        return subprocess.CompletedProcess(arguments, code, *(one.result(PATIENCE) for one in reading))

    def close(self) -> None:
        self._ours.close()
        self.process.wait(PATIENCE)
        self._pipes.shutdown()


def _feed(descriptor: int, content: bytes) -> None:
    try:
        with open(descriptor, "wb") as pipe:
            pipe.write(content)
    except BrokenPipeError:
        return


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def _serve(connection: socket.socket) -> list[str]:
    """Answer each packet with the id of a fork and its exit code; in a fork return the arguments it is to run."""
    while True:
        packet, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 3)
        if not packet:
            sys.exit()
        arguments, folder, environ = json.loads(packet)
        child = os.fork()
        if not child:
            connection.close()
            _become(descriptors, folder, environ)
            return arguments
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(child).encode())
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _become(descriptors: list[int], folder: str, environ: dict[str, str]) -> None:
    """What a new process is: in a session, a folder and an environment of its own, with streams of its own."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    streams = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, stream.mode, encoding=stream.encoding, errors=stream.errors, closefd=False)  # noqa: SIM115
        for number, stream in enumerate(streams)
    )
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are real files


def _import_all() -> None:
    import importlib
    import pkgutil

    import xpipe

    for module in pkgutil.walk_packages(xpipe.__path__, "xpipe."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    sys.path.pop(0)
    _import_all()
    from xpipe.__main__ import main

    sys.argv = ["xpipe", *_serve(socket.socket(fileno=int(sys.argv[1])))]
    main()
