"""`xpipe schema`: the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpipe.cli import options
from xpipe.cli.looking import option
from xpipe.cli.organism_file import VARIABLE, complete_file, find_file, is_file
from xpipe.cli.text import safe_json, safe_xml
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.emitting import Emitter

EXAMPLES = """[bold]Examples[/bold]

  xpipe schema greeter

  xpipe schema organism.yaml --format xsd > messages.xsd

  xpipe schema config > organism.schema.json

  xpipe schema output

  xpipe schema output threads --jsonl"""

FORMATS = ("json", "xsd")
_WHICH = "Which schema"

Subject = Annotated[
    str | None,
    typer.Argument(
        metavar="ORGANISM.YAML|config|output",
        help=rf"Payloads of an organism \[default: ${VARIABLE}, else ./organism.yaml], the schema of organism.yaml "
        "itself, or that of a command's output.",
        show_default=False,
        autocompletion=lambda incomplete: [
            *(word for word in ("config", "output") if word.startswith(incomplete)),
            *complete_file(incomplete),
        ],
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="LISTENER|COMMAND",
        help="Only the payloads of this listener or group; after output, the command.",
        show_default=False,
    ),
]
FormatName = Annotated[
    str | None,
    option("--format", "-f", values=FORMATS, help="Schema language for payloads: json or xsd.", panel=_WHICH),
]
JsonLines = Annotated[
    bool,
    option("--jsonl", help="After output: describe a line of --jsonl instead of the --json document.", panel=_WHICH),
]


def schema(
    subject: Subject = None,
    words: Words = None,
    set: options.Overrides = None,
    format: FormatName = None,
    jsonl: JsonLines = False,
) -> int:
    """Print a schema of payloads, of organism.yaml, or of the --json output of a command.

    ORGANISM.YAML: the payloads its listeners take, as JSON Schema or XSD. Imports the handlers.

    config: the JSON Schema of organism.yaml, for editors.

    output COMMAND: the JSON Schema of the --json output of COMMAND; without COMMAND a list of them.

    Exit codes: 0 fine, 1 a schema cannot express a payload, 2 wrong options, 3 bad organism.yaml.
    """
    given = list(words or ())
    if subject is not None and subject not in ("config", "output") and not is_file(subject):
        given.insert(0, subject)  # A listener of the default.
        subject = None
    if format not in (None, *FORMATS):
        raise UsageError(f"--format {format!r} is not one of {', '.join(FORMATS)}")
    if jsonl and subject != "output":
        raise UsageError("--jsonl needs a command; write `xpipe schema output COMMAND --jsonl`")
    if subject in ("config", "output") and (format == "xsd" or set):
        raise UsageError(f"--{'set' if set else 'format xsd'} is about payloads; pass ORGANISM.YAML, or omit it")
    if subject == "output":
        return _output(" ".join(given), jsonl)
    if len(given) > (subject != "config"):
        raise UsageError(f"unexpected argument {given[-1]!r}; only `xpipe schema output` takes several words")
    if subject == "config":
        return _config()
    overrides = options.parse_overrides(set)
    return _payloads(find_file(subject), given[0] if given else "", overrides, format or "json")


def _output(command: str, jsonl: bool) -> int:
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.output_schemas import OUTPUTS, output_schema

    if command:
        _print(Emitter(), output_schema(command, jsonl))
        return 0
    forms = {name: "--json --jsonl" if printed.records else "--json" for name, printed in OUTPUTS.items()}
    width = max(map(len, forms))
    Emitter().lines(f"{name:{width}}  {form}" for name, form in forms.items() if not jsonl or "--jsonl" in form)
    return 0


def _config() -> int:
    from xpipe.cli.emitting import Emitter
    from xpipe.config.json_schema import config_schema

    _print(Emitter(), config_schema())
    return 0


def _payloads(file: str, listener: str, overrides: tuple[str, ...], format: str) -> int:
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.loading import load_organism
    from xpipe.cli.payload_schemas import accepted, json_document
    from xpipe.wire.xsd import xsd_of_all

    emitter = Emitter()
    definition = load_organism(file, overrides)
    takers = accepted(definition, listener)
    if format == "xsd":
        text = xsd_of_all(cls for taker in takers for cls in taker.classes).rstrip()
        emitter.lines([safe_xml(text.encode()).decode()])
    else:
        _print(emitter, json_document(definition.name, takers))
    return 0


def _print(emitter: Emitter, schema: Any) -> None:
    import json

    text = json.dumps(schema, ensure_ascii=False, indent=2)
    emitter.lines([safe_json(text.encode("utf-8", "backslashreplace")).decode()])
