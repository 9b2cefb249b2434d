"""Handlers that do nothing but pass a text on, and back. `hops` counts the handlers it has been through."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Parcel:
    """On its way out."""

    number: int
    text: str = ""
    hops: int = 0


@dataclass
class Receipt:
    """On its way back."""

    number: int
    text: str
    hops: int


async def first(payload: Parcel | Receipt, _metadata: HandlerMetadata) -> HandlerResponse:
    return _pass_on(payload, "second")


async def second(payload: Parcel | Receipt, _metadata: HandlerMetadata) -> HandlerResponse:
    return _pass_on(payload, "third")


async def third(parcel: Parcel, _metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Receipt(parcel.number, parcel.text, parcel.hops + 1))


def _pass_on(payload: Parcel | Receipt, to: str) -> HandlerResponse:
    if isinstance(payload, Parcel):
        return HandlerResponse(Parcel(payload.number, payload.text, payload.hops + 1), to=to)
    return HandlerResponse.respond(Receipt(payload.number, payload.text, payload.hops + 1))
