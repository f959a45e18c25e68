"""Bearer tokens: two valid at once for each name, so that a rotation locks nobody out.

Only digests are kept. A token is looked up by the SHA-256 of what was sent: where the look-up ends
tells nothing about a token, for nobody can choose a digest. The secret is JSON in one of two forms:

    {"current": "...", "previous": ""}                  one name, `default`; the stack makes it
    {"tokens": [{"name": "web", "sha256": ["...", "..."], "requests_per_minute": 600,
                 "tokens_per_minute": 90000, "budget_micro_usd_per_day": 5000000,
                 "at_budget": "refuse"}]}               hashes alone: `python -m llm_service.auth`
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import msgspec

SHAPE = 'set BEARER_TOKENS to {"current": "...", "previous": ""} or {"tokens": [...]}'
DEFAULT = "default"
"""The name of those who use the plain form: one name, so that a rotation keeps its limits."""
AT_ONCE = 2
"""Tokens of one name that are valid at once."""

AtBudget = Literal["refuse", "cheaper", "warn"]


class TokensError(Exception):
    """The token secret is missing or malformed; the message never quotes it."""


class Principal(msgspec.Struct, frozen=True):
    """Who asks, and what they may: None leaves it to the service's own setting.

    Money in micro-dollars per day (UTC); `at_budget` is what happens once that is spent.
    """

    name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_micro_usd_per_day: float | None = None
    at_budget: AtBudget = "refuse"


ANONYMOUS = Principal("anonymous")
"""Everyone, where no token is asked for."""


class Known(Protocol):
    """Whatever knows the tokens: `Tokens`, or `LiveTokens` that follow a secret."""

    def principal(self, header: str | None) -> Principal | None:
        """Who sent this Authorization header; None: a stranger."""
        ...

    async def late(self, header: str | None) -> Principal | None:
        """The same for a stranger whose token may have been made just now."""
        ...

    @property
    def version(self) -> str:
        """Which secret is in force; never a part of it."""
        ...


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One name in the secret, newest hash first."""

    name: str
    sha256: list[str]
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tokens_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    budget_micro_usd_per_day: Annotated[float, msgspec.Meta(ge=0)] | None = None
    at_budget: AtBudget = "refuse"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that may be used, as digests, each with whose it is."""

    principals: Mapping[bytes, Principal] = field(repr=False)
    version: str

    @classmethod
    def parse(cls, secret: str, version: str = "") -> Tokens:
        """The tokens of the secret's JSON; `version` empty: made from its content.

        Raises TokensError.
        """
        held = holders(secret)
        digest = hashlib.sha256(secret.encode()).hexdigest()[:8]
        return cls.of(held.values(), version or f"sha256:{digest}")

    @classmethod
    def of(cls, held: Iterable[Holder], version: str) -> Tokens:
        """The tokens of `held`. Raises TokensError where two share one."""
        found: dict[bytes, Principal] = {}
        for holder in held:
            for digest in holder.digests:
                if found.setdefault(digest, holder.principal) is not holder.principal:
                    raise TokensError("The token secret has one token under two names: part them.")
        return cls(found, version)

    def principal(self, header: str | None) -> Principal | None:
        """Who sent this Authorization header, if it is `Bearer` and one of the tokens."""
        if header is None or header[:7].lower() != "bearer ":
            return None
        return self.principals.get(hashlib.sha256(header[7:].strip().encode()).digest())

    async def late(self, header: str | None) -> Principal | None:
        """As `principal`: these tokens do not change."""
        return self.principal(header)

    def allow(self, header: str | None) -> bool:
        """Whether the Authorization header is `Bearer` and one of the tokens."""
        return self.principal(header) is not None


@dataclass(frozen=True, slots=True)
class Holder:
    """A name with its digests, newest first."""

    principal: Principal
    digests: tuple[bytes, ...] = field(repr=False)


def holders(secret: str) -> dict[str, Holder]:
    """Whose tokens the secret's JSON holds, by name. Raises TokensError."""
    try:
        document = json.loads(secret)
        plain = [str(document[key]) for key in ("current", "previous") if document.get(key)]
        rows = msgspec.convert(document.get("tokens") or [], list[_Row])
    except (ValueError, AttributeError, TypeError, KeyError):
        raise TokensError(f"There is no usable token secret: {SHAPE}.") from None
    found = list(_holders(plain, rows))
    if not found:
        raise TokensError(f"The token secret holds no token: {SHAPE}.")
    named = {holder.principal.name: holder for holder in found}
    if len(named) < len(found):
        raise TokensError("The token secret names someone twice: give each name one entry.")
    return named


def _holders(plain: list[str], rows: list[_Row]) -> Iterator[Holder]:
    if plain:
        yield Holder(Principal(DEFAULT), tuple(_digest(token) for token in plain))
    for row in rows:
        fields: dict[str, Any] = {
            name: getattr(row, name) for name in row.__struct_fields__ if name != "sha256"
        }
        yield Holder(Principal(**fields), _hashes(row))


def _hashes(row: _Row) -> tuple[bytes, ...]:
    try:
        found = tuple(bytes.fromhex(text) for text in row.sha256)
    except ValueError:
        found = ()
    if not 1 <= len(found) <= AT_ONCE or any(len(digest) != 32 for digest in found):
        raise TokensError(
            f"The token secret's entry {row.name!r} needs one or two SHA-256 hashes of 64 "
            "hexadecimal digits: make them with `python -m llm_service.auth`."
        )
    return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def main() -> None:
    """Reads a token from standard input and prints the hash that the secret takes."""
    token = sys.stdin.readline().strip()
    if not token:
        sys.exit("There was no token on standard input: pipe one in.")
    print(_digest(token).hex())


if __name__ == "__main__":
    main()
