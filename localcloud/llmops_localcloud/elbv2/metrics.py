"""Counts of the load balancer as metrics of the namespace AWS/ApplicationELB, at virtual time.

Which metric exists under {LoadBalancer} and which under {TargetGroup, LoadBalancer} is as in AWS's
"CloudWatch metrics for your Application Load Balancer". Response times are real seconds: a service
computes in real time, whatever the cloud's clock says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from llmops_localcloud.loadbalancer.control import Health, Slices
from llmops_localcloud.ports import Clock, TargetHealth

from .translate import dimension

NAMESPACE = "AWS/ApplicationELB"


class Put(Protocol):
    """Takes values of one metric at one virtual time."""

    def __call__(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        at: datetime,
        values: Sequence[float],
        *,
        unit: str,
    ) -> None: ...


class Reporter:
    """Called by the load balancer's client with each report."""

    def __init__(self, clock: Clock, put: Put) -> None:
        self._clock = clock
        self._put = put

    def __call__(self, slices: Slices, health: Health, at: float) -> None:
        for one in slices:
            when = self._clock.at(one["at"])
            for balancer, group, metric, count in one["counts"]:
                self._count(balancer, group, metric, count, when)
            for balancer, group, times in one["times"]:
                for dims in _both(balancer, group):
                    self._put(NAMESPACE, "TargetResponseTime", dims, when, times, unit="Seconds")
        self._hosts(health, self._clock.at(at))

    def _count(self, balancer: str, group: str, metric: str, n: int, when: datetime) -> None:
        """Counts are sums of 1 in CloudWatch; SampleCount then says the same as Sum."""
        for dims in _both(balancer, group):
            self._put(NAMESPACE, metric, dims, when, [1.0] * n, unit="Count")

    def _hosts(self, health: Health, when: datetime) -> None:
        for arn, targets in health.items():
            states = [view.state for view in targets.values()]
            for balancer in self._balancers(arn):
                dims = {"TargetGroup": dimension(arn), "LoadBalancer": balancer}
                for metric, state in (
                    ("HealthyHostCount", TargetHealth.HEALTHY),
                    ("UnHealthyHostCount", TargetHealth.UNHEALTHY),
                ):
                    if states:
                        value = float(states.count(state))
                        self._put(NAMESPACE, metric, dims, when, [value], unit="Count")

    def _balancers(self, group_arn: str) -> list[str]:
        from moto.elbv2.models import elbv2_backends

        parts = group_arn.split(":")
        group = elbv2_backends[parts[4]][parts[3]].target_groups.get(group_arn)
        return [dimension(arn) for arn in group.load_balancer_arns] if group else []


def _both(balancer: str, group: str) -> list[dict[str, str]]:
    """The dimension sets of a metric: the balancer, and the group within it if one is involved."""
    whole = {"LoadBalancer": balancer}
    return [whole, {"TargetGroup": group, "LoadBalancer": balancer}] if group else [whole]
