"""By what the requests of a minute were labelled: the traffic's mix, for the guards.

The service counts its requests a second time by feature and by the provider's own version string
(fingerprint). Which there are, only ListMetrics knows, and it may be a quarter of an hour late
with a new one; so what either arm is known to have is asked of both.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmops_functions.queries import Query, Series, Source
from llmops_judge import Policy

MAXIMUM_LABELS = 50
"""Labels of one kind that are read; a service with more has a label for something else."""
CACHE = "CacheHits"


def discover(
    cloudwatch: Any, source: Source, releases: Iterable[str], policy: Policy
) -> dict[str, list[str]]:
    """Kind -> the labels that a release had in the last three hours."""
    kinds = [kind for kind in policy.contamination if kind != "cache"]
    if not kinds:
        return {}
    found: dict[str, set[str]] = {kind: set() for kind in kinds}
    for release in releases:
        for kind, label in _listed(cloudwatch, source, release):
            if kind in found:
                found[kind].add(label)
    return {kind: sorted(labels)[:MAXIMUM_LABELS] for kind, labels in found.items() if labels}


def asked(
    source: Source, release: str, known: Mapping[str, Iterable[str]], policy: Policy
) -> dict[tuple[str, str], Query]:
    """(kind, label) -> what to ask."""
    asked = {
        (kind, label): Query("Requests", source.dimensions(release, **{kind: label}), "Sum")
        for kind, labels in known.items()
        for label in labels
    }
    if "cache" in policy.contamination:
        of = source.dimensions(release)
        asked["cache", "hit"] = Query(CACHE, of, "Sum")
        asked["cache", "all"] = Query(CACHE, of, "SampleCount")
    return asked


def of_minute(
    queries: Mapping[tuple[str, str], Query], seen: Mapping[Query, Series], at: int
) -> dict[str, dict[str, int]]:
    """Kind -> label -> requests, as a `Sample` has it; labels nobody carried are left out."""
    found: dict[str, dict[str, int]] = {}
    for (kind, label), query in queries.items():
        count = round(seen[query].get(at, 0))
        if count:
            found.setdefault(kind, {})[label] = count
    cache = found.get("cache")
    if cache:
        found["cache"] = dict(_cache(cache.get("hit", 0), cache.get("all", 0)))
    return found


def _cache(hits: int, total: int) -> Iterator[tuple[str, int]]:
    for label, count in (("hit", hits), ("miss", total - hits)):
        if count > 0:
            yield label, count


def _listed(cloudwatch: Any, source: Source, release: str) -> Iterator[tuple[str, str]]:
    """The one dimension that a metric has beside the release's own, and its value."""
    own = dict(source.dimensions(release))
    request: dict[str, Any] = {
        "Namespace": source.namespace,
        "MetricName": "Requests",
        "Dimensions": [{"Name": name, "Value": value} for name, value in own.items()],
        "RecentlyActive": "PT3H",
    }
    while True:
        response = cloudwatch.list_metrics(**request)
        for metric in response.get("Metrics") or ():
            more = [each for each in metric["Dimensions"] if each["Name"] not in own]
            if len(more) == 1:
                yield more[0]["Name"], more[0]["Value"]
        if not response.get("NextToken"):
            return
        request["NextToken"] = response["NextToken"]
