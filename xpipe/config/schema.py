"""The schema of organism.yaml as data: sections, their keys, and what each key takes."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe.config.kinds import (
    DURATION,
    FILLED_TEXT,
    FLAG,
    PAYLOAD,
    SIZE,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    TIME_TO_LIVE,
    Kind,
    choice,
    whole_number,
)


@dataclass(frozen=True)
class Key:
    """One key of a section. A key without a value counts as left out, unless `never_empty`. Secrets are never shown."""

    name: str
    kind: Kind
    description: str
    required: bool = False
    secret: bool = False
    never_empty: str = ""


@dataclass(frozen=True)
class Section:
    """One top-level key: `title` names an entry, `many` is a list of them, `short` the key that text stands for."""

    name: str
    title: str
    description: str
    keys: tuple[Key, ...]
    many: bool = False
    required: bool = False
    short: str = ""


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
        Key("type", choice(*BACKENDS), "The backend that is used; memory if left out."),
        Key("redis_url", FILLED_TEXT, "redis: the URL of the server.", secret=True),
        Key("redis_prefix", TEXT, "redis: what every key begins with."),
        Key("redis_ttl", TIME_TO_LIVE, "redis: how long state is kept after its last change; 0 for ever."),
        Key("manager_address", FILLED_TEXT, "manager: host:port, or the path of a socket."),
        Key("manager_authkey", FILLED_TEXT, "manager: the key that its clients share.", secret=True),
        Key("path", FILLED_TEXT, "sqlite: the database file, relative to this file's folder."),
        Key("retention", DURATION, "How long finished conversations are kept."),
        Key("max_slots_per_thread", _ONE, "Recorded messages of a thread."),
        Key("max_threads", _ONE, "Threads alive before sources wait."),
    ),
    short="type",
)
POOL = Section(
    "process_pool",
    "the process_pool section",
    "The worker processes of cpu_bound listeners.",
    (
        Key("workers", _ONE, "Worker processes; as many as the CPUs this process may use if left out."),
        Key("max_tasks_per_child", whole_number(0), "Tasks after which a worker is replaced; 0 for never."),
    ),
)
LIMITS = Section(
    "limits",
    "the limits section",
    "The bounds of the organism.",
    (
        Key("hops", _ONE, "Messages along one causal path."),
        Key("depth", _ONE, "Segments of a call chain."),
        Key("payload_bytes", SIZE, "Size of one encoded payload."),
        Key("slots_per_thread", _ONE, "Recorded messages of a thread."),
        Key("fan_out", _ONE, "Items of a Buffer."),
        Key("in_flight", _ONE, "Messages under way before sources wait."),
    ),
)
LISTENERS = Section(
    "listeners",
    "a listener",
    "The receivers of messages.",
    (
        Key("name", FILLED_TEXT, "What messages are addressed to; may contain dots.", required=True),
        Key("handler", FILLED_TEXT, "The function: package.module.name or file.py:name.", required=True),
        Key("payload_class", TEXT_OR_TEXTS, "The classes it takes; read from the handler's annotation if left out."),
        Key("description", TEXT, "What it does, for people and for agents."),
        Key("agent", FLAG, "It decides itself whom to call, among its peers."),
        Key("peers", TEXTS, "Whom it may call: listeners, groups; [] for nobody, anybody if left out.",
            never_empty="Write [] for nobody, or leave peers out for anybody."),
        Key("broadcast", FLAG, "It belongs to the group that its name without the last part names."),
        Key("cpu_bound", FLAG, "Its handler runs in a worker process."),
        Key("inline", FLAG, "Its plain handler is cheap and runs on the event loop."),
        Key("timeout", DURATION, "How long its handler may run; 30s if left out, 0 for no bound."),
        Key("concurrency", _ONE, "Handlers of it at once in a process."),
    ),
    many=True,
    required=True,
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
