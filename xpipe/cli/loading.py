"""organism.yaml for a command that runs its code."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from xpipe.cli.errors import told
from xpipe.cli.logs import taken_in
from xpipe.cli.voice import tell
from xpipe.config.loading import check_definition
from xpipe.core.errors import ConfigError
from xpipe.core.organism import OrganismDefinition


def load_organism(file: str, overrides: Sequence[str] = (), imports: bool = True) -> OrganismDefinition:
    """The organism that `file` declares, `overrides` of `--set` in it; its warnings told on stderr. Raises ConfigError.

    Without `imports` none of its code runs, and its listeners cannot be called.
    """
    with taken_in() if imports else contextlib.nullcontext():
        definition, findings = check_definition(file, imports=imports, overrides=overrides)
    if definition is None:
        raise ConfigError(findings)
    if warnings := [finding for finding in findings if finding.severity == "warning"]:
        tell(f"{told(warnings)}\n", "warning")
    return definition
