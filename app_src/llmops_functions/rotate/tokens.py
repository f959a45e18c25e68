"""Rotates bearer tokens: the new one is valid beside the one that clients still send.

The secret has one of two forms, or both at once:

    {"current": "...", "previous": "..."}     a client reads `current` from this very secret
    {"tokens": [{"name": "web", "sha256": ["...", "..."], ...}]}     the newest hash first

Of the second form nothing but hashes is kept, so a new token must reach its owner in another way:
the variable CLIENT_SECRETS says in which secret each name's client finds its token, as a JSON
object of names and ARNs. A name that is not in it keeps its hashes: a person hands its token out.

A client's secret gets its new token as AWSPENDING first and becomes current last, once the service
reads the new hashes. The hash that stays beside the new one is that of the token the client holds:
a client that missed a rotation is not locked out by the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from llmops_functions.rotate.steps import RotationError, Secret, take

LENGTH = 48
"""Characters of a token: 24 random bytes, as hexadecimal digits, which any header may hold."""

Row = dict[str, Any]
Random = Callable[[], str]


def new_token() -> str:
    """192 random bits."""
    return secrets.token_hex(LENGTH // 2)


class TokenKeeper:
    """Makes tokens; `clients` are the secrets of the names whose clients read their token."""

    def __init__(
        self, client: Any, clients: Mapping[str, str] | None = None, random: Random = new_token
    ) -> None:
        self._client, self._clients, self._random = client, clients or {}, random

    def create(self, current: str, token: str) -> str:
        """The secret with a new token in every place that is rotated."""
        document = _document(current)
        rows: list[Row] = document.get("tokens") or []
        self._check_names(rows)
        if not (document.get("current") or self._clients):
            raise RotationError(
                "The token secret has hashes alone and CLIENT_SECRETS names no client: there is "
                "nobody to hand a new token to."
            )
        if document.get("current"):
            document |= {"current": self._random(), "previous": document["current"]}
        if rows:
            document["tokens"] = [self._next(row, token) for row in rows]
        return json.dumps(document)

    def set(self, pending: str, current: str) -> None:
        """Nothing: the service takes both tokens as soon as it reads the new version."""

    def check(self, pending: str, current: str) -> None:
        """Every token that clients hold must be valid in the new version too."""
        new, old = _document(pending), _document(current)
        if new == old:
            return
        if old.get("current") and new.get("previous") != old["current"]:
            raise RotationError("The new token secret would refuse the token in use.")
        kept = {row["name"]: row["sha256"] for row in new.get("tokens") or []}
        for row in old.get("tokens") or []:
            if not set(kept.get(row["name"], ())) & set(row["sha256"]):
                raise RotationError(
                    f"The new token secret would refuse the token of {row['name']}."
                )

    def finish(self, token: str) -> None:
        """Lets each client read its new token, now that the service's secret knows it."""
        for arn in self._clients.values():
            Secret(self._client, arn, token).promote()

    def _check_names(self, rows: list[Row]) -> None:
        strangers = sorted(set(self._clients) - {str(row["name"]) for row in rows})
        if strangers:
            raise RotationError(
                f"CLIENT_SECRETS names {', '.join(strangers)}, whom the token secret does not "
                "have: add an entry for them or drop them."
            )

    def _next(self, row: Row, token: str) -> Row:
        arn = self._clients.get(row["name"])
        if arn is None:
            return row
        place = Secret(self._client, arn, token)
        made = place.pending()
        if made is None:
            made = self._random()
            place.stage(made)
        return {**row, "sha256": [digest(made), self._held(place, row, digest(made))]}

    def _held(self, place: Secret, row: Row, made: str) -> str:
        """The hash of the token that the client holds, while that is not the one just made: the
        first version of a secret is its current one at once. Then the newest hash there is."""
        hashes: list[str] = row["sha256"]
        try:
            held = digest(place.current())
        except self._client.exceptions.ResourceNotFoundException:
            return hashes[0]
        if held == made:
            return hashes[0]
        if held not in hashes:
            raise RotationError(
                f"The token in {place.id} is none of {row['name']}'s: put its hash into the token "
                "secret, or the right token there."
            )
        return held


def digest(token: str) -> str:
    """The SHA-256 of a token, as the token secret holds it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _document(secret: str) -> dict[str, Any]:
    try:
        found = json.loads(secret)
        for row in found.get("tokens") or []:
            if not (row["name"] and row["sha256"]):
                raise ValueError
    except (ValueError, AttributeError, TypeError, KeyError):
        raise RotationError(
            'The token secret is neither {"current": ..., "previous": ...} nor {"tokens": [...]}.'
        ) from None
    return dict(found)


def handler(event: Mapping[str, Any], context: object) -> None:
    """What Lambda calls."""
    import boto3

    client = boto3.client("secretsmanager")
    take(event, client, TokenKeeper(client, json.loads(os.environ.get("CLIENT_SECRETS") or "{}")))
