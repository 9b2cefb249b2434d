"""`xpipe config`: the command."""

from __future__ import annotations

from xpipe.cli import looking, options
from xpipe.cli.organism_file import OrganismFile, find_file

EXAMPLES = """[bold]Examples[/bold]

  xpipe config

  xpipe config organism.yaml --set listeners.greeter.timeout=5s

  xpipe config --json | jq .config.backend"""


def config(organism: OrganismFile = None, set: options.Overrides = None, json: looking.Json = False) -> int:
    """Show the effective configuration of an organism: its file with variables, defaults and --set.

    The result is an organism file itself, with secrets masked. None of your code runs.

    Exit codes: 0 fine, 2 wrong options, 3 bad organism.yaml.
    """
    overrides = options.parse_overrides(set)
    from xpipe.cli.emitting import Emitter
    from xpipe.config.effective import effective_config
    from xpipe.config.loading import examine
    from xpipe.core.errors import ConfigError

    file = find_file(organism)
    emitter = Emitter()
    examined = examine(file, imports=False, overrides=overrides)
    if examined.definition is None:
        raise ConfigError(examined.findings)
    if json:
        emitter.json({"file": file, "config": effective_config(examined.shape, exact=True)})
    else:
        from xpipe.cli.yaml_text import yaml_lines

        emitter.lines(yaml_lines(effective_config(examined.shape)))
    return 0
