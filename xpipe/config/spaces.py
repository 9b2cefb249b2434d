"""One space of modules per folder: user code imports its siblings, and nobody else's imports are changed by it.

The modules of a folder are registered as `xpipe_organism_<digest of the folder>.<name>`, the same in every process.
They see an `__import__` of their own, by which `import sibling` means the sibling whenever it is executed.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # To import importlib.abc takes longer than to read an organism.yaml.

PREFIX = "xpipe_organism_"
_SPACE_NAME = re.compile(PREFIX + r"[0-9a-f]{16}\.")
_RESERVED = frozenset({"xpipe", "__main__"})
_spaces: dict[str, Space] = {}


class Space:
    """The modules of `folder`, an absolute path."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.package = package_name(folder)
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._siblings: dict[str, bool] = {}

    def has(self, head: str) -> bool:
        """Whether code of this folder means a sibling by the top-level name `head`."""
        known = self._siblings.get(head)
        if known is None:
            known = self._siblings[head] = self._look_up(head)
        return known

    def refresh(self) -> None:
        """Looks at the folder anew: files may have come since."""
        self._siblings.clear()
        importlib.invalidate_caches()

    def import_module(self, name: str) -> ModuleType:
        """The module that the dotted `name` means to code of this folder. Raises whatever importing it raises."""
        return importlib.import_module(f"{self.package}.{name}" if self.has(name.partition(".")[0]) else name)

    def import_file(self, path: str) -> ModuleType:
        """The module in the .py file at `path`, relative to the folder, even if a stdlib module has its name."""
        file = os.path.normpath(os.path.join(self.folder, path))
        name = self._name_of_file(file)
        if name in sys.modules:
            return sys.modules[name]
        if "%" not in name and self._origin(name) == file:
            return importlib.import_module(name)
        return self._import_at(
            f"{self.package}.{quote(os.path.relpath(file, self.folder), safe='').replace('.', '%2E')}", file
        )

    def find_spec(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """As importlib's finders, for names below `package`."""
        return self._adopt(PathFinder.find_spec(name, path))

    def _adopt(self, spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _OrganismLoader(spec.loader.name, spec.loader.path, self._builtins)
        return spec

    def _name_of_file(self, file: str) -> str:
        parts = os.path.relpath(file, self.folder).removesuffix(".py").split(os.sep)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        if any(not part or "." in part or "%" in part for part in parts) or parts == ["__init__"]:
            parts = [quote(os.path.relpath(file, self.folder), safe="").replace(".", "%2E")]
        return ".".join([self.package, *parts])

    @staticmethod
    def _origin(name: str) -> str | None:
        spec = importlib.util.find_spec(name)
        return spec.origin if spec else None

    def _import_at(self, name: str, file: str) -> ModuleType:
        if name in sys.modules:
            return sys.modules[name]
        spec = self._adopt(importlib.util.spec_from_file_location(name, file))
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return sys.modules[name]

    def _look_up(self, head: str) -> bool:
        if head in sys.stdlib_module_names or head in _RESERVED:
            return False
        spec = self.find_spec(f"{self.package}.{head}", [self.folder])
        if spec is None:
            return False
        # A folder without __init__.py may hold anything, so an installed package of its name comes first, as ever.
        return spec.has_location or not _is_installed(head)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        head = name.partition(".")[0]
        if level or not self.has(head):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist, 0)
        importlib.import_module(f"{self.package}.{name}")
        return sys.modules[f"{self.package}.{head}"]


def space_of(folder: str) -> Space:
    """The space of `folder`, made and registered with the import system if it is new."""
    package = package_name(folder)
    space = _spaces.get(package)
    if space is None:
        space = _spaces[package] = Space(folder)
        root = ModuleType(package, f"The modules of {folder}.")
        root.__path__ = [folder]
        root.__spec__ = ModuleSpec(package, None, is_package=True)
        sys.modules[package] = root
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
            sys.meta_path.append(_PLAIN_FINDER)
        space.refresh()
    _PLAIN_FINDER.serve(space)
    return space


def plain_names(text: str) -> str:
    """`text` with the modules of spaces named as in the code that imports them."""
    return _SPACE_NAME.sub("", text)


def package_name(folder: str) -> str:
    """The name below which the modules of `folder` are registered."""
    from hashlib import blake2b

    return PREFIX + blake2b(os.fsencode(folder), digest_size=8).hexdigest()


class _OrganismLoader(SourceFileLoader):
    """Gives a module the builtins of its space, and refuses to run the program that is running a second time."""

    def __init__(self, fullname: str, path: str, builtins_: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = builtins_

    def exec_module(self, module: ModuleType) -> None:
        if _is_running_program(self.path):
            name = os.path.basename(self.path)
            raise ImportError(f"{name} is the program that is running; move what others import to a module of its own")
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


class _OrganismFinder:
    """Finds the modules of all spaces by their full names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith(PREFIX):
            space = _spaces.get(fullname.partition(".")[0])
            return space.find_spec(fullname, path) if space else None
        return _PLAIN_FINDER.find_submodule(fullname)


class _PlainFinder:
    """Finds the siblings of the organism loaded last by their plain names, where nothing else has that name.

    For `importlib.import_module("plugin")` in user code; import statements do not come here.
    """

    def __init__(self) -> None:
        self._space: Space | None = None
        self._served: set[str] = set()

    def serve(self, space: Space) -> None:
        if space is not self._space:
            for name in self._served:
                sys.modules.pop(name, None)
            self._served.clear()
            self._space = space

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        space = self._space
        if path is not None or space is None or not space.has(fullname):
            return None
        self._served.add(fullname)
        return ModuleSpec(fullname, _AliasLoader(f"{space.package}.{fullname}"))

    def find_submodule(self, fullname: str) -> ModuleSpec | None:
        space = self._space
        if space is None or fullname.partition(".")[0] not in self._served:
            return None
        self._served.add(fullname)
        return ModuleSpec(fullname, _AliasLoader(f"{space.package}.{fullname}"))


class _AliasLoader(Loader):
    """Puts the module called `actual` in the place of the one to load, as the import system allows."""

    def __init__(self, actual: str) -> None:
        self._actual = actual

    def create_module(self, _spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._actual)


_FINDER = _OrganismFinder()
_PLAIN_FINDER = _PlainFinder()


def _is_installed(head: str) -> bool:
    others = (finder for finder in sys.meta_path if finder not in (_FINDER, _PLAIN_FINDER))
    specs = (finder.find_spec(head, None) for finder in others)
    return any(spec is not None and spec.has_location for spec in specs)


def _is_running_program(path: str) -> bool:
    programs = (getattr(sys.modules.get(name), "__file__", None) for name in ("__main__", "__mp_main__"))
    try:
        return any(program is not None and os.path.samefile(program, path) for program in programs)
    except OSError:
        return False
