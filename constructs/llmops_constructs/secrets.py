"""The secrets of a service that are its own, not the database's."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge

CURRENT, PREVIOUS = "current", "previous"


class ServiceSecrets(Construct):
    """The bearer tokens: JSON `{"current": "...", "previous": ""}`.

    Secrets Manager makes the first token, so it is in no template and no log. A request may
    carry either non-empty one: a new token can be handed out before the old one is dropped.

    :param token_length: characters (letters and digits) of the generated token.
    :param removal_policy: default: the secret stays when the stack goes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        token_length: int = 48,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.tokens = secretsmanager.Secret(
            self,
            "Tokens",
            description="Bearer tokens of the service: the current one and the previous one",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({PREVIOUS: ""}),
                generate_string_key=CURRENT,
                exclude_punctuation=True,
                password_length=token_length,
            ),
            removal_policy=removal_policy,
        )
        acknowledge(
            self.tokens,
            "AwsSolutions-SMG4",
            "A token is changed together with the clients that use it, by an operator; a "
            "timer would lock them out. The previous token stays valid until it is cleared.",
        )
