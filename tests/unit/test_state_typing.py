"""A program that uses xpipe.state passes `mypy --strict`, and what it gets back has a type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from xpipe.state import (
    BackendConfig,
    BufferItemResult,
    BufferRegistry,
    BufferSlot,
    BufferState,
    ContextBuffer,
    InMemoryBackend,
    SequenceState,
    SharedBackend,
    ThreadRegistry,
    deserialize_slot,
    get_buffer_registry,
    get_context_buffer,
    get_registry,
    get_sequence_registry,
    get_shared_backend,
    reset_shared_backend,
    serialize_slot,
)


def use(backend: SharedBackend) -> None:
    threads: list[str] = backend.buffer_list_threads()
    chains: dict[str, str] = backend.registry_list_all()
    index: int = backend.buffer_append("t", b"data")
    data: bytes | None = backend.buffer_get_slot("t", index)
    registry: ThreadRegistry = get_registry(backend=backend)
    root: str | None = registry.root_uuid
    name, caller = registry.prune_for_response(registry.get_or_create("a.b"))
    context: ContextBuffer = get_context_buffer(backend=backend)
    slot: BufferSlot | None = context.get_slot("t", 0)
    if slot is not None:
        same: BufferSlot = deserialize_slot(serialize_slot(slot))
    buffer: BufferState | None = BufferRegistry(backend=backend).record_result("b", index=0, result="x")
    if buffer is not None:
        results: list[BufferItemResult | None] = buffer.get_ordered_results()
    sequence: SequenceState | None = get_sequence_registry().advance("s", result=None)
    print(threads, chains, data, root, name, caller, get_buffer_registry().list_active(), sequence)


use(get_shared_backend(BackendConfig(backend_type="manager", manager_address=("h", 1), manager_authkey=b"key")))
use(InMemoryBackend())
reset_shared_backend()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_program_that_uses_the_state_layer_is_typed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text("from xpipe.state import ThreadRegistry\nThreadRegistry().lookup(7)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]

    right = subprocess.run([*command, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    wrong = subprocess.run([*command, "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert right.returncode == 0, right.stdout
    assert "[arg-type]" in wrong.stdout
