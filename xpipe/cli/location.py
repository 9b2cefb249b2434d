"""Where the state is that a command looks into: an organism.yaml, or a backend and its options."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, NamedTuple, ParamSpec

import typer

from xpipe.cli.options import Overrides, parse_overrides
from xpipe.cli.organism_file import ENDINGS, default_file, file_at, folder_file, is_file
from xpipe.core.errors import BackendError, ConfigError, UsageError

if TYPE_CHECKING:
    from xpipe.ports import SharedBackend
    from xpipe.state.config import BackendConfig

P = ParamSpec("P")

_PANEL = "State without an organism.yaml"
_OPTIONS_OF = {
    "memory": (),
    "manager": ("address", "authkey_file"),
    "sqlite": ("path",),
    "redis": ("url", "prefix"),
}
_KINDS = ("manager", "sqlite", "redis")
"""Those that can be looked into from outside."""
_FILES = frozenset({"path", "address", "authkey_file"})
"""The options whose values may be any bytes."""
_AUTHKEY = "XPIPE_MANAGER_AUTHKEY"
_ONLY_INSIDE = (
    "a memory backend exists only during a run, so there is nothing to inspect; "
    "use sqlite or redis (backend: {type: sqlite, path: state.db}), or print the state with `xpipe run --json`"
)


def _option(name: str, metavar: str, help: str, variable: str | None = None, values: Sequence[str] = ()) -> Any:
    return typer.Option(
        name,
        metavar=metavar,
        help=help,
        envvar=variable,
        rich_help_panel=_PANEL,
        show_default=False,
        autocompletion=(lambda: list(values)) if values else None,
    )


Backend = Annotated[
    str | None,
    _option("--backend", "|".join(_KINDS), "Type of the backend.", "XPIPE_BACKEND", values=_KINDS),
]
Url = Annotated[str | None, _option("--url", "URL", "redis: URL of the server.", "XPIPE_REDIS_URL")]
Prefix = Annotated[
    str | None,
    _option("--prefix", "TEXT", r"redis: prefix of its keys \[default: xp:].", "XPIPE_REDIS_PREFIX"),
]
StateFile = Annotated[str | None, _option("--path", "FILE", "sqlite: path of the state file.", "XPIPE_SQLITE_PATH")]
Address = Annotated[
    str | None,
    _option("--address", "HOST:PORT|SOCKET", "manager: address that it listens on.", "XPIPE_MANAGER_ADDRESS"),
]
AuthkeyFile = Annotated[
    str | None, _option("--authkey-file", "FILE", f"manager: file with its key; or set {_AUTHKEY} to the key.")
]


class Location(NamedTuple):
    """The options that say where the state is, by name. typed: those of the command line, not of the environment.

    overrides: what `--set` puts into the organism.yaml.
    """

    options: dict[str, str]
    typed: frozenset[str]
    overrides: tuple[str, ...] = ()


def located(command: Callable[Concatenate[Location, P], int]) -> Callable[..., int]:
    """`command` with the options of a Location in the place of its first parameter."""
    given = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=None)
        for name, kind in {"overrides": Overrides, **_PARAMETERS}.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    @wraps(command)
    def run(context: typer.Context, *args: P.args, **kwargs: P.kwargs) -> int:
        options = {name: value for name in _PARAMETERS if isinstance(value := kwargs.pop(name), str)}
        _check_text(options)
        typed = {name for name in options if _is_typed(context, name)}
        overrides = parse_overrides(kwargs.pop("overrides"))  # type: ignore[arg-type]  # not one of the command's own
        return command(Location(options, frozenset(typed), overrides), *args, **kwargs)

    own = list(given.parameters.values())[1:]
    signature = given.replace(parameters=[context, *own, *added])
    run.__signature__ = signature  # type: ignore[attr-defined]  # what Typer reads
    run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    return run


def _check_text(options: dict[str, str]) -> None:
    from xpipe.inspection.plain import is_utf8

    for name in options.keys() - _FILES:
        if not is_utf8(options[name]):
            raise UsageError(f"{_shown(name)} is not valid UTF-8; correct it, or its environment variable")


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


_PARAMETERS: dict[str, Any] = {
    "backend": Backend,
    "url": Url,
    "prefix": Prefix,
    "path": StateFile,
    "address": Address,
    "authkey_file": AuthkeyFile,
}


class Place(NamedTuple):
    """The state that a command works on.

    organism: its name and file, both "" where only a backend was named; listeners: the names that the file has;
    overrides: the values of the file that --set overrides.
    """

    config: BackendConfig
    organism: str = ""
    file: str = ""
    listeners: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()

    @contextmanager
    def opened(self) -> Iterator[SharedBackend]:
        """The backend, open; nothing is made that is not there. Raises BackendError."""
        if self.config.backend_type == "memory":
            raise BackendError(_ONLY_INSIDE)
        from xpipe.state.factory import attach_backend

        backend = attach_backend(self.config)
        if "logging" in sys.modules:  # Not all that is light uses it.
            from xpipe.cli.logs import take_in_records

            take_in_records()
        try:
            backend.open(None, self.config.max_slots_per_thread)
            self._check(backend.root())
            yield backend
        finally:
            backend.close()

    def _check(self, root: str) -> None:
        from xpipe.core import chains

        if self.organism and root != chains.root(self.organism):
            raise BackendError(
                f"{self.file}: its backend holds the state of {root}, not of {chains.root(self.organism)}; "
                "give each organism a backend of its own"
            )


def find_place(
    location: Location, words: list[str | None], most: int, changes: bool = False
) -> tuple[Place, list[str]]:
    """The state that `location` and the arguments `words` mean, and the up to `most` words that are left.

    The first of: an organism file among the words; `--backend`, else XPIPE_ORGANISM; else XPIPE_BACKEND; else the file
    of the current folder. A default is named on stderr if the command `changes` the state. Raises UsageError,
    ConfigError.
    """
    given = [word for word in words if word is not None]
    named = given[0] if given and _means_file(given[0], location, most) else None
    rest = given if named is None else given[1:]
    if len(rest) > most:
        why = "; with --backend there is no organism.yaml" if "backend" in location.typed else ""
        raise UsageError(f"unexpected argument {rest[most]!r}{why}")
    if named is not None:
        if location.typed:
            raise UsageError(f"{named} and {_first(location)} both say where the state is; omit one of them")
        return _place_of_file(file_at(named), location), rest
    file = None if "backend" in location.typed else default_file(changes)
    if file is None and "backend" not in location.options:
        file = folder_file(changes)
    if file is None:
        return _place_of_backend(location, changes), rest
    if location.typed:
        raise UsageError(f"{_first(location)} needs --backend TYPE; without it the state is that of {file}")
    return _place_of_file(file, location), rest


def _means_file(word: str, location: Location, most: int) -> bool:
    """Whether `word`, of a command that takes up to `most` others, is an organism file."""
    if "backend" in location.typed:
        return word.endswith(ENDINGS)
    return not most or is_file(word)


def _first(location: Location) -> str:
    return _shown(min(location.typed))


def _place_of_backend(location: Location, changes: bool) -> Place:
    if location.overrides:
        raise UsageError("--set overrides values of an organism.yaml; pass one, or leave --set out")
    if "backend" not in location.options:
        raise UsageError("no organism file; pass ORGANISM.YAML or --backend TYPE")
    if changes and "backend" not in location.typed:
        from xpipe.cli.voice import tell

        tell(f"xpipe: using the {location.options['backend']} backend of XPIPE_BACKEND")
    return Place(_config_of(location))


def _place_of_file(file: str, location: Location) -> Place:
    from xpipe.config.loading import check_definition
    from xpipe.state.config import BackendConfig

    definition, findings = check_definition(file, imports=False, overrides=location.overrides)
    if definition is None:
        raise ConfigError(findings)
    config = BackendConfig.from_settings(definition.backend, definition.folder, file)
    return Place(config, definition.name, file, tuple(one.name for one in definition.listeners), location.overrides)


def _config_of(location: Location) -> BackendConfig:
    options = location.options
    type = options["backend"]
    if type not in _OPTIONS_OF:
        raise UsageError(f"there is no backend {type!r}; --backend takes one of {', '.join(_OPTIONS_OF)}")
    for name in sorted(location.typed - {"backend", *_OPTIONS_OF[type]}):
        raise UsageError(f"{_shown(name)} is not an option of the {type} backend; leave it out, or change --backend")
    return _MAKERS[type](options)


def _memory_config(_: dict[str, str]) -> BackendConfig:
    from xpipe.state.config import BackendConfig

    return BackendConfig()


def _sqlite_config(options: dict[str, str]) -> BackendConfig:
    from xpipe.state.config import BackendConfig

    if not options.get("path"):
        raise UsageError("--backend sqlite needs the state file; add --path FILE (or set XPIPE_SQLITE_PATH)")
    return BackendConfig("sqlite", sqlite_path=options["path"])


def _redis_config(options: dict[str, str]) -> BackendConfig:
    from xpipe.core.organism import FORMER_REDIS_PREFIX
    from xpipe.state.config import BackendConfig

    names = {"url": "redis_url", "prefix": "redis_prefix"}
    given = {names[name]: options[name] for name in names if name in options}
    if "prefix" not in options:
        given["redis_former_prefix"] = FORMER_REDIS_PREFIX
    # Nobody knows what TTL the organism wants: none is set, and those that are stay.
    return BackendConfig("redis", redis_ttl=0.0, **given)  # type: ignore[arg-type]  # text options only


def _manager_config(options: dict[str, str]) -> BackendConfig:
    from xpipe.state.config import BackendConfig

    if "address" not in options:
        raise UsageError("--backend manager needs --address HOST:PORT or SOCKET (or set XPIPE_MANAGER_ADDRESS)")
    key = _read_key(options["authkey_file"]) if "authkey_file" in options else os.environb.get(_AUTHKEY.encode(), b"")
    if not key:
        raise UsageError(f"--backend manager needs the manager's key; add --authkey-file FILE (or set {_AUTHKEY})")
    return BackendConfig("manager", manager_address=options["address"], manager_authkey=key)


_MAKERS: dict[str, Callable[[dict[str, str]], BackendConfig]] = {
    "memory": _memory_config,
    "manager": _manager_config,
    "sqlite": _sqlite_config,
    "redis": _redis_config,
}


def _read_key(file: str) -> bytes:
    try:
        return Path(file).read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--authkey-file {file} cannot be read: {error.strerror}") from None


def _shown(name: str) -> str:
    return f"--{name.replace('_', '-')}"
