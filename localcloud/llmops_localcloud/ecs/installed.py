"""Which accounts and regions have an engine: moto's handlers and CloudFormation models are found
by class, not by instance, so they look here."""

from __future__ import annotations

from llmops_localcloud.ecs.api import Api

APIS: dict[tuple[str, str], Api] = {}


def api_of(account: str, region: str) -> Api:
    """Raises LookupError, naming what is served, for an account or region without an engine."""
    found = APIS.get((account, region))
    if found is None:
        served = ", ".join("/".join(key) for key in APIS)
        raise LookupError(
            f"The local cloud has no ECS in {account}/{region}: use one of {served or 'none'}."
        )
    return found
