"""The commands that messages suggest work when they are pasted."""

from __future__ import annotations

import shlex

from cli.bench import Bench
from cli.stored import SQLITE
from xpipe.cli.pasting import command_line, resume_command


def test_what_was_set_is_set_again() -> None:
    assert resume_command("a b.yaml", ("backend.path=x y.db",), ["in 1.jsonl"]) == (
        "xpipe run 'a b.yaml' --resume --input 'in 1.jsonl' --set 'backend.path=x y.db'"
    )
    assert (
        command_line("outputs", "o.yaml", overrides=("backend=sqlite",)) == "xpipe outputs o.yaml --set backend=sqlite"
    )
    assert resume_command("") == "xpipe run ORGANISM.YAML --resume"


def test_secrets_are_not_repeated() -> None:
    shown = resume_command("o.yaml", ("backend.redis_url=redis://:hush@host/0", "backend.manager_authkey=hush"))
    assert "hush" not in shown


def test_the_command_that_goes_on_opens_the_same_backend(bench: Bench) -> None:
    # Given a run that is out of time, in another state file than that of organism.yaml
    bench.organism("slow_at_first", extra=SQLITE)
    other = ("--set", "backend.path=state/other.db")
    stopped = bench.run("run", "organism.yaml", *other, "--send", 'slow_at_first={"text": "m"}', "--timeout", "2s")
    assert stopped.returncode == 5

    # When what it says is pasted
    _, _, command = stopped.stderr.decode().strip().rpartition("resume with: ")
    resumed = bench.run(*shlex.split(command)[1:], "--jsonl")

    # Then the message is answered
    assert (resumed.returncode, resumed.stdout.count(b"at once")) == (0, 1), resumed
    sent = bench.run("send", "organism.yaml", 'slow_at_first={"text": "m"}', *other)
    assert b"`xpipe run organism.yaml --resume --set backend.path=state/other.db`" in sent.stderr
