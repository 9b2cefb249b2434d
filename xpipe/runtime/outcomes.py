"""What conversations come to: handed on as it happens, or kept until it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import ConversationRecord, Event, Message
from xpipe.runtime.delivery import Delivery
from xpipe.runtime.happenings import Ending, Happening, Output, happening_of, output_of
from xpipe.runtime.waiting import Waiting


class Outcomes:
    """Gives what happens to `listener`; without one it keeps outputs until `collect`.

    Outputs are delivered when they were given or collected; with `at_once` as soon as they come.
    """

    def __init__(self, types: PayloadTypes, listener: Callable[[Happening], None] | None, at_once: bool) -> None:
        self.waiting = Waiting()
        self.delivery = Delivery()
        self._types = types
        self._listener = listener
        self._counts_when_collected = listener is None and not at_once
        self._kept: dict[str, list[Output]] = {}

    def begin_anew(self) -> None:
        """Forget who waited for what, in an event loop that may have been another one."""
        self.waiting = Waiting()

    def take(self, event: Event) -> None:
        """A backend tells of `event`."""
        happening = happening_of(event, self._types)
        if isinstance(happening, Ending):
            self._end(happening)
        else:
            self._tell(happening)

    def collect(self, conversation: str) -> list[Output]:
        """The outputs of `conversation`, which is over, in order; kept no longer."""
        found = self._kept.pop(conversation, [])
        if self._counts_when_collected:
            self.delivery.add(conversation, len(found), over=True)
        return found

    def take_over(self, one: ConversationRecord, outputs: list[Message]) -> None:
        """The conversation of another pump is this one's now; nobody has printed `outputs`."""
        self.delivery.begin(one.id, one.delivered)
        if not one.ended:
            self.waiting.begin([one.id])
        for message in outputs:
            self._tell(output_of(message, self._types))
        if one.ended:
            self._tell(Ending(one.id, one.state))
            self.delivery.end(one.id)

    def catch_up(self, one: ConversationRecord, outputs: list[Message]) -> None:
        """Events of the conversation may have been missed; `outputs` are all there are by now."""
        kept = len(self._kept.get(one.id, ())) if self._counts_when_collected else 0
        told = max(self.delivery.count(one.id), one.delivered)
        self.delivery.begin(one.id, told)
        for message in outputs[told + kept :]:
            self._tell(output_of(message, self._types))
        if one.ended and one.id in self.waiting.running:
            self._end(Ending(one.id, one.state))
        elif one.ended:
            self.delivery.end(one.id)

    def _end(self, ending: Ending) -> None:
        self._tell(ending)
        self.waiting.end(ending.conversation)

    def _tell(self, happening: Happening) -> None:
        if self._listener is not None:
            self._listener(happening)
        elif isinstance(happening, Output):
            self._kept.setdefault(happening.conversation, []).append(happening)
        if self._counts_when_collected:
            return
        if isinstance(happening, Output):
            self.delivery.add(happening.conversation, 1)
        elif isinstance(happening, Ending):
            self.delivery.end(happening.conversation)
