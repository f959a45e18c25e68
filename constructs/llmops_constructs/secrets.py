"""The secrets of a service that are its own, not the database's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge_unscheduled
from llmops_constructs._validation import check, outside

CURRENT, PREVIOUS = "current", "previous"
KEY = "key"
LANGFUSE_KEYS = ("public_key", "secret_key")
SHORTEST_TOKEN, LONGEST_TOKEN = 32, 4096
"""Characters; the most that Secrets Manager generates, and the fewest that nobody guesses."""


class ServiceSecrets(Construct):
    """Bearer tokens, and the keys that only a person can get from a provider.

    `tokens` is JSON `{"current": "...", "previous": ""}`. Secrets Manager makes the first token, so
    it is in no template and no log. A request may carry either non-empty one: a new token can be
    handed out before the old one is dropped. `TokenRotation` replaces it on a schedule.

    `provider_keys` has one secret per provider, JSON `{"key": ""}`, and `langfuse` is JSON
    `{"public_key": "", "secret_key": ""}`: empty until an operator puts the value there, which
    deploying never overwrites. A service whose key is empty goes without that provider.

    :param token_length: characters (letters and digits) of the generated token.
    :param existing_tokens: used instead of a new secret, in one of the forms the service reads.
    :param rotated: the tokens have a `TokenRotation`. Default: an operator replaces them, and
        the finding that nothing does so by itself is acknowledged.
    :param providers: names of providers, e.g. `openai`: lower-case letters, digits, - and _.
        Default: none.
    :param with_langfuse: makes the secret for Langfuse's keys. Default: none.
    :param encryption_key: of every secret. Default: AWS's own key of Secrets Manager.
    :param removal_policy: default: the secrets stay when the stack goes.

    Example::

        secrets = llm.ServiceSecrets(stack, "Secrets", providers=["openai"])
        cdk.CfnOutput(stack, "Key", value=secrets.provider_keys["openai"].secret_arn)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        token_length: int = 48,
        existing_tokens: secretsmanager.ISecret | None = None,
        rotated: bool = False,
        providers: Sequence[str] = (),
        with_langfuse: bool = False,
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._check(token_length, providers)
        self._key, self._removal = encryption_key, removal_policy
        self.tokens: secretsmanager.ISecret = existing_tokens or self._tokens(token_length, rotated)
        self.provider_keys: Mapping[str, secretsmanager.ISecret] = {
            name: self._by_hand(f"Provider-{name}", f"The API key of {name}", (KEY,))
            for name in providers
        }
        self.langfuse: secretsmanager.ISecret | None = (
            self._by_hand("Langfuse", "The API keys of Langfuse", LANGFUSE_KEYS)
            if with_langfuse
            else None
        )

    def _check(self, token_length: int, providers: Sequence[str]) -> None:
        wrong = [name for name in providers if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name)]
        check(
            self,
            [
                (
                    outside(token_length, SHORTEST_TOKEN, LONGEST_TOKEN),
                    f"token_length is {token_length}; it must be {SHORTEST_TOKEN} to "
                    f"{LONGEST_TOKEN}.",
                ),
                (
                    bool(wrong),
                    f"providers has {', '.join(wrong)}: a name is lower-case letters, digits, - "
                    "and _.",
                ),
                (len(set(providers)) < len(providers), "providers names one twice."),
            ],
        )

    def _tokens(self, length: int, rotated: bool) -> secretsmanager.Secret:
        tokens = secretsmanager.Secret(
            self,
            "Tokens",
            description="Bearer tokens of the service: the current one and the previous one",
            encryption_key=self._key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({PREVIOUS: ""}),
                generate_string_key=CURRENT,
                exclude_punctuation=True,
                password_length=length,
            ),
            removal_policy=self._removal,
        )
        if not rotated:
            acknowledge_unscheduled(
                tokens,
                "A token is changed together with the clients that use it, by an operator; a "
                "timer would lock them out. The previous token stays valid until it is cleared.",
            )
        return tokens

    def _by_hand(self, id: str, description: str, keys: Sequence[str]) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            id,
            description=f"{description}; empty until an operator puts it there",
            encryption_key=self._key,
            secret_string_value=cdk.SecretValue.unsafe_plain_text(
                json.dumps(dict.fromkeys(keys, ""))
            ),
            removal_policy=self._removal,
        )
        acknowledge_unscheduled(
            secret,
            "Only a person can have this key issued, in the provider's console: an operator "
            "rotates it with a command that tests it first.",
        )
        return secret
