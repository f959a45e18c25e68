"""Which share of a service's tasks runs on Fargate Spot."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_ecs as ecs

from llmops_constructs._validation import Rule, outside

HEAVIEST = 1000
"""Of the weights of a capacity provider strategy (API reference, CapacityProviderStrategyItem)."""


@dataclass(frozen=True, kw_only=True)
class SpotShare:
    """Which tasks run on Fargate Spot: cheaper, and taken back with two minutes' notice.

    The first `base` tasks never do; of every `on_demand + spot` others, `spot` do. Fargate does not
    replace Spot capacity that is short by on-demand capacity.
    """

    base: int = 1
    on_demand: int = 1
    spot: int = 1

    def strategies(self) -> list[ecs.CapacityProviderStrategy]:
        """The capacity provider strategy; a provider of weight 0 places no task, base or not."""
        spot = ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=self.spot)
        if not self.on_demand:
            return [spot]
        steady = ecs.CapacityProviderStrategy(
            capacity_provider="FARGATE", base=self.base, weight=self.on_demand
        )
        return [steady, spot]


ALL_SPOT = SpotShare(base=0, on_demand=0, spot=1)
"""For work that another worker begins again."""


def spot_rules(share: SpotShare | None, least_base: int) -> list[Rule]:
    """What a share may not be; `least_base` tasks are never on Spot."""
    if share is None:
        return []
    return [
        (
            share.base < least_base,
            f"spot.base is {share.base}; at least {least_base} task must not be taken back.",
        ),
        (
            share.base > 0 and share.on_demand == 0,
            "spot.base needs on_demand to be 1 or more: ECS places nothing by a weight of 0.",
        ),
        (
            outside(share.on_demand, 0, HEAVIEST) or outside(share.spot, 1, HEAVIEST),
            f"spot.on_demand is {share.on_demand} and spot.spot {share.spot}; ECS allows 0 to "
            "1000, and without a share on Spot `spot` is left out.",
        ),
    ]
