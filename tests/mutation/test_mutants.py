"""What `python -m tests.mutation` makes of a file, and what is known of its survivors."""

from __future__ import annotations

import json

from mutation.command import KNOWN, RECORDED
from mutation.mutants import mutants_of

FILE = "xpipe/runtime/delivery.py"


def test_each_mutant_of_a_file_is_other_code_of_the_same_function() -> None:
    for position in range(len(mutants_of(FILE))):
        plain, changed = mutants_of(FILE)[position].compile()

        assert plain != changed
        assert (plain.co_name, plain.co_firstlineno) == (changed.co_name, changed.co_firstlineno)


def test_every_survivor_that_is_known_is_still_a_mutant() -> None:
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    keys = [one.key for path in {key.partition("::")[0] for key in known} for one in mutants_of(path)]

    assert set(known) <= set(keys)
    assert len(keys) == len(set(keys))
    assert all(reason.startswith(("equivalent: ", "harmless: ")) for reason in known.values())


def test_the_recorded_sample_is_of_mutants_that_there_are() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    keys = {one.key for path in {key.partition("::")[0] for key in recorded} for one in mutants_of(path)}

    assert len(set(recorded)) == len(recorded) == 500
    assert set(recorded) <= keys
