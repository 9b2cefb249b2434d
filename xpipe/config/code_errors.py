"""What can be wrong with a reference to user code, as errors that say where to look."""

from __future__ import annotations

import os
import sys
import traceback
from typing import ClassVar

from xpipe.config.wording import did_you_mean, one_line, printable
from xpipe.core.errors import EXIT_CONFIG, XpipeError
from xpipe.core.organism import CodeRef

_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class CodeError(XpipeError):
    """User code cannot be loaded. `code` is the finding's code, `hint` what to do or empty.

    `module` is the module that ran and failed, or empty.
    """

    exit_code: ClassVar[int] = EXIT_CONFIG

    def __init__(self, code: str, message: str, hint: str = "", module: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.module = module
        super().__init__(f"{message} {hint}".rstrip())


def no_file(ref: CodeRef) -> CodeError:
    """There is no file of that path."""
    near = did_you_mean(ref.module, _python_files(os.path.join(ref.folder, os.path.dirname(ref.module)), ref.module))
    hint = near or "Write its path from the folder of the organism file."
    return CodeError("no-file", f"There is no file {printable(ref.module)} in {printable(ref.folder)}.", hint)


def no_module(ref: CodeRef, error: BaseException) -> CodeError:
    """There is no module of that name."""
    missing = one_line(str(getattr(error, "name", None) or ref.module))
    where = f"neither in {printable(ref.folder)} nor among the installed packages"
    names = [name.removesuffix(".py") for name in _python_files(ref.folder, "")]
    hint = did_you_mean(missing, names) or "Correct the name, or install its package."
    return CodeError("no-module", f"There is no module {missing}, {where}.", hint)


def no_attribute(ref: CodeRef, owner: str, found: object, name: str) -> CodeError:
    """The module is there, the name is not."""
    try:
        names = [one for one in dir(found) if not one.startswith("__")]
    except Exception:  # dir() of user objects runs user code
        names = []
    hint = did_you_mean(name, names) or "Define it there, or correct the name."
    file = f"{ref.module.partition('.')[0]}.py"
    if ref.module in sys.stdlib_module_names and os.path.isfile(os.path.join(ref.folder, file)):
        hint = f"{ref.module} is a module of the standard library; write {file}:{ref.name} for the file."
    return CodeError("no-attribute", f"{printable(owner)} has no {name}.", hint)


def import_failed(ref: CodeRef, error: BaseException) -> CodeError:
    """The module raised, exits, or is not valid Python."""
    where = _where(error, ref.folder)
    if isinstance(error, SyntaxError):
        what = f"{error.__class__.__name__}: {one_line(error.msg or '')}"
    elif isinstance(error, SystemExit):
        what = "it calls sys.exit() when it is imported"
    else:
        what = f"{error.__class__.__name__}: {one_line(_text(error))}".removesuffix(": ")
    message = f"{printable(ref.module)} cannot be imported{printable(where)}: {what}."
    return CodeError("import-failed", message, module=ref.module)


def _where(error: BaseException, folder: str) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_shown(error.filename, folder)}:{error.lineno or 1})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    own = [frame for frame in frames if frame.filename.startswith(folder + os.sep)]
    last = (own or frames)[-1] if frames else None
    return f" ({_shown(last.filename, folder)}:{last.lineno})" if last else ""


def _is_users(file: str) -> bool:
    return not file.startswith(("<frozen importlib", _OWN_FOLDER)) and f"{os.sep}importlib{os.sep}" not in file


def _shown(file: str, folder: str) -> str:
    return os.path.relpath(file, folder) if file.startswith(folder + os.sep) else file


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # str() of user exceptions runs user code
        return ""


def _python_files(folder: str, like: str) -> list[str]:
    prefix = os.path.dirname(like)
    try:
        return [os.path.join(prefix, name) for name in sorted(os.listdir(folder)) if name.endswith(".py")]
    except OSError:
        return []
