"""What is kept of an answer: all that is needed to give it again, whole or as a stream."""

from __future__ import annotations

import msgspec

from llm_service.calls import Usage

OVERHEAD = 400
"""Bytes that an answer takes in memory beside its text."""


class SourceRow(msgspec.Struct, frozen=True):
    """A document that an answer came from, as the API lists it."""

    id: str
    title: str
    score: float


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `model` is the target that gave it, `response_id` the answer's own id, so that
    what is said of the copy can be traced; `similarity` is below 1 if a like question had it."""

    text: str
    usage: Usage
    model: str
    fingerprint: str = ""
    sources: tuple[SourceRow, ...] = ()
    refused: bool = False
    response_id: str = ""
    similarity: float = 1.0

    @property
    def size(self) -> int:
        """Bytes it takes, nearly."""
        return OVERHEAD + 4 * len(self.text) + 200 * len(self.sources)

    def bytes(self) -> bytes:
        """It for a store outside the process."""
        return _ENCODER.encode(self)


def read(data: bytes) -> Cached | None:
    """The answer in `data`; None if it is of another shape (an older release's, or damaged)."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Cached)
