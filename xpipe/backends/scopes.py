"""What is under way below each thread: counted up and down, and given up."""

from __future__ import annotations

from abc import ABC, abstractmethod

from xpipe.backends.records import Conversation, JoinState, Thread
from xpipe.backends.store import Store
from xpipe.core.messages import ENDED, REVOKED, Answer, Event, no_answer, readable


class Scopes(ABC):
    """Counts what is pending in the records in `store`; a thread whose count reaches zero is quiet."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.late = 0
        self.unanswered = 0
        self.now = 0.0

    @abstractmethod
    def _answer(self, thread: Thread, answer: Answer) -> None:
        """Give `answer` to the parent of `thread`."""

    def _raise(self, thread: Thread) -> None:
        node: Thread | None = thread
        while node is not None:
            node.pending += 1
            if node.pending > 1:
                return
            node = node.parent

    def _lower(self, thread: Thread) -> None:
        node: Thread | None = thread
        while node is not None:
            if node.pending == 1 and node.call:
                self._end_unanswered(node)
            node.pending -= 1
            if node.pending:
                return
            if node.parent is None:
                self._end(node.conversation)
            node = node.parent

    def _close(self, parent: Thread, call: str) -> bool:
        """End an open call of `parent`; False when it is none."""
        if parent.open is None or parent.open.pop(call, None) is None:
            return False
        if not parent.open:
            parent.open = None  # An empty dictionary takes as much as a full one.
        return True

    def _end_unanswered(self, thread: Thread) -> None:
        """E1 to E3. Called while the thread still counts in its parent, so that the parent cannot become quiet."""
        parent = thread.parent
        assert parent is not None
        call, thread.call = thread.call, ""
        self.unanswered += 1
        if parent.join is not None or parent.no_answer:
            last = readable(thread.slots[-1])
            hop = last.hop if last else 0
            message = no_answer(thread.conversation.id, thread.listener, parent.listener, call, hop, self.now)
            self._answer(thread, Answer(call, message, fault=True))
        else:
            self._close(parent, call)

    def _end(self, conversation: Conversation) -> None:
        if conversation.ended:
            return
        conversation.ended = self.now
        self._tell(Event(conversation.id, ENDED, state=conversation.state), conversation)
        self.store.note_end(conversation)
        if conversation.settled:
            self.store.note_settled(conversation)

    def _give_up(self, thread: Thread) -> None:
        thread.open = None
        if thread.join is not None:
            self._close_join(thread.join)
            thread.join = None

    def _close_join(self, join: JoinState) -> None:
        join.open = False
        self.store.drop_join(join)

    def _cancel_below(self, top: Thread) -> None:
        """Give up all that is under way below `top`; its own messages stay."""
        below = {top.id}
        ready: set[Thread] = set()
        for thread in self.store.younger(top):
            if thread.parent is not None and thread.parent.id in below and thread.pending:
                below.add(thread.id)
                ready |= self._revoke(thread)
                self._give_up(thread)
                thread.pending, thread.call, thread.failed = 0, "", True
        self.store.drop_ready(ready)
        self._give_up(top)
        top.pending = len(top.mailbox or ())

    def _revoke(self, thread: Thread) -> set[Thread]:
        """Take the messages of `thread` from where they wait; itself if it stands in a queue."""
        mailbox, owner, due = thread.mailbox, thread.owner, thread.due
        thread.mailbox, thread.owner, thread.due, thread.attempt, thread.deliveries = None, "", 0.0, 1, 0
        self.store.in_flight -= len(mailbox or ())
        if owner:
            thread.fence += 1  # The step of whoever has claimed it comes too late.
            if self.store.is_enrolled(owner):
                self.store.tell(owner, Event(thread.conversation.id, REVOKED, state=thread.id))
        return {thread} if mailbox and not owner and not due else set()

    def _tell(self, event: Event, conversation: Conversation) -> None:
        if conversation.owner and self.store.is_enrolled(conversation.owner):
            self.store.tell(conversation.owner, event)
