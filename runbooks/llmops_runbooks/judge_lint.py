"""What a policy says, in words, and what about it is likely to disappoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from llmops_judge.policy import Metric, Policy
from llmops_judge.regressions import IDENTICAL, Change, Effect, Stated
from llmops_judge.simulate import End, Job, Traffic, expected_requests

QUALITY = ("quality", "feedback")
"""The catalogue's metrics that see a bad answer sent with status 200."""
MOST = 60_000
"""Requests beyond which a forecast only says "more than"."""
CAUTIOUS = 0.1
"""An alpha above this rolls back more than one harmless release in ten."""


@dataclass(frozen=True)
class Row:
    """One metric of the policy in effect; `needs`: about how many requests of both arms prove it
    harmless if the canary is like the baseline, None: more than `MOST`, or it proves nothing."""

    metric: str
    better: str
    scale: str
    margin: str
    mode: str
    minimum: int | None
    no_data: str
    limit: str
    needs: int | None


@dataclass(frozen=True)
class Report:
    """A policy in effect. source: where it is written. assumed: what the forecasts rest on.

    budget: how many requests a rollout may take, None: not known.
    """

    source: str
    table: dict[str, Any]
    rows: tuple[Row, ...]
    assumed: str
    budget: int | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        found = asdict(self)
        return {**found, "rows": list(found["rows"]), "warnings": list(self.warnings)}


def lint(policy: Policy, *, source: str, weight: float, per_minute: float | None = None) -> Report:
    """The policy as a table, with warnings.

    weight: the canary's share, 0 to 1. per_minute: requests of both arms, if stated; with it the
    budget of minutes is a budget of requests.
    """
    stated = Stated()
    traffic = Traffic(per_minute or 0.0, stated.history())
    needs = {metric.name: _needs(policy, metric, traffic, weight) for metric in policy.deciding}
    budget = budget_of(policy, per_minute)
    return Report(
        source=source,
        table=policy.to_settings(),
        rows=tuple(_row(metric, policy, needs.get(metric.name)) for metric in policy.metrics),
        assumed=assumed(stated, weight),
        budget=budget,
        warnings=(
            *_too_tight(policy, needs, budget, traffic),
            *_blind(policy, traffic, weight, budget),
            *_careless(policy),
            *_limits(policy),
        ),
    )


def budget_of(policy: Policy, per_minute: float | None) -> int | None:
    """How many requests of both arms a rollout may take, if that is known."""
    by_time = None if per_minute is None else round(per_minute * policy.maximum_minutes)
    known = [each for each in (by_time, policy.maximum_requests) if each is not None]
    return min(known, default=None)


def assumed(stated: Stated, weight: float) -> str:
    """The service that forecasts are made for, in words."""
    return (
        f"{100 * stated.errors:g} % errors, {stated.latency_ms:g} ms and ${stated.cost_usd:g} on "
        f"average, quality {stated.quality:g}, and {100 * weight:g} % of the requests on the canary"
    )


def margin_words(metric: Metric) -> str:
    """How much worse a canary may be, for a reader."""
    if metric.scale == "ratio":
        lower = metric.direction == "lower"
        part = metric.margin - 1 if lower else 1 - 1 / metric.margin
        said = f"{100 * part:.3g} % {'more' if lower else 'less'}"
    elif metric.scale == "share":
        said = (
            f"{100 * metric.margin:.3g} points {'more' if metric.direction == 'lower' else 'fewer'}"
        )
    else:
        said = f"{metric.margin:.3g} {'higher' if metric.direction == 'lower' else 'lower'}"
    if metric.tail_margin is None:
        return said
    return f"{said}; {100 * metric.tail_margin:.3g} points more as bad as the worst 5 %"


def value_words(metric: Metric, value: float) -> str:
    """A value of the metric's statistic, with its unit."""
    if metric.scale == "share":
        return f"{100 * value:g} %"
    return f"{value:,g} {metric.unit}".strip()


def _row(metric: Metric, policy: Policy, needs: int | None) -> Row:
    limit = "-"
    if metric.limit is not None:
        limit = f"{metric.statistic} {value_words(metric, metric.limit)}"
    return Row(
        metric=metric.name,
        better=metric.direction,
        scale=metric.scale,
        margin=margin_words(metric),
        mode=metric.mode,
        minimum=metric.minimum,
        no_data=metric.no_data,
        limit=limit,
        needs=needs,
    )


def _needs(policy: Policy, metric: Metric, traffic: Traffic, weight: float) -> int | None:
    if metric.name not in traffic.history.counts:
        return None
    return _forecast(replace(policy, metrics=(metric,)), traffic, weight, IDENTICAL, "promote")


def _forecast(
    policy: Policy, traffic: Traffic, weight: float, change: Change, want: End
) -> int | None:
    endless = replace(
        policy, minimum_minutes=0, maximum_minutes=float("inf"), maximum_requests=None
    )
    return expected_requests(Job(endless, traffic, weight, change, 1, ""), want, MOST)


def _too_tight(
    policy: Policy, needs: dict[str, int | None], budget: int | None, traffic: Traffic
) -> Iterator[str]:
    for metric in policy.deciding:
        if metric.name not in traffic.history.counts or budget is None:
            continue
        need = needs[metric.name]
        if need is None or need > budget:
            much = f"about {need:,}" if need else f"more than {MOST:,}"
            yield (
                f"{metric.name}: {much} requests prove a good canary harmless within the margin "
                f"({margin_words(metric)}), but a rollout may take {budget:,}, so good releases "
                "will end inconclusive."
            )


def _blind(policy: Policy, traffic: Traffic, weight: float, budget: int | None) -> Iterator[str]:
    if budget is None or "errors" not in {metric.name for metric in policy.deciding}:
        return
    broken = Change("broken", "every request fails", (Effect("errors", "plus", 1.0),))
    only = replace(policy, metrics=(policy.metric("errors"),))
    need = _forecast(only, traffic, weight, broken, "rollback")
    if need is None or need > budget:
        much = f"about {need:,}" if need else f"more than {MOST:,}"
        yield (
            f"Even a canary that fails every request takes {much} requests to be rolled back "
            f"(alpha {policy.alpha:g}, at least {policy.minimum_requests} requests per arm), but a "
            f"rollout may take {budget:,}, so nothing will be detected."
        )


def _careless(policy: Policy) -> Iterator[str]:
    if not any(metric.name in QUALITY for metric in policy.deciding):
        yield (
            "No metric of answer quality gates, so a release that answers worse with status 200 is "
            'promoted; metrics.quality.mode = "rollback" would see it.'
        )
    if policy.inconclusive == "promote":
        yield (
            'inconclusive = "promote" gives all traffic to every release that has too few requests '
            "to be judged."
        )
    if policy.alpha > CAUTIOUS:
        yield (
            f"alpha {policy.alpha:g} allows {100 * policy.alpha:g} in 100 good releases to be "
            "rolled back."
        )
    for metric in policy.deciding:
        if metric.no_data == "ignore":
            yield (
                f'{metric.name} gates with no_data = "ignore", so a release that stops reporting '
                "it is promoted without it."
            )


def _limits(policy: Policy) -> Iterator[str]:
    for metric in policy.metrics:
        limit = metric.limit
        if limit is None:
            continue
        shown = value_words(metric, limit)
        where = f"metrics.{metric.name}.limit"
        if metric.direction == "lower":
            never, always = metric.scale != "ratio" and limit >= 1, limit < 0
        else:
            never, always = limit <= 0, metric.scale != "ratio" and limit > 1
        if never:
            yield f"{where} is {shown}, which no canary can be beyond, so it never acts."
        if always:
            yield f"{where} is {shown}, which every canary is beyond, so none can be promoted."
