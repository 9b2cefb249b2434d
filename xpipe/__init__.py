"""Run an organism of Python message handlers declared in YAML. What handler authors import stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpipe.version import __version__

if TYPE_CHECKING:
    from xpipe.assembly import Organism as Organism
    from xpipe.core.errors import ConfigError as ConfigError
    from xpipe.core.errors import PayloadError as PayloadError
    from xpipe.core.errors import XpipeError as XpipeError
    from xpipe.core.payloads import BufferComplete as BufferComplete
    from xpipe.core.payloads import BufferDispatched as BufferDispatched
    from xpipe.core.payloads import BufferError as BufferError
    from xpipe.core.payloads import BufferItemResult as BufferItemResult
    from xpipe.core.payloads import BufferStart as BufferStart
    from xpipe.core.payloads import Fault as Fault
    from xpipe.core.payloads import HandlerMetadata as HandlerMetadata
    from xpipe.core.payloads import HandlerResponse as HandlerResponse
    from xpipe.core.payloads import Items as Items
    from xpipe.core.payloads import SequenceComplete as SequenceComplete
    from xpipe.core.payloads import SequenceError as SequenceError
    from xpipe.core.payloads import SequenceStart as SequenceStart
    from xpipe.core.payloads import SequenceStep as SequenceStep
    from xpipe.core.payloads import Slot as Slot
    from xpipe.core.retry import Reject as Reject
    from xpipe.core.retry import Retry as Retry
    from xpipe.core.retry import RetryPolicy as RetryPolicy
    from xpipe.runtime.happenings import Output as Output

__all__ = [
    "BufferComplete",
    "BufferDispatched",
    "BufferError",
    "BufferItemResult",
    "BufferStart",
    "ConfigError",
    "Fault",
    "HandlerMetadata",
    "HandlerResponse",
    "Items",
    "Organism",
    "Output",
    "PayloadError",
    "Reject",
    "Retry",
    "RetryPolicy",
    "SequenceComplete",
    "SequenceError",
    "SequenceStart",
    "SequenceStep",
    "Slot",
    "XpipeError",
    "__version__",
]

_ELSEWHERE = {
    "Organism": "xpipe.assembly",
    "Output": "xpipe.runtime.happenings",
    "ConfigError": "xpipe.core.errors",
    "PayloadError": "xpipe.core.errors",
    "Reject": "xpipe.core.retry",
    "Retry": "xpipe.core.retry",
    "RetryPolicy": "xpipe.core.retry",
    "XpipeError": "xpipe.core.errors",
}
"""The homes of the names that do not live in `xpipe.core.payloads`."""


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a worker process needs no pump, `--version` needs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'xpipe' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ELSEWHERE.get(name, "xpipe.core.payloads")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
