"""A handler in a worker process that gives back a large payload."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Blob:
    """There and back; `hops` is 1 on the way back."""

    number: int
    data: bytes
    hops: int = 0


def mirror(blob: Blob, _metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Blob(blob.number, blob.data, blob.hops + 1))
