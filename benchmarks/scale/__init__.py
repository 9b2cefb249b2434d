"""What looking into a backend costs when it holds very much."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.redis_server import redis_server
from benchmarks.report import Table
from benchmarks.scale.commands import longest_commands
from benchmarks.scale.contents import crowd_in, sizes
from benchmarks.scale.listing import registry_against_keys
from benchmarks.scale.shell import registry_command, threads_command


def main(options: Options) -> Iterator[Table]:
    """Four tables: the registry against KEYS, the longest Redis command, `xpipe threads`, `xpipe registry`."""
    chosen = sizes(options.size)
    # A server of its own, as KEYS walks through everything that a server holds.
    with redis_server() as url, crowd_in(url, chosen.pairs, chosen.threads) as crowd:
        yield registry_against_keys(crowd, options.repeats)
        yield longest_commands(crowd, options.repeats)
    with redis_server() as url, tempfile.TemporaryDirectory(prefix="xpipe") as folder:
        yield threads_command(folder, url, chosen.listed, options.repeats)
        yield registry_command(folder, url, chosen.registered, options.repeats)
