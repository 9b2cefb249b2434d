"""What `import xpipe` gives: the names of handler authors and embedders, lazily, and to type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xpipe

NAMES = {
    *("HandlerMetadata", "HandlerResponse", "Slot", "Fault"),
    *("BufferStart", "BufferComplete", "BufferItemResult", "BufferDispatched", "BufferError", "Items"),
    *("SequenceStart", "SequenceStep", "SequenceComplete", "SequenceError"),
    *("Reject", "Retry", "RetryPolicy"),
    *("Organism", "Output", "ConfigError", "PayloadError", "XpipeError", "__version__"),
}


def test_the_public_names_are_these_and_no_more() -> None:
    assert set(xpipe.__all__) == NAMES
    assert set(dir(xpipe)) == NAMES
    assert all(getattr(xpipe, name) is not None for name in xpipe.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'xpipe' has no attribute 'Pump'"):
        _ = xpipe.Pump


def test_a_star_import_binds_all_of_them() -> None:
    bound: dict[str, object] = {}
    exec("from xpipe import *", bound)
    assert set(bound) - {"__builtins__"} == NAMES


def test_type_checkers_see_the_same_names() -> None:
    root = Path(xpipe.__file__).parent
    assert (root / "py.typed").exists()
    tree = ast.parse((root / "__init__.py").read_text(encoding="utf-8"))
    imported = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported >= NAMES - {"__version__"}
    # Written out: a checker cannot follow an expression.
    written = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    assert ast.literal_eval(written[0].value) == sorted(NAMES)


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, xpipe; print(*(name for name in sys.modules if name.startswith('xpipe') or name == 'msgspec'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"xpipe", "xpipe.version"}


def test_an_assertion_changes_nothing() -> None:
    """`python -O` leaves assertions out: what one calls may not be needed for anything."""
    for path in Path(xpipe.__file__).parent.rglob("*.py"):
        if "templates" in path.parts:
            continue
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for part in ast.walk(one) if isinstance(one, ast.Assert) else ():
                called = isinstance(part, ast.Call) and getattr(part.func, "id", "") not in ("isinstance", "len")
                assert not called, f"{path}:{one.lineno}"
                assert not isinstance(part, ast.NamedExpr | ast.Await | ast.Yield), f"{path}:{one.lineno}"
