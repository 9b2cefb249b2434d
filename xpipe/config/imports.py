"""How user code is imported: each file once, under the name by which `import` finds it in every process.

The folder of an organism goes to the end of sys.path: its modules hide nothing, and child processes find them. Where a
module of it, or a sibling that one imports, has the name of another module (that of a second organism in the process,
say), the folder's modules get private names instead, `xpipe_organism_<digest of the folder>.<name>`, and an
`__import__` of their own by which `import sibling` means the sibling.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from xpipe.core.module_names import PRIVATE

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # To import importlib.abc takes longer than to read an organism.yaml.

_RESERVED = sys.stdlib_module_names | {"xpipe", "__main__"}
_IMPORT = re.compile(
    r"^[ \t]*(?:import[ \t]+(?P<modules>[^\n#;]+)"
    r"|from[ \t]+(?P<dots>\.*)(?P<base>[\w.]*)[ \t]+import[ \t]+(?:\((?P<lines>[^)]{0,4000})|(?P<names>[^\n#;(]+)))",
    re.MULTILINE,
)
_folders: dict[str, CodeFolder] = {}
_private: dict[str, CodeFolder] = {}
"""The folders whose modules have private names, by package."""
_joined: set[str] = set()
"""The folders appended to sys.path."""


class CodeFolder:
    """The modules of `folder`, an absolute path."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._root = folder
        self._is_private = False
        self._siblings: dict[str, bool] = {}
        self._examined: set[str] = set()
        self._modules: dict[str, tuple[str, ModuleType]] = {}
        self._builtins = {**vars(builtins), "__import__": self._import_statement}

    @cached_property
    def package(self) -> str:
        """The package of the privately named modules: the same in every process."""
        from hashlib import blake2b

        return PRIVATE + blake2b(os.fsencode(self.folder), digest_size=8).hexdigest()

    @property
    def roots(self) -> tuple[str, str]:
        """What `import` has to look through to find the modules."""
        return self._root, self.folder

    def has(self, head: str) -> bool:
        """Whether the top-level name `head` refers to a sibling in code of this folder."""
        known = self._siblings.get(head)
        if known is None:
            known = self._siblings[head] = bool(head) and head not in _RESERVED and self._finds(head)
        return known

    def _finds(self, head: str) -> bool:
        spec = PathFinder.find_spec(head, [self.folder])
        # A folder without __init__.py may hold anything, so an installed package of its name comes first, as ever.
        other = _meaning(head)[0]
        return spec is not None and (spec.has_location or other is None or _root_of(other) in _joined)

    def refresh(self) -> None:
        """Rescan the folder: files may be new."""
        self._siblings.clear()
        self._examined.clear()
        importlib.invalidate_caches()

    def import_module(self, name: str) -> ModuleType:
        """The module that the dotted `name` refers to in code of this folder. Raises whatever its import raises."""
        if not self.has(_head(name)):
            return importlib.import_module(name)
        path = os.path.join(self.folder, *name.split("."))
        file = next((one for one in (os.path.join(path, "__init__.py"), f"{path}.py") if os.path.isfile(one)), None)
        if file is not None:
            return self._module_in(file)
        self._join_path()
        return importlib.import_module(f"{self.package}.{name}" if self._is_private else name)

    def import_file(self, path: str) -> ModuleType:
        """The module in the .py file at `path`, relative to the folder, even if a stdlib module has its name."""
        return self._module_in(os.path.normpath(os.path.join(self.folder, path)))

    def _module_in(self, file: str) -> ModuleType:
        name, module = self._modules.get(file, ("", None))
        if module is None or sys.modules.get(name) is not module:
            name = self._loaded_as(file) or self._import(file)
            module = sys.modules[name]
            self._modules[file] = name, module
        self._join_path()
        return module

    def _loaded_as(self, file: str) -> str | None:
        """The name of the module that `file` is loaded as, or None. `import` then finds it by its public name, too."""
        found, name = _loaded_as(file), _dotted(file, self.folder)
        if found and name and name not in sys.modules and not self._is_private and self._owns(_head(name)):
            sys.modules[name] = sys.modules[found]
        return found

    def _owns(self, head: str) -> bool:
        """Whether `import head` gives the sibling, wherever the statement stands."""
        return self.has(head) and not _is_taken(head, self.folder)

    def _import(self, file: str) -> str:
        """Import `file`, which is not loaded; its name in sys.modules."""
        self._is_private = self._is_private or not self._can_be_public(file)
        name = self._public_name(file)
        if name is None:
            return self._import_privately(file)
        importlib.import_module(name)
        return name

    def _join_path(self) -> None:
        """Let `import` find the folder, again if a test has restored sys.path."""
        for root in () if self._is_private else self.roots:
            if root not in sys.path:
                sys.path.append(root)
                _joined.add(root)

    def _can_be_public(self, file: str) -> bool:
        """Whether `file` and its imports from the folder can be loaded under their public names."""
        pending, absolute, above = [file], False, False
        while pending:
            one = pending.pop()
            if one in self._examined:
                continue
            self._examined.add(one)
            self._loaded_as(one)
            head = _head(_dotted(one, self.folder) or "")
            if self.has(head) and not self._owns(head):
                return False
            for leads_out, head, files in _imports(one, self.folder):
                above = above or leads_out
                absolute = absolute or self.has(head)
                pending += files if not head or self.has(head) else ()
        return not above or (not absolute and self._rise())

    def _rise(self) -> bool:
        """Import from the package that the folder is, for relative imports out of it. False if it is not a package."""
        root = self.folder
        while os.path.isfile(os.path.join(root, "__init__.py")):
            root = os.path.dirname(root)
        if root == self.folder:
            root = next((one for one in _search_path() if _dotted(self.folder, one)), root)
        package = _dotted(self.folder, root)
        if not package or _is_taken(_head(package), root):
            return False
        self._root = root
        return True

    def _public_name(self, file: str) -> str | None:
        """The name by which `import` finds `file`, or None if there is none."""
        if self._is_private:
            return None
        self._join_path()
        for root in dict.fromkeys([self._root, *_search_path()]):
            name = _dotted(file, root)
            if name and _head(name) not in _RESERVED and not _is_taken(_head(name), root) and _leads_to(name, file):
                return name
        return None

    def _import_privately(self, file: str) -> str:
        _private[self.package] = self
        if self.package not in sys.modules:
            root = ModuleType(self.package, f"The modules of {self.folder}.")
            root.__path__ = [self.folder]
            root.__spec__ = ModuleSpec(self.package, None, is_package=True)
            sys.modules[self.package] = root
        name = f"{self.package}.{_dotted(file, self.folder)}"
        if name not in sys.modules and _leads_to(name, file):
            importlib.import_module(name)
        else:
            name = f"{self.package}.{quote(os.path.relpath(file, self.folder), safe='').replace('.', '%2E')}"
            self._execute(name, file)
        return name

    def _execute(self, name: str, file: str) -> None:
        spec = self.adopt(importlib.util.spec_from_file_location(name, file))
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise

    def adopt(self, spec: ModuleSpec | None) -> ModuleSpec | None:
        """`spec` of a privately named module, made to give it the `__import__` of this folder."""
        if spec is not None and type(spec.loader) is SourceFileLoader:
            loaded = _loaded_as(spec.loader.path)
            if loaded not in (None, spec.name):
                return ModuleSpec(spec.name, _Alias(loaded))
            spec.loader = _PrivateLoader(spec.loader.name, spec.loader.path, self._builtins)
        return spec

    def _import_statement(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        head = _head(name)
        if level or not self._is_private or not self.has(head):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist, 0)
        importlib.import_module(f"{self.package}.{name}")
        return sys.modules[f"{self.package}.{head}"]


def code_folder(folder: str) -> CodeFolder:
    """The modules of `folder`, an absolute path: the same object in every call."""
    if folder not in _folders:
        _folders[folder] = CodeFolder(folder)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        importlib.invalidate_caches()
    return _folders[folder]


def forget(folder: str) -> None:
    """Undo what loading code of the absolute `folder` has changed, so that another organism is loaded as if alone."""
    gone = _folders.pop(folder, None)
    kept = {root for other in _folders.values() for root in other.roots}
    for root in _joined.intersection(gone.roots if gone else ()) - kept:
        _joined.remove(root)
        if root in sys.path:
            sys.path.remove(root)
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if name != "__main__" and any(str(place).startswith(folder + os.sep) for place in places):
            del sys.modules[name]


def hidden_modules(folder: str) -> Iterator[tuple[str, str]]:
    """The modules in `folder` that another one of the same name shadows, and its file ("" for Python's own)."""
    others = [one for one in sys.path if one not in _joined]
    with os.scandir(folder) as entries:
        files = sorted(entry.name for entry in entries)
    for file in files:
        head, suffix = os.path.splitext(file)
        if suffix != ".py" and not (not suffix and os.path.isfile(os.path.join(folder, file, "__init__.py"))):
            continue
        other = None if head in _RESERVED else PathFinder.find_spec(head, others)
        if head in _RESERVED - {"__main__"}:
            yield file, ""
        elif other is not None and other.origin and not _is_same(other.origin, os.path.join(folder, file)):
            yield file, other.origin


def _imports(file: str, folder: str) -> Iterator[tuple[bool, str, list[str]]]:
    """The names in the import statements of `file`, as far as static analysis can tell.

    For each name: whether it leads out of `folder`, the head of an absolute one or "", its files in the folder.
    """
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read()
    except OSError:
        return
    inside = os.path.relpath(os.path.dirname(file), folder)
    depth = 0 if inside == os.curdir else len(inside.split(os.sep))
    for match in _IMPORT.finditer(text):
        dots = len(match["dots"] or "")
        start = os.path.normpath(os.path.join(os.path.dirname(file), *[os.pardir] * (dots - 1))) if dots else folder
        names = (match["modules"] or match["lines"] or match["names"] or "").split(",")
        words = [name.split()[0] for name in names if name.split()]
        if not match["modules"]:  # What stands after `from base import` may be modules, too.
            words = [match["base"], *(f"{match['base']}.{word}".strip(".") for word in words)]
        for name in words:
            yield dots > depth, "" if dots else _head(name), list(_files_on_the_way(start, name))


def _files_on_the_way(folder: str, name: str) -> Iterator[str]:
    path = folder
    for part in name.split("."):
        path = os.path.join(path, part)
        yield from (one for one in (f"{path}.py", os.path.join(path, "__init__.py")) if os.path.isfile(one))


class _PrivateLoader(SourceFileLoader):
    """Gives a module the builtins of its folder."""

    def __init__(self, fullname: str, path: str, builtins_: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = builtins_

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


class _Alias(Loader):
    """Loads the module called `actual` instead, as the import system allows."""

    def __init__(self, actual: str) -> None:
        self._actual = actual

    def create_module(self, _spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = sys.modules[self._actual]


class _Finder:
    """Finds privately named modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = _private.get(_head(fullname)) if fullname.startswith(PRIVATE) else None
        return folder.adopt(PathFinder.find_spec(fullname, path)) if folder else None


_finder = _Finder()


def _head(name: str) -> str:
    return name.partition(".")[0]


def _dotted(path: str, root: str) -> str | None:
    """The module name of the file or folder at `path` relative to `root`, or None if it cannot have one."""
    inside = os.path.relpath(path, root).removesuffix(".py")
    parts = inside.split(os.sep)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and not any("." in part or not part for part in parts) else None


def _search_path() -> list[str]:
    """sys.path, absolute; without relative entries if the current folder is gone."""
    try:
        return [os.path.abspath(entry) for entry in sys.path]
    except FileNotFoundError:
        return [entry for entry in sys.path if os.path.isabs(entry)]


def _is_taken(head: str, root: str) -> bool:
    """Whether `import head` finds another module than the one in `root`, at the end of sys.path."""
    own = PathFinder.find_spec(head, [root])
    if own is None:
        return True
    own_file = own.origin if own.has_location else None
    file, places = _meaning(head)
    if file is not None:
        return own_file is None or not _is_same(file, own_file)
    if own_file is not None:
        return head in sys.modules
    # Folders without __init__.py are one package, but not those of two organisms.
    return any(os.path.dirname(place) in _joined - {root} for place in places)


def _meaning(head: str) -> tuple[str | None, list[str]]:
    """What `import head` finds now: the file of the module, or the folders of a namespace package."""
    loaded = sys.modules.get(head)
    if loaded is not None:
        return getattr(loaded, "__file__", None), list(getattr(loaded, "__path__", ()))
    specs = (finder.find_spec(head, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((spec for spec in specs if spec is not None), None)
    if spec is None:
        return None, []
    return (spec.origin, []) if spec.has_location else (None, list(spec.submodule_search_locations or ()))


def _loaded_as(file: str) -> str | None:
    """The name in sys.modules of the module that was loaded from `file`, the running program first; or None."""
    ending = os.sep + os.path.basename(file)
    for name, module in [("__main__", sys.modules.get("__main__")), *list(sys.modules.items())]:
        if isinstance(module, ModuleType):
            # Asked past the class: a module that is loaded when it is used must not be loaded for this.
            other = ModuleType.__getattribute__(module, "__dict__").get("__file__")
            if isinstance(other, str) and other.endswith(ending) and _is_same(other, file):
                return name
    return None


def _is_same(one: str, other: str) -> bool:
    """Whether two files are one. Links to one file in two folders are two: each has siblings of its own."""
    if one == other:
        return True
    names = os.path.basename(one), os.path.basename(other)
    return names[0] == names[1] and os.path.realpath(os.path.dirname(one)) == os.path.realpath(os.path.dirname(other))


def _root_of(file: str) -> str:
    """The folder that the top-level module in `file` was imported from."""
    folder, name = os.path.split(file)
    return os.path.dirname(folder) if name.startswith("__init__.") else folder


def _leads_to(name: str, file: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # A module without a spec has the name.
        return False
    return spec is not None and spec.origin is not None and _is_same(spec.origin, file)
