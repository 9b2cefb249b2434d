"""What one organism.yaml declares, resolved and ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xpipe.core.durations import DAY
from xpipe.core.handlers import bind, is_async
from xpipe.core.limits import Limits
from xpipe.core.payloads import SequenceStep
from xpipe.core.retry import RetryPolicy

DEFAULT_TIMEOUT = 30.0
DEFAULT_REDIS_URL = "redis://localhost:6379"
DEFAULT_REDIS_PREFIX = "xp:"
FORMER_REDIS_PREFIX = "xpipe:"
"""The default of earlier versions."""
DEFAULT_REDIS_TTL = DAY
DEFAULT_RETENTION = DAY
DEFAULT_MAX_THREADS = 100_000
DEFAULT_MAX_SLOTS = 10_000


@dataclass(frozen=True, slots=True)
class CodeRef:
    """Where user code lives: `module` is a dotted name or the path of a .py file, `name` an attribute path in it.

    `folder` is the organism's folder, from which siblings of the module are imported.
    """

    folder: str
    module: str
    name: str


@dataclass(frozen=True, slots=True)
class BufferOptions:
    """How a Buffer sends its items to the listener or group `target`, and when it is over.

    As in a BufferStart; min_success is a number `"16"`, a percentage `"90%"`, or "" for any number.
    """

    target: str
    max_in_flight: int = 0
    timeout: float = 0.0
    min_success: str = ""
    on_partial: str = "complete"
    cancel_rest: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A named receiver of messages.

    accepts: the payload classes its handler takes, replies included; peers: the names it may call, or None for any;
    timeout: seconds from the handler's start, or None; concurrency: handlers of it at once in a process, or None.
    retry: when a message whose handler failed is tried again, or None for the defaults. `ref` is where the handler was
    loaded from, None for one registered by code. With `buffer` or `sequence` it is a
    Buffer or a Sequence and its handler `no_handler`. answers: the payload classes that the handler's annotation says
    it sends or answers, None where it does not say. `asynchronous`: calling the handler gives a coroutine;
    `call(payload, metadata)` runs it, or `call(payload)` if it does not take metadata.
    """

    name: str
    handler: Callable[..., Any]
    accepts: tuple[type, ...]
    description: str = ""
    agent: bool = False
    peers: frozenset[str] | None = None
    broadcast: bool = False
    cpu_bound: bool = False
    inline: bool = False
    timeout: float | None = DEFAULT_TIMEOUT
    concurrency: int | None = None
    ref: CodeRef | None = None
    retry: RetryPolicy | None = None
    buffer: BufferOptions | None = None
    sequence: tuple[SequenceStep, ...] = ()
    answers: tuple[type, ...] | None = None
    asynchronous: bool = field(init=False, repr=False, compare=False)
    call: Callable[..., Any] = field(init=False, repr=False, compare=False)
    takes_metadata: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        call, takes_metadata = bind(self.handler)
        object.__setattr__(self, "asynchronous", is_async(self.handler))
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "takes_metadata", takes_metadata)


def no_handler(payload: Any, metadata: Any) -> None:
    """The handler of listeners whose messages the pump itself takes. Never called."""
    del payload, metadata


@dataclass(frozen=True, slots=True)
class StartMessage:
    """An entry of `messages:`. `payload` is a mapping, or XML or JSON text; `where` is its file:line:column."""

    to: str
    payload: Any
    type: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """The `backend:` section: its type, and the options of every type, those of other types unused."""

    type: str = "memory"
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # it may hold secrets


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The `process_pool:` section. workers: None for as many as the CPUs this process may use; 0 tasks: no bound."""

    workers: int | None = None
    max_tasks_per_child: int = 0


@dataclass(frozen=True, slots=True)
class OrganismDefinition:
    """Everything one organism.yaml declares. `payload_types` are the classes known, and where a worker finds them."""

    name: str
    folder: str
    file: str = ""
    backend: BackendSettings = field(default_factory=BackendSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    limits: Limits = field(default_factory=Limits)
    listeners: tuple[Listener, ...] = ()
    messages: tuple[StartMessage, ...] = ()
    payload_types: Mapping[type, CodeRef] = field(default_factory=dict)
