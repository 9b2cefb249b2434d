"""The schema of organism.yaml as data: sections, their keys, and what each key takes."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe.config.kinds import (
    DURATION,
    FILLED_TEXT,
    FLAG,
    FRACTION,
    PAYLOAD,
    REDIS_URL,
    SHARE,
    SIZE,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    TIME_TO_LIVE,
    Kind,
    choice,
    whole_number,
)
from xpipe.core.limits import Limits
from xpipe.core.organism import (
    DEFAULT_MAX_SLOTS,
    DEFAULT_MAX_THREADS,
    DEFAULT_REDIS_PREFIX,
    DEFAULT_REDIS_TTL,
    DEFAULT_REDIS_URL,
    DEFAULT_RETENTION,
    DEFAULT_TIMEOUT,
    PoolSettings,
)
from xpipe.core.payloads import DEFAULT_IN_FLIGHT
from xpipe.core.retry import RetryPolicy

_LIMITS, _POOL, _RETRY = Limits(), PoolSettings(), RetryPolicy()


@dataclass(frozen=True)
class Key:
    """One key of a section; its value is of a kind, or a section inside that one, or with `many` a list of those.

    A key without a value counts as left out, unless `never_empty`. Secrets are never shown. `beside`: the key that it
    means nothing without. default: what a key that is left out stands for, as its kind reads it; None if that is no
    value. of: the value of the section's short key that it is for, "" if for all.
    """

    name: str
    kind: Kind | Section
    description: str
    required: bool = False
    secret: bool = False
    never_empty: str = ""
    beside: str = ""
    default: object = None
    of: str = ""


@dataclass(frozen=True)
class Section:
    """A mapping with known keys: `title` names an entry, `many` is a list of them.

    short: the key that a single value in the place of an entry stands for; one_of: each entry has exactly one of these;
    called_by: the key by whose value one of many entries is called.
    """

    name: str
    title: str
    description: str
    keys: tuple[Key, ...]
    many: bool = False
    required: bool = False
    short: str = ""
    one_of: tuple[str, ...] = ()
    called_by: str = ""


BACKENDS = ("memory", "manager", "sqlite", "redis")
_ONE = whole_number(1)

ORGANISM = Section(
    "organism",
    "the organism section",
    "What the organism is called.",
    (Key("name", FILLED_TEXT, "Names the organism; the root of all its call chains.", required=True),),
    required=True,
    short="name",
)
BACKEND = Section(
    "backend",
    "the backend section",
    "Where state lives. Keys of other backend types may stand beside those of the chosen one.",
    (
        Key("type", choice(*BACKENDS), "The backend that is used.", default="memory"),
        Key("redis_url", REDIS_URL, "redis: the URL of the server.", secret=True, default=DEFAULT_REDIS_URL,
            of="redis"),
        Key("redis_prefix", TEXT, "redis: what every key begins with.", default=DEFAULT_REDIS_PREFIX, of="redis"),
        Key("redis_ttl", TIME_TO_LIVE, "redis: how long state is kept after its last change; 0 for ever.",
            default=DEFAULT_REDIS_TTL, of="redis"),
        Key("manager_address", FILLED_TEXT, "manager: host:port, or the path of a socket.", of="manager"),
        Key("manager_authkey", FILLED_TEXT, "manager: the key that its clients share.", secret=True, of="manager"),
        Key("path", FILLED_TEXT, "sqlite: the database file, relative to this file's folder.", of="sqlite"),
        Key("retention", DURATION, "How long finished conversations are kept.", default=DEFAULT_RETENTION),
        Key("max_slots_per_thread", _ONE, "Recorded messages of a thread.", default=DEFAULT_MAX_SLOTS),
        Key("max_threads", _ONE, "Threads alive before sources wait.", default=DEFAULT_MAX_THREADS),
    ),
    short="type",
)  # fmt: skip
POOL = Section(
    "process_pool",
    "the process_pool section",
    "The worker processes of cpu_bound listeners.",
    (
        Key("workers", _ONE, "Worker processes; as many as the CPUs this process may use if left out."),
        Key("max_tasks_per_child", whole_number(0), "Tasks after which a worker is replaced; 0 for never.",
            default=_POOL.max_tasks_per_child),
    ),
)  # fmt: skip
LIMITS = Section(
    "limits",
    "the limits section",
    "The bounds of the organism.",
    (
        Key("hops", _ONE, "Messages along one causal path.", default=_LIMITS.hops),
        Key("depth", _ONE, "Segments of a call chain.", default=_LIMITS.depth),
        Key("payload_bytes", SIZE, "Size of one encoded payload.", default=_LIMITS.payload_bytes),
        Key("slots_per_thread", _ONE, "Recorded messages of a thread.", default=_LIMITS.slots_per_thread),
        Key("fan_out", _ONE, "Items of a Buffer, or calls that a handler makes at once.", default=_LIMITS.fan_out),
        Key("in_flight", _ONE, "Messages under way before sources and items of Buffers wait.",
            default=_LIMITS.in_flight),
        Key("conversation_duration", DURATION, "How long a conversation may take; 0 for no bound.",
            default=_LIMITS.conversation_duration),
    ),
)  # fmt: skip
RETRY = Section(
    "retry",
    "the retry section",
    "When a message whose handler failed is tried again; a number alone is max_attempts.",
    (
        Key("max_attempts", _ONE, "How often a message is tried, the first time included.",
            default=_RETRY.max_attempts),
        Key("backoff", DURATION, "The pause after the first attempt, doubled after each further one.",
            default=_RETRY.backoff),
        Key("max_backoff", DURATION, "The longest pause.", default=_RETRY.max_backoff),
        Key("jitter", FRACTION, "How much of a pause is left to chance.", default=_RETRY.jitter),
        Key("on", TEXT_OR_TEXTS, "Fault codes and names of exception classes that are tried again; if left out "
            "exception, timeout, worker_lost and no_thread."),
        Key("never", TEXT_OR_TEXTS, "Those that are not, whatever stands in on."),
    ),
    short="max_attempts",
)  # fmt: skip
BUFFER = Section(
    "buffer",
    "the buffer section",
    "A fan-out: each item of an Items goes to the target, and a BufferComplete with all results is the answer.",
    (
        Key("target", FILLED_TEXT, "The listener or group that each item goes to.", required=True),
        Key("max_in_flight", _ONE, "Items under way at once.",
            default=DEFAULT_IN_FLIGHT),
        Key("timeout", DURATION, "How long all of it may take; 0 for no bound.", default=0.0),
        Key("min_success", SHARE, "How many items have to succeed: a number, or a percentage such as 90%."),
        Key("on_partial", choice("complete", "fault"), "What too few successes end with.",
            default="complete"),
        Key("cancel_rest", FLAG, "What is under way when the outcome is decided is cancelled.", default=False),
    ),
    short="target",
)  # fmt: skip
SEQUENCE = Section(
    "sequence",
    "a step",
    "Listeners in order, each on the answer of the one before; a name alone is a step.",
    (
        Key("step", FILLED_TEXT, "The listener.", required=True),
        Key("timeout", DURATION, "How long its answer may take; 0 for no bound.", default=0.0),
        Key("retry", RETRY, "When the step is tried again after a fault; never if left out."),
    ),
    many=True,
    required=True,
    short="step",
    called_by="step",
)
LISTENERS = Section(
    "listeners",
    "a listener",
    "The receivers of messages.",
    (
        Key("name", FILLED_TEXT, "What messages are addressed to; may contain dots.", required=True),
        Key("handler", FILLED_TEXT, "The function: package.module.name or file.py:name.",
            never_empty="Write package.module.name or file.py:name."),
        Key("buffer", BUFFER, "In the place of a handler: it fans out to a target.", never_empty="Name its target."),
        Key("sequence", SEQUENCE, "In the place of a handler: it calls listeners in order.",
            never_empty="List its steps."),
        Key("payload_class", TEXT_OR_TEXTS, "The classes it takes; read from the handler's annotation if left out.",
            beside="handler"),
        Key("description", TEXT, "What it does, for people and for agents."),
        Key("agent", FLAG, "It decides itself whom to call, among its peers.", beside="handler", default=False),
        Key("peers", TEXTS, "Whom it may call: listeners, groups; [] for nobody, anybody if left out.",
            never_empty="Write [] for nobody, or leave peers out for anybody.", beside="handler"),
        Key("broadcast", FLAG, "It belongs to the group that its name without the last part names.", default=False),
        Key("cpu_bound", FLAG, "Its handler runs in a worker process.", beside="handler", default=False),
        Key("inline", FLAG, "Its plain handler is cheap and runs on the event loop.", beside="handler", default=False),
        Key("timeout", DURATION, "How long its handler may run; 0 for no bound.", beside="handler",
            default=DEFAULT_TIMEOUT),
        Key("concurrency", _ONE, "Handlers of it at once in a process.", beside="handler"),
        Key("retry", RETRY, "When a message whose handler failed is tried again; if left out only after the loss of a "
            "worker.", beside="handler"),
    ),
    many=True,
    required=True,
    one_of=("handler", "buffer", "sequence"),
    called_by="name",
)  # fmt: skip
MESSAGES = Section(
    "messages",
    "a message",
    "What is injected when the organism starts.",
    (
        Key("to", FILLED_TEXT, "The listener or group it goes to.", required=True),
        Key("payload", PAYLOAD, "The payload as a mapping, or as JSON or XML text.", required=True),
        Key("type", FILLED_TEXT, "The payload's class, where the listener takes several."),
    ),
    many=True,
)
SECTIONS = (ORGANISM, BACKEND, POOL, LIMITS, LISTENERS, MESSAGES)
FILE = Section(
    "",
    "an organism file",
    "An organism: handlers for typed messages.",
    tuple(Key(section.name, section, section.description, required=section.required) for section in SECTIONS),
    required=True,
)
"""The whole file."""
