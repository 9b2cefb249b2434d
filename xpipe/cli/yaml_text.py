"""Data as YAML that organism files are made of: what is written is read back as it was."""

from __future__ import annotations

from typing import Any

import yaml

from xpipe.cli.text import is_hidden, visible
from xpipe.config.scalars import resolve


class _Dumper(yaml.SafeDumper):
    """Text that the reader would take for something else is quoted."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def yaml_lines(data: Any) -> list[str]:
    """`data` as lines of YAML, in its order."""
    text = yaml.dump(
        _escaped(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6
    )
    # What could steer a terminal stands in double quotes only, where it may be written out.
    return visible(text, keep_lines=True).splitlines()


def _escaped(data: Any) -> Any:
    """`data` with dollars doubled where they would begin a variable."""
    if isinstance(data, dict):
        return {key: _escaped(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_escaped(item) for item in data]
    return data.replace("$", "$$") if isinstance(data, str) and ("$$" in data or "${" in data) else data


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if is_hidden(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
