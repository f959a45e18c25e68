"""Which requests may share an answer.

A key is a SHA-256 of everything that changes an answer: the release, the feature, whose request it
is, the parameters, the messages. Its `partition` is the same without the last user message: an
answer is looked up by meaning only within one partition, so likeness can never cross a release, a
feature, a user or a parameter.

Whose request: the token's name and the request's `user`, so that answers stay with the user; only
where the feature's cache says `scope: feature` do all of its users share. A request without `user`
belongs to the token.

Messages are compared in Unicode's composed form (NFC), with one kind of line end and without blanks
at line ends; case and indentation stay, for they can change what is asked. A request in which
personal data was found has no key at all: with the data the key would hold it, and without it two
people's requests would look alike.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from llm_service.auth import Principal
from llm_service.calls import Call, Message

HOTTEST = 1.0
"""The temperature above which a request wants answers that differ: it is not answered again."""
LONGEST = 100_000
"""Characters of messages beyond which a request has no key: it will hardly come again."""
BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)


class Policy(Protocol):
    """What a feature says of its cache."""

    @property
    def mode(self) -> Literal["off", "exact", "semantic"]:
        """Whether answers are kept, and whether likeness is enough."""
        ...

    @property
    def scope(self) -> Literal["user", "feature"]:
        """Who shares them."""
        ...

    @property
    def ttl_seconds(self) -> float:
        """How long an answer is kept."""
        ...

    @property
    def threshold(self) -> float:
        """The least cosine similarity of two questions with one answer."""
        ...


class CacheKey(msgspec.Struct, frozen=True):
    """Where an answer is kept, and by which rule. `text` is what likeness goes by: the last user
    message, normalised, free of personal data; empty where only the same request counts."""

    digest: bytes
    partition: bytes
    text: str
    ttl_seconds: float
    threshold: float


def key_of(
    call: Call,
    policy: Policy,
    *,
    release: str,
    feature: str,
    principal: Principal,
    user: str = "",
    models: tuple[str, ...] = (),
    redact: Callable[[str], str] | None = None,
) -> CacheKey | None:
    """The key of a request, None if its answer may not be kept: the policy is off, it offers tools
    or answers them, it is hotter than HOTTEST, very long, or `redact` finds personal data in it.

    `call` holds the messages as the client and the prompt made them, before passages are added;
    `models` are the targets that may answer it.
    """
    if policy.mode == "off" or call.tools or (call.temperature or 0.0) > HOTTEST:
        return None
    parts = _parts(call.messages, redact)
    if parts is None:
        return None
    before, asked, after = parts
    whose = (principal.name, user) if policy.scope == "user" else ()
    parameters = (
        call.model, call.temperature, call.top_p, call.max_tokens,
        call.stop, call.seed, call.response_format, call.more,
    )  # fmt: skip
    scope = (release, feature, policy.scope, whose, parameters, models, before, after)
    partition = hashlib.sha256(_ENCODER.encode(scope)).digest()
    digest = hashlib.sha256(partition + asked.encode()).digest()
    text = asked if policy.mode == "semantic" else ""
    return CacheKey(digest, partition, text, policy.ttl_seconds, policy.threshold)


def _parts(
    messages: Sequence[Message], redact: Callable[[str], str] | None
) -> tuple[list[str], str, list[str]] | None:
    """Roles and texts before the last user message, its text, and those after it; None where the
    messages say nothing that may be answered again."""
    flat: list[str] = []
    last, length = -1, 0
    for message in messages:
        if message.role == "tool" or message.tool_calls:
            return None
        length += len(message.content)
        if message.role == "user":
            last = len(flat)
        text = normalised(message.content)
        if redact and redact(text) != text:
            return None
        flat += (message.role, text)
    if last < 0 or length > LONGEST:
        return None
    return flat[:last], flat[last + 1], flat[last + 2 :]


def normalised(text: str) -> str:
    """`text` as it is compared."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in text and (" \n" in text or "\t\n" in text):
        text = BLANKS.sub("", text)
    return text.strip()


_ENCODER = msgspec.json.Encoder(order="deterministic")
