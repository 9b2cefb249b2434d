"""`python -m benchmarks [CASE...] [--repeats N]`."""

from __future__ import annotations

import argparse

from benchmarks import workers

CASES = {"workers": workers.main}


def main() -> None:
    """Run the named cases, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"one or more of: {', '.join(CASES)} (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, interleaved (default 3)")
    options = parser.parse_args()
    unknown = set(options.case) - CASES.keys()
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    for name in options.case or CASES:
        print(f"# {name}")
        CASES[name](options.repeats)


main()
