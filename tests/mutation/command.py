"""The mutation run: a seeded sample of mutants of the rules, and what survived of it."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from mutation.mutants import ROOT, Mutant, mutants_of
from mutation.run import KILLED, Plugin

FILES = [
    *(f"xpipe/ledger/{name}.py" for name in ("ledger", "records", "memory", "kept")),
    *(f"xpipe/runtime/{name}.py" for name in ("router", "routing", "responses", "admission", "lease", "topology")),
    *(f"xpipe/runtime/{name}.py" for name in ("outcomes", "delivery", "takeover")),
    "xpipe/runtime/primitives",
    *(f"xpipe/core/{name}.py" for name in ("chains", "retry", "durations")),
]
"""The files and folders that carry rules."""
CHOSEN = [
    *("tests/unit/test_router_*.py", "tests/unit/test_c*.py", "tests/unit/test_responses.py"),
    *("tests/unit/test_durations.py", "tests/unit/test_times.py", "tests/unit/test_topology.py"),
    *("tests/unit/test_items.py", "tests/unit/test_outcomes.py", "tests/unit/test_takeover.py"),
    *("tests/unit/test_kept_records.py", "tests/contracts/test_*.py"),
    *("tests/backends/test_dead_letter_bound.py", "tests/runtime/test_lease.py", "tests/runtime/test_admission.py"),
    *("tests/runtime/test_taken_for_dead.py", "tests/runtime/test_retry.py", "tests/runtime/test_conversations.py"),
    *("tests/runtime/test_cancel.py", "tests/runtime/test_keeping.py", "tests/runtime/test_back_pressure.py"),
    *("tests/runtime/test_buffers.py", "tests/runtime/test_sequences.py", "tests/runtime/test_limits.py"),
]
"""The tests that may kill a mutant: quick ones of the process itself."""
RECORDED = Path(__file__).parent / "sample.json"
"""The keys of a sample that chance has drawn once, so that its results can be compared as files move and change."""
KNOWN = Path(__file__).parent / "known.json"
"""Survivors that are equivalent or harmless: the reason by the key, which says where and what, not on which line."""


def main(arguments: list[str]) -> int:
    """Run it; 0 if every survivor is a known one."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Change the rules, run their tests.")
    parser.add_argument("--sample", type=int, default=500, help="number of mutants, 0 for all [default: 500]")
    parser.add_argument("--seed", type=int, help="draw a sample with this seed [default: the recorded sample]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants whose key contains TEXT")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="how long the tests of a mutant may take undisturbed [default: 6]"
    )
    given = parser.parse_args(arguments)
    total, mutants = sample(given.sample, given.seed, given.only)
    settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], derandomize=True, max_examples=25)
    settings.load_profile("mutation")
    plugin = Plugin(mutants, given.seconds)
    tests = [str(path) for pattern in CHOSEN for path in sorted(ROOT.glob(pattern))]
    pytest.main(["-n", "0", "-q", "--no-header", "-s", "-k", "not redis and not manager", *tests], plugins=[plugin])
    return report(total, plugin.results)


def sample(size: int, seed: int | None, only: str) -> tuple[int, list[Mutant]]:
    """How many mutants there are, and those that chance chooses of them, or chose for the recorded sample."""
    paths = [path for name in FILES for path in ([name] if name.endswith(".py") else files_in(name))]
    all = [one for path in paths for one in mutants_of(path) if only in one.key]
    if seed is None and not only and size:
        recorded = set(json.loads(RECORDED.read_text(encoding="utf-8")))
        return len(all), [one for one in all if one.key in recorded][:size]
    chosen = random.Random(seed).sample(all, min(size, len(all)) if size else len(all))
    return len(all), chosen


def files_in(folder: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / folder).glob("[a-z]*.py"))]


def report(total: int, results: Sequence[tuple[Mutant, str]]) -> int:
    """Print the figures and the survivors nobody has given a reason for; 1 if there are any."""
    write = sys.stdout.write
    known: dict[str, str] = json.loads(KNOWN.read_text(encoding="utf-8"))
    counts = Counter((mutant.path, result == KILLED) for mutant, result in results)
    survivors = [(mutant, result) for mutant, result in results if result != KILLED]
    new = [(mutant, result) for mutant, result in survivors if mutant.key not in known]
    write("\n| file | mutants | killed | survived |\n|---|---|---|---|\n")
    for path in sorted({path for path, _ in counts}):
        killed, survived = counts[path, True], counts[path, False]
        write(f"| {path} | {killed + survived} | {killed} | {survived} |\n")
    killed = len(results) - len(survivors)
    share = f"{killed / len(results):.1%}" if results else "none"
    write(
        f"\n{len(results)} of {total} mutants: {killed} killed ({share}), {len(survivors)} survived, {len(new)} new\n"
    )
    for mutant, result in sorted(new, key=lambda one: (one[0].path, one[0].line)):
        before, after = mutant.diff
        write(f"{mutant.place} {result}\n  key: {json.dumps(mutant.key)}\n  - {before}\n  + {after}\n")
    return 1 if new else 0
