"""No backend without the contract suite, no contract that is silently not run."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from contract_backends import BACKENDS

import xpipe.backends

HERE = Path(__file__).parent
CONTRACTS = [path for path in sorted(HERE.glob("test_*.py")) if path != Path(__file__)]


def backend_classes() -> set[type]:
    """The classes in xpipe/backends that have the verbs of the port."""
    found = set()
    for module in pkgutil.iter_modules(xpipe.backends.__path__, "xpipe.backends."):
        loaded = importlib.import_module(module.name)
        for _, cls in inspect.getmembers(loaded, inspect.isclass):
            if cls.__module__.startswith("xpipe.backends") and hasattr(cls, "advance") and hasattr(cls, "inject"):
                found.add(cls)
    return {cls for cls in found if not any(other is not cls and issubclass(other, cls) for other in found)}


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The names of the tests, with their parameters, that pytest collects in this folder."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        *map(str, CONTRACTS),
    ]
    output = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout
    return {line.rpartition("::")[2] for line in output.splitlines() if "::" in line}


def test_every_backend_has_a_factory_in_the_suite() -> None:
    assert backend_classes() == {cls for cls, _ in BACKENDS.values()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_contract_is_collected_for_every_backend(collected: set[str], backend: str) -> None:
    contracts = re.findall(r"^def (test_\w+)\(", "".join(path.read_text() for path in CONTRACTS), re.MULTILINE)
    assert len(contracts) > 50

    run = {name.partition("[")[0] for name in collected if re.search(rf"[\[-]{backend}[-\]]", name)}

    assert [name for name in contracts if name not in run] == []
