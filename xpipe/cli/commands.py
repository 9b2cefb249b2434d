"""Commands that are imported only when they are asked for, so that each starts as soon as it can."""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, ParamSpec, TypeVar

import typer
from typer.main import get_command

from xpipe.cli.completion import is_completion, read_shell, take_shell
from xpipe.cli.leaving import flush
from xpipe.cli.voice import LogFormat, Quiet, Verbose, set_voice

P = ParamSpec("P")
R = TypeVar("R")

_AS_GIVEN: dict[Any, Callable[[Any], Any]] = {bool: bool, str: str, list[str]: tuple, Path: Path}


def _show_help(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        raise typer.Exit(show_help(context))


def show_help(context: typer.Context) -> int:
    """Print the help of a command; the exit code."""
    help = Held()
    with contextlib.redirect_stdout(help):
        text = context.get_help()  # Typer prints it.
    return flush(f"{help.getvalue()}{text}")


class Held(io.StringIO):
    """Holds what is printed for the stdout that there is, so that one place sees to it that it can be written."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


Help = Annotated[
    bool,
    typer.Option("--help", "-h", metavar="", callback=_show_help, is_eager=True, help="Show this message and exit."),
]
_COMMON: dict[str, tuple[Any, Any]] = {
    "help": (Help, False),
    "quiet": (Quiet, False),
    "verbose": (Verbose, False),
    "log_format": (LogFormat, None),
}


def with_common_options(command: Callable[P, R]) -> Callable[..., R]:
    """`command` with the options that all have."""
    command.__doc__ = described(command)
    given = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in _COMMON.items()
    ]

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _, quiet, verbose, log_format = (kwargs.pop(name) for name in _COMMON)
        set_voice(bool(quiet), bool(verbose), log_format if isinstance(log_format, str) else None)
        return command(*args, **kwargs)

    signature = given.replace(parameters=[*given.parameters.values(), *added])
    run.__signature__ = signature  # type: ignore[attr-defined]  # what Typer reads
    run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    return run


def described(command: Callable[..., Any]) -> str:
    """The docstring of `command`, which is its help; read from its file where PYTHONOPTIMIZE=2 has stripped it."""
    if command.__doc__:
        return command.__doc__
    import ast

    code = inspect.unwrap(command).__code__
    try:
        tree = ast.parse(Path(code.co_filename).read_bytes())
    except (OSError, SyntaxError):
        return ""
    named = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == code.co_name)
    return next((ast.get_docstring(one, clean=False) or "" for one in named), "")


class Entry(NamedTuple):
    """A command: the function `name` in `module`, whose text `examples` ends its help; or a Group there.

    panel: the part of the list of commands that it stands in; alias_of: the command that this is another name of.
    """

    module: str
    name: str
    panel: str | None = None
    examples: str = "EXAMPLES"
    alias_of: str = ""


class Group(NamedTuple):
    """Commands under one name. root: what is done before each of them, and alone when none is named."""

    root: Callable[..., None]
    entries: Mapping[str, Entry]
    examples: str
    add_completion: bool = False


class Commands(MutableMapping[str, Any]):
    """The commands of a group by name, each made when it is first looked at."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self._entries[name], self._aliases(name))
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name} is a command for good")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _aliases(self, name: str) -> list[str]:
        return [alias for alias, entry in self._entries.items() if entry.alias_of == name]


def make_group(group: Group, name: str, panel: str | None = None) -> Any:
    """The command line of `group`."""
    app = typer.Typer(
        name=name, add_completion=group.add_completion, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    app.callback(invoke_without_command=True, add_help_option=False, epilog=group.examples, rich_help_panel=panel)(
        with_common_options(group.root)
    )
    made: Any = _without_coercion(get_command(app))
    made.commands = Commands(group.entries)
    return made


def _make(name: str, entry: Entry, aliases: list[str]) -> Any:
    module = import_module(entry.module)
    found: Any = getattr(module, entry.name)
    if isinstance(found, Group):
        return make_group(found, name, entry.panel)
    first = " ".join(described(found).partition("\n\n")[0].split())
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(
        name,
        short_help=f"{first} Also called {' and '.join(aliases)}." if aliases else first,
        epilog=getattr(module, entry.examples),
        add_help_option=False,
        rich_help_panel=entry.panel,
        hidden=bool(entry.alias_of),
    )(with_common_options(found))
    return _without_coercion(get_command(app))


def _without_coercion(command: Any) -> Any:
    """Take values as they are given: to make text of text Typer imports pydantic, which takes longer than all else."""
    for param in command.params:
        kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        if is_completion(param):
            take_shell(param)
            param.process_value = partial(_process, param, read_shell, param.process_value)
        elif kind in _AS_GIVEN:
            param.process_value = partial(_process, param, _AS_GIVEN[kind], param.process_value)
        if kind is bool and param.is_flag:
            param.metavar = ""  # It takes no value.
        if param.param_type_name == "argument":
            param.display_type_rich = _no_type
    return command


def _no_type(ctx: Any) -> None:
    """The type of an argument, beside its metavar, which says more."""
    del ctx


def _process(param: Any, make: Callable[[Any], Any], process: Callable[..., Any], context: Any, value: Any) -> Any:
    """In the place of `process`, which is left to tell that a value is missing."""
    if param.required and param.value_is_missing(value):
        return process(context, value)
    many = param.multiple or param.nargs == -1
    given = (() if many else None) if value is None else make(value)
    return given if param.callback is None else param.callback(context, param, given)
