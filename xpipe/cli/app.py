"""The command line: its commands, and how each of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer

from xpipe.cli.commands import Entry, Group, make_group, show_help
from xpipe.cli.completion import keep_lines_whole, with_shell
from xpipe.cli.errors import exit_code, explain
from xpipe.cli.leaving import flush, silence_stdout
from xpipe.cli.voice import tell, voice
from xpipe.core.errors import EXIT_OK, EXIT_USAGE

_ClickUsageError: Any = typer.BadParameter.__bases__[0]
"""Typer brings its own click; this is the one it raises."""
_NEAR = ". Did you mean "
"""How that one begins to name commands like the one given."""
_WRITING = "Writing an organism"
_RUNNING = "Running an organism"
_INSIDE = "Inspecting and cleaning up"

EXAMPLES = """[bold]Examples[/bold]

  xpipe run

  xpipe run organism.yaml --send 'greeter={"name": "Ada"}'

  xpipe threads"""

COMMANDS = {
    "init": Entry("xpipe.cli.init", "init", _WRITING),
    "check": Entry("xpipe.cli.check", "check", _WRITING),
    "lint": Entry("xpipe.cli.check", "check", _WRITING, alias_of="check"),
    "config": Entry("xpipe.cli.config", "config", _WRITING),
    "graph": Entry("xpipe.cli.graph", "graph", _WRITING),
    "schema": Entry("xpipe.cli.schema", "schema", _WRITING),
    "run": Entry("xpipe.cli.run", "run", _RUNNING),
    "send": Entry("xpipe.cli.send", "send", _RUNNING),
    "threads": Entry("xpipe.cli.threads", "threads", _INSIDE),
    "inspect-threads": Entry("xpipe.cli.threads", "threads", _INSIDE, alias_of="threads"),
    "registry": Entry("xpipe.cli.registry", "registry", _INSIDE),
    "dump-registry": Entry("xpipe.cli.registry", "registry", _INSIDE, alias_of="registry"),
    "outputs": Entry("xpipe.cli.outputs", "outputs", _INSIDE),
    "cancel": Entry("xpipe.cli.cancel", "cancel", _INSIDE),
    "trace": Entry("xpipe.cli.trace", "trace", _INSIDE),
    "dead": Entry("xpipe.cli.dead", "GROUP", _INSIDE),
    "gc": Entry("xpipe.cli.gc", "gc", _INSIDE),
}


def _show_version(wanted: bool) -> None:
    if wanted:
        from xpipe.version import __version__

        raise typer.Exit(flush(f"xpipe {__version__}\n"))


def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Run an organism: message handlers declared in one organism.yaml."""
    del version
    if context.invoked_subcommand is None:
        raise typer.Exit(show_help(context))


XPIPE = Group(root, COMMANDS, EXAMPLES, add_completion=True)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; its exit code."""
    keep_lines_whole()
    try:
        result = make_group(XPIPE, "xpipe").main(args=with_shell(arguments), prog_name="xpipe", standalone_mode=False)
    except _ClickUsageError as error:
        voice.json = voice.json or _asks_for_json(arguments)
        tell(_usage(error), "error")
        return EXIT_USAGE
    except typer.Abort:
        return exit_code(KeyboardInterrupt())
    except BrokenPipeError:
        silence_stdout()
        return EXIT_OK
    except (Exception, KeyboardInterrupt) as error:
        tell(explain(error), "error")
        return exit_code(error)
    return result if isinstance(result, int) else EXIT_OK


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line that could not be understood would have asked for records in JSON."""
    return "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)


def _usage(error: Any) -> str:
    from xpipe.cli.text import visible

    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "xpipe"
    if hasattr(error, "possibilities"):
        said, near = f"no such option: {error.option_name}", " or ".join(sorted(error.possibilities or ()))
    else:
        said, near = " ".join(str(error.format_message()).split()).rstrip("."), ""
        start, found, names = said.rpartition(_NEAR)
        if found and names.endswith("?"):
            said, near = start, names.removesuffix("?").replace(", ", " or ")
    hint = f"did you mean {near}? See" if near else "see"
    return visible(f"xpipe: {said[:1].lower()}{said[1:]}; {hint} {command} --help")
