"""organism.yaml for a command that runs its code."""

from __future__ import annotations

from pathlib import Path

from xpipe.cli.errors import tell
from xpipe.cli.text import visible
from xpipe.config.loading import check_definition
from xpipe.core.errors import ConfigError
from xpipe.core.organism import OrganismDefinition


def load_organism(file: Path) -> OrganismDefinition:
    """The organism that `file` declares, its warnings told on stderr. Raises ConfigError."""
    definition, findings = check_definition(file)
    if definition is None:
        raise ConfigError(findings)
    for finding in findings:
        tell(visible(str(finding)))
    return definition
