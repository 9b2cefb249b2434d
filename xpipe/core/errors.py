"""The one tree of errors; each class carries the exit code that the command line ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpipe.core.findings import Finding

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_CONFIG = 3
EXIT_BACKEND = 4
EXIT_UNFINISHED = 5
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class XpipeError(Exception):
    """Something a user can act on; the message says what, where and what to do next.

    No credential is shown, wherever the text comes from.
    """

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(self, text: str) -> None:
        from xpipe.core.secrets import redacted  # Most commands end without an error.

        super().__init__(redacted(text))


class UsageError(XpipeError):
    """An option or argument is wrong."""

    exit_code = EXIT_USAGE


class ConfigError(XpipeError):
    """organism.yaml is invalid; `findings` holds everything that is wrong with it."""

    exit_code = EXIT_CONFIG

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in findings))


class BackendError(XpipeError):
    """The backend cannot be reached or refuses the work."""

    exit_code = EXIT_BACKEND


class EmptyBackendError(BackendError):
    """The backend is reached, and no organism has been there yet."""


class LimitError(XpipeError):
    """What is asked for would pass a limit, or take what is taken."""

    exit_code = EXIT_FAULT


class PoolError(XpipeError):
    """The worker processes cannot be started."""

    exit_code = EXIT_FAULT


class SystemLimitError(XpipeError):
    """The system refuses memory, a thread or a file, or cannot load a part of the program."""

    exit_code = EXIT_FAULT


class PayloadError(XpipeError):
    """A payload cannot be encoded or decoded; `code` is the fault code it becomes."""

    exit_code = EXIT_FAULT

    def __init__(self, text: str, code: str = "bad_payload") -> None:
        self.code = code
        super().__init__(text)


class WireError(PayloadError):
    """A document from outside cannot be read; the text names the file, line and column where known.

    path: to the part of the payload that does not fit, where that is known; raw: the document, as far as it was read;
    cut_off: the input ends inside it.
    """

    def __init__(
        self, text: str, code: str = "bad_payload", path: Sequence[object] = (), raw: bytes = b"", cut_off: bool = False
    ) -> None:
        self.path = path
        self.raw = raw
        self.cut_off = cut_off
        super().__init__(text, code)

    @property
    def where(self) -> str:
        """The place at the start of the text."""
        return str(self).partition(": ")[0]


def reason_of(error: OSError | ValueError) -> str:
    """Why a path cannot be used: the system's message, or ours if Python refused it without asking the system."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, UnicodeError) else "a path cannot hold a null character"
