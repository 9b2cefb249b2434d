"""`system.buffer`, and listeners with a `buffer`: fan-out of items, collected into one BufferComplete (B1 to B18)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from xpipe.core import chains
from xpipe.core.codec import Packed, decode_item, decode_listed
from xpipe.core.errors import PayloadError
from xpipe.core.messages import JOINED, MORE, Claim, Join, Message, Send, Step, encode_message
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import (
    DEFAULT_IN_FLIGHT,
    BufferComplete,
    BufferDispatched,
    BufferError,
    BufferStart,
    Fault,
)
from xpipe.runtime.primitives.base import Primitive, Refusal, Setting, check_seconds, join_id
from xpipe.runtime.primitives.buffer_state import BufferState
from xpipe.runtime.primitives.items import File, Source
from xpipe.runtime.primitives.results import complete, too_few
from xpipe.runtime.primitives.sources import Sources
from xpipe.runtime.primitives.terms import Terms
from xpipe.runtime.router import open_call

_encode = msgspec.msgpack.encode
_decode_state = msgspec.msgpack.Decoder(BufferState).decode


class Buffer(Primitive):
    """Sends its items piece by piece: the backend asks for more when few are under way."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._sources = Sources(setting.backend.buffer_get_slot, setting.limits.payload_bytes)

    def take(self, claim: Claim, message: Message) -> Step:
        try:
            if message.kind == JOINED:
                return self._complete(claim, message)
            if message.kind == MORE:
                return self._go_on(claim, message)
            if message.type == "Fault":  # The stand-in of an item that is no payload (B10).
                return self.router.pass_on(claim, message)
            return self._start(claim, message, self.asked(message))
        except PayloadError as error:
            return self._refuse(claim, message, Refusal(error.code, str(error)))
        except Refusal as refusal:
            return self._refuse(claim, message, refusal)

    def asked(self, message: Message) -> BufferStart:
        """What the request `message` asks for; its items are still encoded."""
        start = decode_listed(message.type, message.payload)
        if not isinstance(start, BufferStart):
            raise PayloadError(f"{message.type} is not BufferStart")
        return start

    def _refuse(self, claim: Claim, message: Message, refusal: Refusal) -> Step:
        self._sources.drop(claim.thread)
        error = BufferError(
            refusal.code, refusal.text, claim.listener, message.hop, message.attempt, buffer_id=message.call
        )
        return self.fail(claim, message, message.call, error)

    def _start(self, claim: Claim, message: Message, start: BufferStart) -> Step:
        state = self._checked(claim, start)
        self._check_items(state, start.items)
        source = self._sources.of(claim.thread, message.call, state, start.items)
        step = self._feed(claim, message, state, source)
        if not state.total and start.collect:
            return self._conclude(claim, message, state, BufferComplete(message.call, 0, 0, []))
        if not start.collect:
            dispatched = BufferDispatched(message.call, state.total)
            finish = self.finish(claim, message, start.return_to, message.call, dispatched)
            step.call, step.answer, step.delegate = "", finish.answer, finish.delegate
        return step

    def _checked(self, claim: Claim, start: BufferStart) -> BufferState:
        """The state that a Buffer begins with. Raises Refusal (B3)."""
        terms = Terms(str(start.min_success), start.on_partial, start.cancel_rest)
        _check_numbers(start, terms)
        self.check_target(self.requester(claim), start.target)
        self.check_return(claim, start.return_to, "BufferComplete" if start.collect else "BufferDispatched")
        members, window = list(self.topology.members(start.target)), start.max_in_flight or DEFAULT_IN_FLIGHT
        terms = terms if start.collect else Terms()  # Without results nothing is decided before the end.
        state = BufferState(start.target, members, start.return_to, window, start.collect, terms)
        if start.timeout and start.collect:
            state.expires = self.setting.now() + max(0.0, start.timeout)
        if start.items_from:
            state.file = self._file(claim, start)
        else:
            state.total = len(start.items) * len(members)
        return state

    def _file(self, claim: Claim, start: BufferStart) -> File:
        name, folder = start.items_from, os.path.abspath(self.setting.folder)
        if start.items:
            raise Refusal("bad_payload", "the Buffer has items and items_from; give one of them")
        path = os.path.abspath(os.path.join(folder, name))
        is_inside = path.startswith(os.path.join(folder, ""))
        if not is_inside and chains.is_asked_from_outside(claim.chain, self.topology.primitives):
            text = f"items_from is {name}; a message from outside can only name files in the folder of the organism"
            raise Refusal("forbidden_file", f"{text}; put a link to it there, or have a handler name it")
        return File.at(path, name)

    def _check_items(self, state: BufferState, items: Sequence[Any]) -> None:
        """Refuse items of which one is no payload of the target, before any is sent (B3)."""
        self._check_width(state, state.total)
        for at, item in enumerate(items):
            self.pack(decode_item(item), state.target, state.members, f"items[{at}]")

    def _check_width(self, state: BufferState, total: int) -> None:
        most = self.setting.limits.fan_out
        if total > most:
            what = f"{state.file.name} has {total} items or more" if state.file else f"the Buffer has {total} items"
            raise Refusal("fan_out_too_wide", f"{what}, over limits.fan_out ({most}); split or raise it")

    def _go_on(self, claim: Claim, message: Message) -> Step:
        """The step that sends a further piece (B9)."""
        state = _decode_state(claim.state)
        try:
            return self._feed(claim, message, state, self._sources.of(claim.thread, message.call, state))
        except Refusal as refusal:
            if self.setting.backend.join_get(join_id(claim, message.call)) is None:
                return Step(claim.thread, claim.fence, claim.call)  # B8
            step = self._refuse(claim, message, refusal)
            step.cancels = state.collect  # Nobody waits for the others any more.
            return step

    def _feed(self, claim: Claim, message: Message, state: BufferState, source: Source) -> Step:
        """The step that sends the next piece of `source`."""
        width, (count, low) = len(state.members), state.release(self.setting.room())
        first, wanted = state.sent // width, math.ceil((state.sent + count) / width)
        items = source.take(first, wanted - first + 1)  # One more tells whether there will be a further piece.
        known = (first + len(items)) * width
        self._check_width(state, known)
        if len(items) <= wanted - first:
            state.total = known
        indexes = range(state.sent, min(state.sent + count, known))
        sends = list(self._sends(claim, message, state, indexes, items))
        state.sent = indexes.stop
        state.place = source.place_of(state.sent // width)
        if state.is_all_sent:
            self._sources.drop(claim.thread)
        else:
            self._sources.keep(claim.thread, source)
        step = Step(claim.thread, claim.fence, open_call(claim, message), sends)
        step.state, step.join = _encode(state), _join(claim, message, state, low)
        return step

    def _sends(
        self, claim: Claim, message: Message, state: BufferState, indexes: range, items: Sequence[Any]
    ) -> Iterator[Send]:
        """The requests numbered `indexes`: each of `items` to one member after the other."""
        width = len(state.members)
        first, at = indexes.start // width, -1
        for index in indexes:
            if index // width != at:
                at = index // width
                packed, sound = self._packed(claim, message, state, items[at - first], at)
            member = state.members[index % width]
            segment, to = f"{index}.{chains.escape(member)}", member if sound else claim.listener
            yield self.router.request(claim, message, to, packed.type, packed.data, segment, index)

    def _packed(self, claim: Claim, message: Message, state: BufferState, item: Any, at: int) -> tuple[Packed, bool]:
        """What is sent for `item`, and whether it is a payload of the target; else it is a fault (B10)."""
        try:
            packed = self.pack(item, state.target, state.members, f"items[{at}]")
            fault = self.router.too_large(claim, message, packed.type, packed.data)
        except Refusal as refusal:
            fault = Fault(refusal.code, refusal.text, state.target, message.hop, message.attempt)
        return (packed, True) if fault is None else (Packed(*self.types.encode(fault)), False)

    def _complete(self, claim: Claim, message: Message) -> Step:
        self._sources.drop(claim.thread)
        if not claim.call:  # It could not go on, and its caller has been told (B18).
            return Step(claim.thread, claim.fence)
        state = _decode_state(claim.state)
        replies = self.setting.backend.join_results(claim.thread)
        step = self._conclude(claim, message, state, complete(message.call, state, replies, self.types))
        step.cancels = state.terms.cancel_rest and None in replies
        return step

    def _conclude(self, claim: Claim, message: Message, state: BufferState, found: BufferComplete) -> Step:
        """The step that ends the Buffer with `found`, or in a fault if that is too little (B14)."""
        if state.terms.on_partial == "fault" and not state.terms.are_met(state.total, found.successful):
            text = too_few(found, state.terms.min_success)
            return self._refuse(claim, message, Refusal("too_few_successes", text))
        return self.finish(claim, message, state.return_to, message.call, found)


class DeclaredBuffer(Buffer):
    """A listener with a `buffer`: it takes Items and is who calls the target."""

    def __init__(self, setting: Setting, options: BufferOptions) -> None:
        super().__init__(setting)
        self._options = options

    def requester(self, claim: Claim) -> str:
        return claim.listener

    def asked(self, message: Message) -> BufferStart:
        items, options = decode_listed(message.type, message.payload), self._options
        return BufferStart(
            options.target,
            items.items,
            timeout=options.timeout,
            items_from=items.items_from,
            max_in_flight=options.max_in_flight,
            min_success=options.min_success,
            on_partial=options.on_partial,
            cancel_rest=options.cancel_rest,
        )


def _check_numbers(start: BufferStart, terms: Terms) -> None:
    problem = terms.problem()
    if problem:
        raise Refusal("bad_payload", f"the Buffer's {problem}")
    check_seconds("the Buffer's timeout", start.timeout)
    if start.max_in_flight < 0:
        text = f"the Buffer's max_in_flight is {start.max_in_flight}; give a number from 0 up, 0 for the default"
        raise Refusal("bad_payload", text)


def _join(claim: Claim, message: Message, state: BufferState, low: int) -> Join:
    """What the backend is to do as results come in."""
    call = message.call
    joined = Message(
        f"{call}+", JOINED, message.conversation, state.target, claim.listener, "", b"", call, message.hop + 1
    )
    more = Message(f"{call}*", MORE, message.conversation, state.target, claim.listener, "", b"", call, message.hop)
    enough, spare = state.terms.bounds(state.total)
    return Join(
        join_id(claim, call),
        state.sent,
        encode_message(joined),
        state.collect,
        state.expires,
        more=b"" if state.is_all_sent else encode_message(more),
        low=low,
        enough=enough,
        spare=spare,
    )
