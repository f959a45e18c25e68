"""Both arms' minutes, read from CloudWatch: what the judge's samples are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from llmops_functions import awstime, histograms, labels
from llmops_functions.histograms import Dimensions, whole
from llmops_functions.queries import PERIOD, Query, Series, Source, fetch
from llmops_judge import Policy
from llmops_judge.observations import History, Sample, plus

HISTORY_MINUTES = 60
REQUESTS, ERRORS, ANSWERS, SPEND = "Requests", "Errors", "Answers", "ScoringSpend"

ANSWERED = frozenset({"first_token", "cost", "tokens", "refusals", "retrieval_hits"})
"""Reported with every answer."""
SAMPLED = frozenset({"quality", "feedback"})
"""Reported for some answers, and later than they were given: a minute without any is no gap."""


@dataclass(frozen=True)
class Interval:
    """One minute of both arms; `start` in epoch seconds, `spend` in micro-dollars by arm."""

    start: int
    baseline: Sample = field(default_factory=Sample)
    canary: Sample = field(default_factory=Sample)
    spend: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {
            "start": awstime.iso(self.start),
            "seconds": PERIOD,
            "baseline": self.baseline.to_json(),
            "canary": self.canary.to_json(),
        }


def read(
    cloudwatch: Any,
    source: Source,
    policy: Policy,
    *,
    releases: Mapping[str, str],
    start: int,
    end: int,
) -> list[Interval]:
    """The minutes in [start, end) in which an arm reported anything, oldest first.

    releases: `baseline` and `canary` -> release id. Raises ReadingError for partial data.
    """
    if end <= start:
        return []
    known = labels.discover(cloudwatch, source, releases.values(), policy)
    arms = {arm: _Arm(source, policy, release, known) for arm, release in releases.items()}

    def ask(queries: Iterable[Query]) -> dict[Query, Series]:
        return fetch(cloudwatch, source.namespace, queries, start, end)

    seen = ask(chain.from_iterable(arm.first() for arm in arms.values()))
    seen |= ask(chain.from_iterable(arm.second(seen) for arm in arms.values()))
    samples = {arm: each.samples(seen) for arm, each in arms.items()}
    spend = {arm: seen[each.total(SPEND)] for arm, each in arms.items()}
    return list(_intervals(samples, spend))


def history(cloudwatch: Any, source: Source, policy: Policy, *, release: str, end: int) -> History:
    """What a release did in the hour before `end`, one sum for each cell."""
    start = end - HISTORY_MINUTES * awstime.MINUTE
    requests, counts = 0, {metric.name: dict[int, float]() for metric in policy.metrics}
    for interval in read(
        cloudwatch, source, policy, releases={"baseline": release}, start=start, end=end
    ):
        requests += interval.baseline.requests
        for metric, found in interval.baseline.counts.items():
            counts[metric] = plus(counts[metric], found)
    return History(requests, {metric: found for metric, found in counts.items() if found})


@dataclass(frozen=True)
class _Arm:
    """What to ask about one release, and what the answers say."""

    source: Source
    policy: Policy
    release: str
    known: Mapping[str, Iterable[str]]

    @property
    def own(self) -> Dimensions:
        return self.source.dimensions(self.release)

    def total(self, metric: str) -> Query:
        return Query(metric, self.own, "Sum")

    def first(self) -> Iterator[Query]:
        """Everything but the cells."""
        yield from map(self.total, (REQUESTS, ERRORS, ANSWERS, SPEND))
        for metric in self.policy.metrics:
            yield from histograms.overview(metric, self.own)
        yield from self._labels.values()

    def second(self, seen: Mapping[Query, Series]) -> Iterator[Query]:
        """The cells, now that it is known which are not empty."""
        for metric in self.policy.metrics:
            yield from histograms.cells(metric, self.own, seen).values()

    def samples(self, seen: Mapping[Query, Series]) -> dict[int, Sample]:
        """The minutes in which the release reported anything that the judge reads."""
        counts = {
            metric.name: histograms.minutes(metric, self.own, seen)
            for metric in self.policy.metrics
        }
        at = set(seen[self.total(REQUESTS)]).union(*counts.values())
        return {minute: self._sample(minute, counts, seen) for minute in at}

    def _sample(
        self, at: int, counts: Mapping[str, Mapping[int, Any]], seen: Mapping[Query, Series]
    ) -> Sample:
        requests, errors, answers = (
            whole(seen[self.total(metric)].get(at, 0)) for metric in (REQUESTS, ERRORS, ANSWERS)
        )
        silent = 0 < requests == errors and not answers
        reported = {metric: found[at] for metric, found in counts.items() if at in found}
        if not requests:
            reported = {metric: found for metric, found in reported.items() if metric in SAMPLED}
        none = [*(ANSWERED if silent else ()), *(SAMPLED if silent or answers else ())]
        return Sample(
            requests=round(requests),
            counts={**{metric: {} for metric in none if metric in counts}, **reported},
            labels=labels.of_minute(self._labels, seen, at),
        )

    @property
    def _labels(self) -> dict[tuple[str, str], Query]:
        return labels.asked(self.source, self.release, self.known, self.policy)


def _intervals(
    samples: Mapping[str, Mapping[int, Sample]], spend: Mapping[str, Series]
) -> Iterator[Interval]:
    for at in sorted(set().union(*samples.values(), *spend.values())):
        yield Interval(
            at,
            **{arm: found[at] for arm, found in samples.items() if at in found},
            spend={arm: found[at] for arm, found in spend.items() if at in found},
        )
