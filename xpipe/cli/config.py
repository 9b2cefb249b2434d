"""`xpipe config`: the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpipe.cli import looking, options

EXAMPLES = """[bold]Examples[/bold]

  xpipe config organism.yaml

  xpipe config organism.yaml --set listeners.greeter.timeout=5s

  xpipe config organism.yaml --json | jq .config.backend"""

OrganismFile = Annotated[
    Path, typer.Argument(metavar="ORGANISM.YAML", help="Whose configuration is meant.", show_default=False)
]


def config(organism: OrganismFile, set: options.Overrides = None, json: looking.Json = False) -> int:
    """Show the effective configuration of an organism: its file with variables, defaults and --set.

    It is itself an organism file, but for its secrets, which are masked. No code of yours is run.

    Exit codes: 0 fine, 2 wrong options, 3 bad organism.yaml.
    """
    overrides = options.parse_overrides(set)
    from xpipe.cli.emitting import Emitter
    from xpipe.config.effective import effective_config
    from xpipe.config.loading import examine
    from xpipe.core.errors import ConfigError

    emitter = Emitter()
    examined = examine(organism, imports=False, overrides=overrides)
    if examined.definition is None:
        raise ConfigError(examined.findings)
    if json:
        emitter.json({"file": str(organism), "config": effective_config(examined.shape, exact=True)})
    else:
        from xpipe.cli.yaml_text import yaml_lines

        emitter.lines(yaml_lines(effective_config(examined.shape)))
    return 0
