"""The thread registry: the two-way map of call chains and the ids that stand for them."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator

from xpipe.backends.arguments import require_id
from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.ports import SharedBackend
from xpipe.state.factory import private_backend


class ThreadRegistry:
    """The call chains of a backend; without one, of a private one in memory.

    All processes that share the backend get the same id for the same chain. Names are given raw; what is called
    *chain* is joined already (xpipe.core.chains).
    """

    def __init__(self, backend: SharedBackend | None = None) -> None:
        self._backend = private_backend() if backend is None else backend
        self._is_shared = backend is not None
        self._is_cleared = False

    @property
    def is_shared(self) -> bool:
        """Whether it is a view of a given backend instead of a private one."""
        return self._is_shared

    def initialize_root(self, organism: str) -> str:
        """Claim the backend for `organism`; returns the id of its root. Raises BackendError if it belongs to
        another."""
        require_id("organism", organism)
        self._backend.open(organism)
        self._is_cleared = False
        return self.get_or_create(chains.root(organism))

    @property
    def root_uuid(self) -> str | None:
        """The id of the chain above all conversations; None while no organism has claimed the backend."""
        root = self._root()
        return self._backend.registry_get_uuid(root) if root else None

    @property
    def root_chain(self) -> str:
        """The chain above all conversations, `system.<organism>`; `system` while the backend is unclaimed."""
        return self._root() or "system"

    def _root(self) -> str:
        return "" if self._is_cleared else self._backend.root()

    def get_or_create(self, chain: str) -> str:
        """The id of `chain`, bound to it by this call if none was."""
        return self._backend.registry_set(chain, str(uuids.uuid4()))

    def lookup(self, uuid: str) -> str | None:
        """The chain that `uuid` stands for."""
        return self._backend.registry_get_chain(uuid)

    def start_chain(self, initiator: str, target: str) -> str:
        """The id of the chain of a call from `initiator` outside to the listener `target`."""
        return self.get_or_create(self._outermost(initiator, target))

    def register_thread(self, uuid: str, initiator: str, target: str) -> str:
        """Let `uuid`, made elsewhere, stand for the chain of a call from `initiator` to `target`; the id to use.

        That is another one if the chain has one. An id that stands for a chain already keeps to it.
        """
        chain = self._outermost(initiator, target)
        try:
            return self._backend.registry_set(chain, uuid)
        except LimitError:
            return uuid

    def _outermost(self, initiator: str, target: str) -> str:
        require_id("initiator", initiator)
        require_id("target", target)
        root = self._root()
        return chains.extend(root, initiator, target) if root else chains.extend(chains.escape(initiator), target)

    def extend_chain(self, uuid: str, name: str) -> str:
        """The id of the chain of `uuid` with the listener `name` behind it. Raises LimitError for an unknown id."""
        require_id("name", name)
        chain = self.lookup(uuid)
        if chain is None:
            raise LimitError(f"the id {uuid!r} stands for no chain; register it, or start a chain")
        return self.get_or_create(chains.extend(chain, name))

    def prune_for_response(self, uuid: str) -> tuple[str, str] | tuple[None, None]:
        """Whom a response from the thread `uuid` goes to: the caller's name and thread.

        None twice for an unknown id, and at the end of a chain, whose id is then forgotten as by `cleanup`.
        """
        chain = self.lookup(uuid)
        if chain is None:
            return None, None
        caller, _ = chains.prune(chain)
        if caller in ("", self.root_chain):
            self.cleanup(uuid)
            return None, None
        return chains.last_name(caller), self.get_or_create(caller)

    def cleanup(self, uuid: str) -> bool:
        """Forget `uuid` and its chain; False if it was not bound here, or is a thread of a conversation."""
        return self._backend.registry_delete(uuid)

    def debug_dump(self) -> dict[str, str]:
        """All chains by uuid."""
        return self._backend.registry_list_all()

    def iter_entries(self) -> Iterator[tuple[str, str]]:
        """As `debug_dump`, page by page: for more chains than a dictionary should hold. Yields uuid and chain."""
        return ((one.uuid, one.chain) for one in self._backend.registry_entries())

    def clear(self) -> None:
        """Forget what was bound here, and the root until `initialize_root`.

        The backend stays that of its organism, and the threads of conversations stay.
        """
        self._backend.registry_clear()
        self._is_cleared = True
