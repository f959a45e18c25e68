"""Server-sent events, as providers use them: the data of each event, in whatever pieces it comes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation: lines
end with LF, CRLF or CR, an empty line ends an event, `data` lines are joined, comments (a line that
begins with a colon) and other fields are left out. Providers name their events in the data too, so
`event:` is not needed.
"""

from __future__ import annotations

MOST_HELD = 4 * 1024 * 1024
"""Bytes of one event; a longer one is no event of a chat."""


class TooLong(Exception):
    """An event that does not end."""


class Splitter:
    """Takes bytes as they arrive, gives the data of the events that are complete."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def push(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes. Raises TooLong.

        Nearly every chunk of a stream is one event of one line: that case comes first.
        """
        if not self._held and chunk.find(b"\n") == len(chunk) - 2 and _is_one(chunk):
            return [chunk[6:-2]]
        whole = self._held + chunk if self._held else chunk
        if b"\r" in whole:
            whole = _with_line_feeds(whole)
        *blocks, held = whole.split(b"\n\n")
        if len(held) > MOST_HELD:
            raise TooLong
        self._held = held
        return [data for block in blocks if (data := _data(block)) is not None]

    def rest(self) -> list[bytes]:
        """The data of an event that the stream ended in, without its empty line."""
        held, self._held = self._held, b""
        data = _data(held.rstrip(b"\r\n"))
        return [] if data is None else [data]


def _is_one(chunk: bytes) -> bool:
    """Whether `chunk`, whose first line end is its last byte but one, is one event of one line."""
    return chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") and b"\r" not in chunk


def _with_line_feeds(text: bytes) -> bytes:
    """Ends lines with LF; a CR at the very end may be half of a CRLF and stays."""
    text = text.replace(b"\r\n", b"\n")
    return text[:-1].replace(b"\r", b"\n") + text[-1:]


def _data(block: bytes) -> bytes | None:
    block = block.lstrip(b"\n")
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line[:5] == b"data:"]
    return b"\n".join(lines) if lines else None
