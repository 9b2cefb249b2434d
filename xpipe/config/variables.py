"""`${VAR}`, `${VAR:-default}` and `${VAR:?message}` in the text of a scalar; `$$` stands for a dollar."""

from __future__ import annotations

import re
from collections.abc import Mapping

from xpipe.config.wording import one_line, quote

VARIABLE_CODES = ("unset-variable", "bad-variable")
"""The codes of the findings about variables."""
_MOST_CHARACTERS = 16 * 1024 * 1024
_DEEPEST = 10
_NEXT = re.compile(r"\$\$|\$\{")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:[-?])(.*))?", re.DOTALL)
_NAME_START = re.compile(r"[A-Za-z0-9_]{0,40}")
_BRACE = re.compile(r"[{}]")
_FORMS = "Write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $$ for a dollar."


class VariableError(Exception):
    """Text cannot be expanded: `code`, `message` and `hint` of the finding."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(message)


class Expander:
    """Replaces the variables of `environ` in texts, 16 million characters of result altogether at most."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._room = _MOST_CHARACTERS
        self._errors: list[VariableError] = []

    def expand(self, text: str) -> tuple[str, list[VariableError]]:
        """`text` with its variables replaced, and what is wrong with them."""
        if "$" not in text:
            return text, []
        self._errors = []
        try:
            return self._expand(text, 0), self._errors
        except VariableError as error:
            return text, [*self._errors, error]

    def _expand(self, text: str, depth: int) -> str:
        parts: list[str] = []
        start = 0
        while match := _NEXT.search(text, start):
            parts.append(text[start : match.start()])
            start = match.end()
            if match[0] == "$$":
                parts.append("$")
                continue
            end = _closing(text, start)
            parts.append(self._value(text[start:end], depth))
            start = end + 1
        return "".join([*parts, text[start:]])

    def _value(self, reference: str, depth: int) -> str:
        match = _REFERENCE.fullmatch(reference)
        if match is None or depth >= _DEEPEST:
            raise _malformed(reference)
        name, operator, operand = match.groups()
        value = self._environ.get(name)
        if value is None or (operator and not value):
            return self._instead(name, operator, operand, depth)
        return self._bounded(name, value)

    def _instead(self, name: str, operator: str | None, operand: str, depth: int) -> str:
        if operator == ":-":
            return self._expand(operand, depth + 1)
        message, hint = f"The variable {name} is not set.", f"Set it in the environment, or write ${{{name}:-default}}."
        if operator == ":?" and operand.strip():
            message, hint = f"The variable {name} is not set: {one_line(operand)}.", ""
        self._errors.append(VariableError("unset-variable", message, hint))
        return ""

    def _bounded(self, name: str, value: str) -> str:
        self._room -= len(value)
        if self._room < 0:
            message = f"The variable {name} makes the file larger than 16 MiB."
            raise VariableError("bad-variable", message)
        if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            raise VariableError("bad-variable", f"The value of the variable {name} is not UTF-8 text.")
        return value


def is_whole(text: str) -> bool:
    """Whether `text` is one `${...}` and nothing else."""
    if not text.startswith("${"):
        return False
    try:
        return _closing(text, 2) == len(text) - 1
    except VariableError:
        return False


def _closing(text: str, start: int) -> int:
    """The position of the brace that closes one opened before `start`; braces in between come in pairs."""
    depth = 0
    for match in _BRACE.finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth < 0:
            return match.start()
    raise _malformed(text[start:])


def _malformed(reference: str) -> VariableError:
    """Shows the start only: what follows may be a secret."""
    start = _NAME_START.match(reference)
    shown = quote("${" + (start[0] if start else ""))
    return VariableError("bad-variable", f"The variable that begins with {shown} is malformed.", _FORMS)
