"""The command line: its commands, and how each of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from xpipe.cli import cancel, dead, gc, outputs, registry, threads
from xpipe.cli.errors import exit_code, explain, tell
from xpipe.cli.leaving import leave_soon, silence_stdout
from xpipe.cli.run import EXAMPLES, run
from xpipe.cli.send import EXAMPLES as SEND_EXAMPLES
from xpipe.cli.send import send
from xpipe.core.errors import EXIT_OK, EXIT_USAGE

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_ClickUsageError: Any = typer.BadParameter.__bases__[0]
"""Typer brings its own click; this is the one it raises."""
_INSIDE = "Looking into a backend, and tidying up"

app = typer.Typer(
    name="xpipe",
    help="Run an organism: message handlers declared in one organism.yaml.",
    context_settings=_SETTINGS,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from xpipe.version import __version__

        typer.echo(f"xpipe {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run an organism: message handlers declared in one organism.yaml."""
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("run", epilog=EXAMPLES, context_settings=_SETTINGS)(run)
app.command("send", epilog=SEND_EXAMPLES, context_settings=_SETTINGS)(send)


def _add(name: str, module: Any, alias: str = "") -> None:
    command = getattr(module, name)
    first = " ".join(command.__doc__.partition("\n\n")[0].split())
    told = f"{first} Also called {alias}." if alias else first
    for one, hidden in ((name, False), (alias, True)):
        if one:
            app.command(
                one,
                short_help=told,
                epilog=module.EXAMPLES,
                context_settings=_SETTINGS,
                rich_help_panel=_INSIDE,
                hidden=hidden,
            )(command)


_add("threads", threads, "inspect-threads")
_add("registry", registry, "dump-registry")
_add("outputs", outputs)
_add("cancel", cancel)
app.add_typer(dead.app, name="dead", rich_help_panel=_INSIDE)
_add("gc", gc)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; its exit code."""
    code = _outcome(arguments)
    leave_soon(code)
    return code


def _outcome(arguments: Sequence[str]) -> int:
    try:
        result = app(args=list(arguments), prog_name="xpipe", standalone_mode=False)
    except _ClickUsageError as error:
        tell(_usage(error))
        return EXIT_USAGE
    except typer.Abort:
        return exit_code(KeyboardInterrupt())
    except BrokenPipeError:
        silence_stdout()
        return EXIT_OK
    except (Exception, KeyboardInterrupt) as error:
        tell(explain(error))
        return exit_code(error)
    return result if isinstance(result, int) else EXIT_OK


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "xpipe"
    text = " ".join(str(error.format_message()).split()).rstrip(".")
    return f"xpipe: {text[:1].lower()}{text[1:]}; see {command} --help"
