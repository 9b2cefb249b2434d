"""Whether two runs have printed the same, but for what differs from run to run: ids, times, processes."""

from __future__ import annotations

import difflib
import re

ANY_LINES = "..."
_VARYING = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIME"),
    (r"\d+ h \d+ min|\d+ min \d+ s|\b\d+(\.\d+)?(e[-+]?\d+)? (ms|s)\b", "SECONDS"),
    (r"(?<=[\s])[░█─]+(?=\s|$)", " "),
    (r"(?m) \S+:\d+$", " PROCESS"),
    (r"(?m)\"(\w*seconds|hops_per_second)\": [\d.e-]+", r'"\1": SECONDS'),
    (r"(/[\w.@-]+)+/(?=[\w-]+\.(py|yaml))", ""),
    (r" +", " "),
    (r"(?m) +$", ""),
)


def stable(text: str) -> str:
    """`text` with one word in the place of everything that differs from run to run."""
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return text.strip("\n")


def looks_like(shown: str, printed: str) -> str:
    """Nothing if `shown` is what was `printed`; else how they differ. A line `...` in `shown` is any lines."""
    wanted, got = stable(shown).split("\n"), stable(printed)
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == ANY_LINES else f"{re.escape(line)}\n" for line in wanted)
    if re.fullmatch(pattern, f"{got}\n"):
        return ""
    return "\n".join(difflib.unified_diff(wanted, got.split("\n"), "the page", "printed", lineterm=""))
