"""Whether the surroundings of an organism are as it needs them: its backend, and worker processes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from xpipe.assembly.building import backend_config, make_intake, make_pool, slots_per_thread
from xpipe.core import chains
from xpipe.core.errors import BackendError, EmptyBackendError, PoolError, XpipeError
from xpipe.core.organism import OrganismDefinition
from xpipe.state.factory import attach_backend

PATIENCE = 30.0
"""Seconds for a worker process to load the handlers."""
_LOOK = 0.01


def check_backend(definition: OrganismDefinition) -> None:
    """That the backend can be reached and is this organism's; nothing is made there. Raises BackendError."""
    config = backend_config(definition)
    if config.backend_type == "memory" or (config.backend_type == "manager" and not config.manager_address):
        return  # A run makes its own.
    backend = attach_backend(config)
    try:
        backend.open(None, slots_per_thread(definition))
        if backend.root() != chains.root(definition.name):
            raise BackendError(
                f"the backend holds the state of {backend.root()}, not of {chains.root(definition.name)}; "
                "give each organism a backend of its own"
            )
    except EmptyBackendError:
        if config.backend_type == "sqlite":
            _check_folder(Path(config.sqlite_path))
    finally:
        backend.close()


def _check_folder(path: Path) -> None:
    """That the state file at `path` can be made. Raises BackendError."""
    folder = next(one for one in path.absolute().parents if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise BackendError(f"{path} cannot be made: {folder} is no folder that may be written to")


def check_workers(definition: OrganismDefinition) -> None:
    """That a worker process can be made and loads the handlers of cpu_bound listeners, if any. Raises PoolError."""
    if any(listener.cpu_bound for listener in definition.listeners):
        asyncio.run(_try_worker(definition))


async def _try_worker(definition: OrganismDefinition) -> None:
    failures: list[XpipeError] = []
    one = replace(definition, pool=replace(definition.pool, workers=1))
    pool = make_pool(asyncio.get_running_loop(), one, make_intake(one).topology, failures.append)
    if pool is None:
        return
    pool.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while not pool.is_proven and not failures:  # noqa: ASYNC110  # nobody else needs to be told of this
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        failures.append(PoolError(f"a worker process has not loaded the handlers within {PATIENCE:g} s"))
    finally:
        await pool.close()
    if failures:
        raise failures[0]
