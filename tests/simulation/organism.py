"""The organism that is simulated: its listeners, with handlers and without."""

from __future__ import annotations

from simulation.handlers import Handlers
from simulation.plans import CHAINS, CROWD, FANS, GATHER, NODES, STEP, Plan, Round, Sum
from xpipe.core.organism import Listener, OrganismDefinition, no_handler
from xpipe.core.payloads import BufferComplete, BufferDispatched, Items, SequenceComplete

NAME = "simulated"
TIMEOUT = 100.0


ANSWERS = (Sum, Round, BufferComplete, BufferDispatched, SequenceComplete)


def organism(handlers: Handlers) -> OrganismDefinition:
    """The definition of the organism, run by `handlers`."""
    nodes = [
        Listener(name, handlers.node, (Plan, *ANSWERS), timeout=TIMEOUT, retry=node.retry, broadcast=name in CROWD)
        for group, node in NODES.items()
        for name in (CROWD if group == "crowd" else (group,))
    ]
    others = [
        Listener(STEP, handlers.step, (Round, *ANSWERS), timeout=TIMEOUT, concurrency=3),
        Listener(GATHER, handlers.gather, ANSWERS, timeout=TIMEOUT),
    ]
    fans = [
        Listener(name, no_handler, (Items,), inline=True, timeout=None, buffer=options)
        for name, options in FANS.items()
    ]
    chains = [
        Listener(name, no_handler, (Round,), inline=True, timeout=None, sequence=steps)
        for name, steps in CHAINS.items()
    ]
    return OrganismDefinition(NAME, ".", listeners=(*nodes, *others, *fans, *chains))
