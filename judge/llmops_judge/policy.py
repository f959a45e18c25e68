"""The rules a rollout is judged by: the judge's own error rates, limits, metrics and guards.

A policy is one table, `[judge]` of llmops.toml or the whole of judge.toml:

    alpha = 0.01
    inconclusive = "hold"
    [metrics.latency]
    margin = 1.10
    mode = "warn"

Metrics that the table does not name have the catalogue's defaults; a name that the catalogue does
not know is a metric of the user's own and says its `scale`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from llmops_judge.scales import Scale

Direction = Literal["lower", "higher"]
Mode = Literal["observe", "warn", "pause", "rollback"]
NoData = Literal["wait", "ignore"]
Action = Literal["hold", "rollback", "promote"]
Statistic = Literal["share", "mean", "p95"]
Contamination = Literal["feature", "fingerprint", "cache"]


class PolicyError(ValueError):
    """The policy says something impossible; the message names the key and what is allowed.

    key: the key as it is written in the table, tables joined by dots.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def _check(fine: bool, key: str, value: object, allowed: str) -> None:
    if not fine:
        raise PolicyError(f"The judge's policy: {key} is {value!r}, but it must be {allowed}.", key)


def _check_choice(key: str, value: object, choices: Any) -> None:
    allowed = get_args(choices)
    _check(value in allowed, key, value, f"one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Metric:
    """One metric.

    name: what the observations call it.
    scale: how its values are counted, see `llmops_judge.scales`.
    direction: which side is good.
    margin: how much worse a canary may be and still be promoted. On a `ratio` scale a factor (1.25:
        a quarter more), else a difference (0.03: three points, 0.05: five hundredths of quality).
    tail_margin: on a `ratio` or `unit` scale, how many more outcomes than in the baseline may be
        worse than the baseline's own worst twentieth, as a difference of shares; None: not asked.
    mode: `observe`: shown only; `warn`: evidence past the bound is a warning; `pause`: it holds the
        rollout for a person; `rollback`: it rolls back, and a promotion needs proof.
    minimum: outcomes in each arm before the metric may decide; None: the policy's
        `minimum_requests`, or a tenth of it for a metric that few requests carry.
    no_data: what a gating metric that was never reported does: `wait` withholds the promotion,
        `ignore` leaves the metric out.
    limit: a hard limit for the canary's statistic: beyond it the rollout is rolled back at once,
        whatever the baseline does; None: none.
    statistic: the figure shown for each arm and held against `limit`.
    unit: of the values, as shown.
    """

    name: str
    scale: Scale = "share"
    direction: Direction = "lower"
    margin: float = 0.03
    tail_margin: float | None = None
    mode: Mode = "rollback"
    minimum: int | None = None
    no_data: NoData = "wait"
    limit: float | None = None
    statistic: Statistic = "share"
    unit: str = ""

    def __post_init__(self) -> None:
        where = f"metrics.{self.name}."
        for key, choices in _CHOICES.items():
            _check_choice(where + key, getattr(self, key), choices)
        if self.scale == "ratio":
            _check(1 < self.margin <= 10, where + "margin", self.margin, "a factor above 1, to 10")
        else:
            _check(0 < self.margin < 1, where + "margin", self.margin, "between 0 and 1")
        tail = self.tail_margin
        _check(tail is None or 0 < tail < 1, where + "tail_margin", tail, "between 0 and 1")
        _check(
            self.minimum is None or self.minimum >= 1, where + "minimum", self.minimum, "at least 1"
        )
        _check(
            (self.statistic == "share") == (self.scale == "share"),
            where + "statistic",
            self.statistic,
            "share on the scale share, and mean or p95 on the others",
        )

    @property
    def published(self) -> str:
        """Its name in CloudWatch: `first_token` is published as `FirstToken`."""
        words = re.split(r"[\W_]+", self.name)
        return "".join(word[:1].upper() + word[1:] for word in words)

    @property
    def gates(self) -> bool:
        """Whether it can roll back and must be proved harmless to promote."""
        return self.mode == "rollback"


_CHOICES = {
    "scale": Scale,
    "direction": Direction,
    "mode": Mode,
    "no_data": NoData,
    "statistic": Statistic,
}

CATALOGUE: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("errors", margin=0.03),
        Metric("latency", "ratio", margin=1.25, tail_margin=0.05, statistic="p95", unit="ms"),
        Metric(
            "first_token",
            "ratio",
            margin=1.25,
            mode="warn",
            no_data="ignore",
            statistic="p95",
            unit="ms",
        ),
        Metric("cost", "ratio", margin=1.25, statistic="mean", unit="µ$"),
        Metric("tokens", "ratio", margin=1.25, mode="observe", no_data="ignore", statistic="mean"),
        Metric("quality", "unit", "higher", margin=0.05, tail_margin=0.05, statistic="mean"),
        Metric("feedback", direction="higher", margin=0.10, mode="warn", no_data="ignore"),
        Metric("refusals", margin=0.05, mode="warn", no_data="ignore"),
        Metric("retrieval_hits", direction="higher", margin=0.05, mode="warn", no_data="ignore"),
        Metric("guardrail_hits", margin=0.05, mode="warn", no_data="ignore"),
    )
}
"""The metrics the bundled service publishes. `feedback`: 1 is a thumb up; `refusals`: 1 is an
answer that declined; `retrieval_hits`: 1 is a question for which retrieval found support;
`guardrail_hits`: 1 is a request on which a guardrail acted."""


@dataclass(frozen=True)
class Golden:
    """How the golden set decides on the test listener, before any user is served.

    minimum: the share of questions that must pass, 0 to 1.
    alpha: the level of the paired test of flips, from right to wrong against wrong to right.
    """

    minimum: float = 0.8
    alpha: float = 0.01

    def __post_init__(self) -> None:
        _check(0 <= self.minimum <= 1, "golden.minimum", self.minimum, "between 0 and 1")
        _check(0 < self.alpha < 1, "golden.alpha", self.alpha, "between 0 and 1")


@dataclass(frozen=True)
class Policy:
    """How sure the judge must be, how long it may take, and what it looks at.

    alpha: the largest share of harmless canaries that may be rolled back.
    beta: the largest share of canaries, worse by a margin, that may be promoted.
    minimum_requests: per arm, before anything is decided.
    minimum_minutes: of canary traffic before a promotion, for what goes wrong late.
    maximum_minutes: after which an undecided rollout is inconclusive.
    maximum_requests: of both arms, after which it is inconclusive too; None: no limit.
    inconclusive: what the gate does then: hold for a person, roll back, or promote with a warning.
    contamination: the labels by which the arms' traffic must be alike.
    outage_factor: both arms' errors this many times their history, or latency, is a shared outage.
    """

    alpha: float = 0.01
    beta: float = 0.05
    minimum_requests: int = 50
    minimum_minutes: float = 0
    maximum_minutes: float = 60
    maximum_requests: int | None = None
    inconclusive: Action = "hold"
    contamination: tuple[Contamination, ...] = ("feature", "fingerprint", "cache")
    outage_factor: float = 3.0
    golden: Golden = Golden()
    metrics: tuple[Metric, ...] = field(default_factory=lambda: tuple(CATALOGUE.values()))

    def __post_init__(self) -> None:
        for key in ("alpha", "beta"):
            _check(0 < getattr(self, key) < 1, key, getattr(self, key), "between 0 and 1")
        _check(self.minimum_requests > 0, "minimum_requests", self.minimum_requests, "above 0")
        _check(self.minimum_minutes >= 0, "minimum_minutes", self.minimum_minutes, "0 or more")
        _check(
            self.maximum_minutes > self.minimum_minutes,
            "maximum_minutes",
            self.maximum_minutes,
            "above minimum_minutes",
        )
        most = self.maximum_requests
        _check(most is None or most > 0, "maximum_requests", most, "above 0")
        _check_choice("inconclusive", self.inconclusive, Action)
        for kind in self.contamination:
            _check_choice("contamination", kind, Contamination)
        _check(self.outage_factor > 1, "outage_factor", self.outage_factor, "above 1")
        names = [metric.name for metric in self.metrics]
        _check(len(set(names)) == len(names), "metrics", names, "one of each name")
        _check(bool(self.deciding), "metrics", names, "such that one has the mode rollback")

    @property
    def deciding(self) -> tuple[Metric, ...]:
        """The metrics that can roll back and that must be proved harmless to promote."""
        return tuple(metric for metric in self.metrics if metric.gates)

    def metric(self, name: str) -> Metric:
        """The metric of that name; KeyError if the policy has none."""
        return {metric.name: metric for metric in self.metrics}[name]

    @classmethod
    def from_settings(cls, table: Mapping[str, Any]) -> Policy:
        """The policy of a table as parsed from TOML or JSON.

        Raises PolicyError, one sentence that names the key, for what cannot be used.
        """
        rest = dict(table)
        metrics = _table(rest.pop("metrics", {}), "metrics")
        golden = _table(rest.pop("golden", {}), "golden")
        values = _known(cls, rest, "", exclude=("metrics", "golden"))
        if "contamination" in values:
            values["contamination"] = tuple(values["contamination"])
        return cls(
            **values,
            golden=Golden(**_known(Golden, golden, "golden.")),
            metrics=_metrics(metrics),
        )

    def to_settings(self) -> dict[str, Any]:
        """The whole policy as a table that `from_settings` reads back, JSON-serialisable."""
        return {
            **{
                each.name: getattr(self, each.name)
                for each in fields(self)
                if each.name not in ("metrics", "golden", "contamination")
            },
            "contamination": list(self.contamination),
            "golden": {each.name: getattr(self.golden, each.name) for each in fields(Golden)},
            "metrics": {
                metric.name: {
                    each.name: getattr(metric, each.name)
                    for each in fields(Metric)
                    if each.name != "name"
                }
                for metric in self.metrics
            },
        }


def _metrics(tables: Mapping[str, Any]) -> tuple[Metric, ...]:
    found = dict(CATALOGUE)
    for name, table in tables.items():
        known = _known(Metric, _table(table, f"metrics.{name}"), f"metrics.{name}.", ("name",))
        found[name] = replace(found.get(name, Metric(name)), **known)
    return tuple(found.values())


def _known(
    of: type, table: Mapping[str, Any], where: str, exclude: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The table's values, each of the type its field has; raises PolicyError otherwise."""
    types = {each.name: str(each.type) for each in fields(of) if each.name not in exclude}
    for key, value in table.items():
        if key not in types:
            known = ", ".join(sorted([*types, *exclude]))
            raise PolicyError(
                f"The judge's policy has no key {where}{key}: the keys there are {known}.",
                where + key,
            )
        _check(_fits(value, types[key]), where + key, value, _TYPE_WORDS[types[key]])
    return dict(table)


_TYPE_WORDS = {
    **dict.fromkeys(
        ("str", "Scale", "Direction", "Mode", "NoData", "Action", "Statistic"), "a text"
    ),
    **dict.fromkeys(("float", "float | None"), "a number"),
    **dict.fromkeys(("int", "int | None"), "a whole number"),
    "tuple[Contamination, ...]": "a list of labels",
}


def _fits(value: object, kind: str) -> bool:
    if value is None:
        return kind.endswith("None")
    if kind.startswith("float"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.startswith("int"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind.startswith("tuple"):
        return isinstance(value, list | tuple)
    return isinstance(value, str)


def _table(value: object, key: str) -> Mapping[str, Any]:
    _check(isinstance(value, Mapping), key, value, "a table")
    assert isinstance(value, Mapping)
    return value
