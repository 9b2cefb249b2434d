"""The one loader of user code, for the pump and for the workers. Imports the standard library and core only."""

from __future__ import annotations

import os
import re
import sys
import threading
from types import ModuleType

from xpipe.config.code_errors import CodeError, import_failed, no_attribute, no_file, no_module
from xpipe.config.imports import CodeFolder, code_folder
from xpipe.config.wording import quote
from xpipe.core.module_names import plain_names
from xpipe.core.organism import CodeRef

__all__ = ["CodeError", "candidates", "find_object", "load_module", "load_object", "reference_to", "refresh"]

_ATTRIBUTES = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# Python's own locks order the imports; this one keeps `importlib.import_module` of plain names to one organism.
_lock = threading.RLock()


def load_object(ref: CodeRef) -> object:
    """The object that `ref` names, the same one in every call in a process. Runs its module if it has not run yet.

    Raises CodeError if there is no such module or name, or if the module cannot be imported.
    """
    found: object = load_module(ref)
    names = ref.name.split(".")
    for depth, name in enumerate(names):
        try:
            found = getattr(found, name)
        except AttributeError:
            owner = ".".join([ref.module, *names[:depth]]).replace(".py.", ".py:")
            raise no_attribute(ref, owner, found, name) from None
        except Exception as error:
            raise import_failed(ref, error) from error
    return found


def load_module(ref: CodeRef) -> ModuleType:
    """The module that `ref` names. Raises CodeError."""
    with _lock:
        folder = code_folder(ref.folder)
        try:
            return _import(folder, ref)
        except (CodeError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if _is_absent(ref, error):
                raise no_module(ref, error) from None
            raise import_failed(ref, error) from error


def refresh(folder: str) -> None:
    """Looks for new modules in `folder`; those imported already stay as they are."""
    with _lock:
        code_folder(folder).refresh()


def find_object(folder: str, text: str) -> tuple[CodeRef, object]:
    """The object that `text` names in organism.yaml of the absolute `folder`, and its reference. Raises CodeError.

    `text` is `package.module.name`, `package.module:name` or `file.py:name`; `name` may be dotted.
    """
    error: CodeError | None = None
    for ref in candidates(folder, text):
        try:
            return ref, load_object(ref)
        except CodeError as failure:
            if failure.code != "no-module":
                raise
            error = failure
    raise error or CodeError("code-reference", f"Nothing is named by {text}.")


def candidates(folder: str, text: str) -> list[CodeRef]:
    """What `text` may refer to, the longest module name first. Raises CodeError if it has not the form."""
    module, colon, name = text.strip().rpartition(":")
    if not colon:
        module, name = name, ""
        if not module.endswith(".py") and "/" not in module:
            return _dotted(folder, module)
    if not _ATTRIBUTES.fullmatch(name) or not (module.endswith(".py") or _ATTRIBUTES.fullmatch(module)):
        raise _no_reference(text)
    return [CodeRef(folder, module, name)]


def reference_to(cls: type, folder: str) -> CodeRef | None:
    """A reference by which `cls` is found again from its module and name, or None if it is not there."""
    name = cls.__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is not None and file.endswith(".py") and file.startswith(folder + os.sep):
        name = os.path.relpath(file, folder)
    ref = CodeRef(folder, name, cls.__qualname__)
    try:
        return ref if load_object(ref) is cls else None
    except CodeError:
        return None


def _import(folder: CodeFolder, ref: CodeRef) -> ModuleType:
    if not ref.module.endswith(".py"):
        return folder.import_module(ref.module)
    if not os.path.isfile(os.path.join(ref.folder, ref.module)):
        raise no_file(ref)
    return folder.import_file(ref.module)


def _dotted(folder: str, text: str) -> list[CodeRef]:
    parts = text.split(".")
    if len(parts) < 2 or not _ATTRIBUTES.fullmatch(text):
        raise _no_reference(text)
    return [CodeRef(folder, ".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1)]


def _no_reference(text: str) -> CodeError:
    message = f"{quote(text)} does not name anything in a module."
    return CodeError("code-reference", message, "Write package.module.name or file.py:name.")


def _is_absent(ref: CodeRef, error: BaseException) -> bool:
    """Whether `error` says that the module itself is missing, not one that it imports."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    name = plain_names(error.name)
    return name == ref.module or ref.module.startswith(f"{name}.")
