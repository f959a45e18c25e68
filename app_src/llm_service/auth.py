"""Bearer tokens: a current and a previous one, so that a rotation locks nobody out."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field

SHAPE = 'set BEARER_TOKENS to {"current": "...", "previous": ""}'


class TokensError(Exception):
    """The token secret is missing or malformed; the message never quotes it."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that may be used, as digests: comparing those leaks neither length nor prefix."""

    digests: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, secret: str) -> Tokens:
        """The non-empty tokens of the secret's JSON. Raises TokensError."""
        try:
            row = json.loads(secret)
            found = [str(row[key]) for key in ("current", "previous") if row.get(key)]
        except (ValueError, AttributeError, TypeError):
            raise TokensError(f"There is no usable token secret: {SHAPE}.") from None
        if not found:
            raise TokensError(f"The token secret holds no token: {SHAPE}.")
        return cls(tuple(_digest(token) for token in found))

    def allow(self, header: str | None) -> bool:
        """Whether the Authorization header is `Bearer` and one of the tokens."""
        scheme, _, token = (header or "").partition(" ")
        given = _digest(token.strip())
        matches = [hmac.compare_digest(given, known) for known in self.digests]
        return scheme.lower() == "bearer" and any(matches)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
