"""Measure xpipe beside its peers: `python -m benchmarks [CASE...]`; the peers come with the extra `bench`.

stdout is the tables, in Markdown; what is going on is told on stderr. All cases together, at their normal size, are
also written to benchmarks/RESULTS.md and results.json. Exit code 1: a bar was missed, 2: wrong usage, 3: something
could not be measured, or did not do what it should.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks.cases import CASES, COMPARISONS
from benchmarks.errors import Failed
from benchmarks.hot_spots import hot_spots
from benchmarks.machine import machine, versions
from benchmarks.options import Options, Size
from benchmarks.profiling import profile
from benchmarks.report import Report, as_data, document, head_lines, summary_lines, table_lines
from benchmarks.talk import tell

HERE = Path(__file__).parent
PROFILES = HERE / "profiles"
REPEATS = {Size.QUICK: 1, Size.NORMAL: 3, Size.FULL: 5}


def main(arguments: list[str]) -> int:
    """Run the named cases, or all."""
    chosen = _parse(arguments)
    if chosen.list:
        print("\n".join(_descriptions()))
        return 0
    # Servers and files are removed when the interpreter unwinds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = Options(chosen.repeats or REPEATS[chosen.size], chosen.size)
    try:
        return _profile(chosen, options) if chosen.profile else _measure(chosen, options, arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="cases:\n" + "\n".join(_descriptions()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case", nargs="*", help="one or more of the cases below (default: all)")
    parser.add_argument("--list", action="store_true", help="list the cases and do nothing else")
    parser.add_argument("--repeats", type=_at_least_one, metavar="N", help="runs of each side (default 3, --quick: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the same as JSON to FILE")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where RESULTS.md and results.json go, or profiles")
    parser.add_argument("--profile", metavar="CASE", help="tell where the time goes there, and write it for speedscope")
    size = parser.add_mutually_exclusive_group()
    parser.set_defaults(size=Size.NORMAL)
    size.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, help="only small sizes")
    size.add_argument("--full", dest="size", action="store_const", const=Size.FULL, help="the largest sizes too")
    chosen = parser.parse_args(arguments)
    _check(parser, chosen)
    return chosen


def _check(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    unknown = [name for name in chosen.case if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if chosen.profile and chosen.profile not in COMPARISONS:
        parser.error(f"--profile {chosen.profile}: that cannot be profiled; these can: {', '.join(COMPARISONS)}")
    if chosen.json and not Path(chosen.json).absolute().parent.is_dir():
        parser.error(f"--json {chosen.json}: its folder does not exist; make it first")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("one run is the least")
    return number


def _descriptions() -> list[str]:
    return [f"  {name:15}{case.what}" for name, case in CASES.items()]


def _profile(chosen: argparse.Namespace, options: Options) -> int:
    try:
        for file in profile(COMPARISONS[chosen.profile], options, chosen.out or PROFILES):
            print(file, *table_lines(hot_spots(file)), "", sep="\n", flush=True)
    except Failed as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 3
    return 0


def _measure(chosen: argparse.Namespace, options: Options, arguments: list[str]) -> int:
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    report = Report(datetime.now().astimezone().isoformat(timespec="seconds"), command, machine(), versions())
    _run(chosen.case or list(CASES), options, report)
    print("\n".join(summary_lines(report)))
    if chosen.json:
        _write_json(report, Path(chosen.json))
    is_whole = not chosen.case and chosen.size is not Size.QUICK
    folder = chosen.out or (HERE if is_whole else None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "RESULTS.md").write_text(document(report), encoding="utf-8")
        _write_json(report, folder / "results.json")
    return 3 if report.failures else 0 if report.all_met else 1


def _run(names: list[str], options: Options, report: Report) -> None:
    print("\n".join(head_lines(report)), flush=True)
    for name in names:
        print(f"\n## {name}", flush=True)
        tables, began = report.tables.setdefault(name, []), time.monotonic()
        try:
            for table in CASES[name].main(options):
                tables.append(table)
                print("\n".join(table_lines(table)), flush=True)
        except Failed as failure:  # The others still have something to tell.
            report.failures[name] = str(failure)
            tell(f"{name}: {failure}")
        tell(f"{name}: took {time.monotonic() - began:.0f} s")


def _write_json(report: Report, file: Path) -> None:
    file.write_text(json.dumps(as_data(report), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
