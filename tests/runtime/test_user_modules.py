"""Modules and classes of the user: the same ones in programs, handlers, worker processes and what these start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.living import answer, live, write
from xpipe import Organism

POOLS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from lib.numbers import square

def twice(n): return 2 * n

def total(ask: Ask) -> Answer:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(ask.text)) as pool:
        return Answer(sum(pool.map(square, range(4))) + sum(pool.map(twice, range(4))))

total_in_worker = total
"""
PROGRAM = """
import asyncio, sys
from dataclasses import dataclass
from xpipe import Organism

print("runs as", __name__)

@dataclass
class Note:
    text: str

async def shout(note: Note) -> Note:
    return Note(note.text.upper())

def whisper(note: Note) -> Note:
    return Note(note.text.lower())

async def main():
    async with Organism.load("organism.yaml", workers=1) as organism:
        for to in sys.argv[1:]:
            [output] = await organism.outputs(await organism.inject(to, Note("Hello")))
            print(output.payload, type(output.payload) is Note)
"""
GUARDED = 'if __name__ == "__main__":\n    asyncio.run(main())\n'
PROGRAM_FILE = """
organism: program
listeners:
  - {name: shout, handler: "program.py:shout"}
  - {name: whisper, handler: "program.py:whisper", cpu_bound: true}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_handlers_start_find_the_organisms_modules(tmp_path: Path, method: str) -> None:
    # Given handlers that hand functions of their own module and of a sibling to other processes
    listeners = {"total": {}, "total_in_worker": {"cpu_bound": True}}
    write(tmp_path, POOLS, listeners, messages=[{"to": name, "payload": {"text": method}} for name in listeners])
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "numbers.py").write_text("def square(n): return n * n\n")

    # When the organism runs in a process of its own, from another folder
    done = run(tmp_path.parent, "-m", "xpipe", "run", str(tmp_path / "organism.yaml"), "--jsonl")

    # Then both answer
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"payload":{"n":26,') == 2


def test_a_program_that_is_a_module_of_its_organism_runs_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + GUARDED)
    (tmp_path / "organism.yaml").write_text(PROGRAM_FILE)

    done = run(tmp_path, "program.py", "shout", "whisper")

    assert done.stdout.splitlines() == ["runs as __main__", "Note(text='HELLO') True", "Note(text='hello') True"]
    assert "runs as program" in done.stderr  # The worker imports it, and what handlers print goes to stderr.
    assert "runs as __main__" not in done.stderr


def test_a_worker_that_imports_an_unguarded_program_does_not_run_the_organism_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + "asyncio.run(main())\n")
    (tmp_path / "organism.yaml").write_text(PROGRAM_FILE)

    done = run(tmp_path, "program.py", "whisper")

    assert done.returncode == 1
    assert 'put what runs it below `if __name__ == "__main__":`' in done.stderr


def test_a_class_of_a_module_that_was_imported_twice_is_named_with_both(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    write(tmp_path / "shop", "async def echo(ask: Ask) -> Ask:\n    return ask\n", {"echo": {}})
    program = (
        "import asyncio\nfrom xpipe import Organism\norganism = Organism.load('shop/organism.yaml')\n"
        "from shop.handlers import Ask\nasync def main():\n    async with organism:\n"
        "        await organism.inject('echo', Ask())\nasyncio.run(main())\n"
    )

    done = run(tmp_path, "-c", program)

    assert done.stderr.splitlines()[-1] == (
        "xpipe.core.errors.PayloadError: this Ask is of the module shop.handlers, and the organism knows another one, "
        "of handlers; import it by that name, or before the organism is loaded"
    )


def test_organisms_with_modules_of_one_name_run_side_by_side(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.py").write_text(f"NAME = {name!r}\n")
        code = "def tell(ask: Ask) -> Answer:\n    import settings\n    return Answer(text=settings.NAME)\n"
        write(tmp_path / name, code, {"tell": {}, "in_worker": {"handler": "handlers.py:tell", "cpu_bound": True}})

    async def scenario(organism: Organism) -> list[str]:
        return [(await answer(organism, name)).text for name in ("tell", "in_worker")]

    told = {name: live(tmp_path / name / "organism.yaml", scenario, workers=1) for name in ("one", "two")}
    assert told == {"one": ["one"] * 2, "two": ["two"] * 2}


@pytest.mark.slow
def test_a_whole_handler_passes_mypy_strict(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom xpipe import BufferComplete, BufferStart, HandlerResponse\n\n"
        "@dataclass\nclass Greeting:\n    name: str\n\n@dataclass\nclass Greeted:\n    text: str\n\n"
        "async def greet(greeting: Greeting) -> Greeted:\n    return Greeted(greeting.name)\n\n"
        "Responses = BufferStart | list[HandlerResponse[Greeting] | Greeted]\n\n"
        "async def fan(payload: Greeting | BufferComplete) -> Responses:\n"
        "    if isinstance(payload, Greeting):\n        return BufferStart('greet', [payload])\n"
        "    return [HandlerResponse(Greeting('x'), to='log'), Greeted(str(payload.total))]\n"
    )

    done = run(tmp_path, "-m", "mypy", "--strict", "mine.py")

    assert done.returncode == 0, done.stdout
