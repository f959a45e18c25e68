"""What can go wrong between sending a request and holding its whole answer.

    HttpError
      +- Unreachable   no connection, or one that was lost before a byte of the answer came
      +- TimedOut      the time was over first
      +- Broken        an answer that began and is none: cut short, or no HTTP

A status of 400 or more is an answer and no error here. `str()` is one sentence; it names the origin
and never a path, a header or a body, for those may hold keys and prompts.
"""

from __future__ import annotations


class HttpError(Exception):
    """No usable answer; one sentence."""


class Unreachable(HttpError):
    """The request was not answered with a single byte, or could not be sent at all."""


class TimedOut(HttpError):
    """The time for the request was over before its answer was whole."""


class Broken(HttpError):
    """The answer began but cannot be used.

    `cut` tells the two cases apart: it ended before its end (True), or it breaks the rules of
    HTTP/1.1 or a limit of this client (False).
    """

    def __init__(self, sentence: str, *, cut: bool) -> None:
        super().__init__(sentence)
        self.cut = cut
