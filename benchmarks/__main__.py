"""Measure xpipe: `python -m benchmarks [CASE...]`.

stdout is the tables, in Markdown; what is going on is told on stderr. Exit code 1: a bar was missed, 2: wrong usage,
3: something could not be measured, or did not do what it should.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from benchmarks import scale, startup, workers
from benchmarks.errors import Failed
from benchmarks.machine import machine, versions
from benchmarks.options import Options, Size
from benchmarks.report import Report, Table, as_data, head_lines, table_lines


class Case(Protocol):
    __doc__: str | None

    def main(self, options: Options) -> Iterable[Table]:
        """Measure; each table as it is ready. Raises Failed."""


CASES: dict[str, Case] = {"scale": scale, "startup": startup, "workers": workers}


def main(arguments: list[str]) -> int:
    """Run the named cases, or all."""
    chosen = _parse(arguments)
    if chosen.list:
        print("\n".join(_descriptions()))
        return 0
    # Servers and files are removed when the interpreter unwinds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    report = Report(datetime.now().astimezone().isoformat(timespec="seconds"), command, machine(), versions())
    try:
        _run(chosen.case or list(CASES), Options(chosen.repeats, Size(chosen.size)), report)
    except Failed as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(as_data(report), indent=2) + "\n", encoding="utf-8")
    return 0 if report.all_met else 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="cases:\n" + "\n".join(_descriptions()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case", nargs="*", help="one or more of the cases below (default: all)")
    parser.add_argument("--list", action="store_true", help="list the cases and do nothing else")
    parser.add_argument("--repeats", type=_at_least_one, default=3, metavar="N", help="runs of each side (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write the same as JSON to FILE")
    size = parser.add_mutually_exclusive_group()
    parser.set_defaults(size=Size.NORMAL)
    size.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, help="only small sizes")
    size.add_argument("--full", dest="size", action="store_const", const=Size.FULL, help="the largest sizes too")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.case if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if chosen.json and not Path(chosen.json).absolute().parent.is_dir():
        parser.error(f"--json {chosen.json}: its folder does not exist; make it first")
    return chosen


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("one run is the least")
    return number


def _descriptions() -> list[str]:
    return [f"  {name:10}{(case.__doc__ or '').partition(chr(10))[0]}" for name, case in CASES.items()]


def _run(names: list[str], options: Options, report: Report) -> None:
    print("\n".join(head_lines(report)), flush=True)
    for name in names:
        print(f"\n## {name}", flush=True)
        tables = report.tables.setdefault(name, [])
        for table in CASES[name].main(options):
            tables.append(table)
            print("\n".join(table_lines(table)), flush=True)


sys.exit(main(sys.argv[1:]))
