"""Which metrics there are: those the service writes, and those AWS is known to publish."""

from __future__ import annotations

import json
import re
import tarfile
from functools import cache
from importlib.resources import files

import msgspec

from llm_service.calls import Usage
from llm_service.limits import BudgetEvent
from llm_service.telemetry import emf
from llm_service.telemetry.exchange import Attempt, Exchange, Thumb

WHOSE = emf.Dimensions("llmops", "handbook", "prod", "1.0.0-abcdef01")

EVERYTHING = Exchange(
    request_id="r1",
    path="/v1/chat/completions",
    status=200,
    began=1.0,
    first=1.5,
    ended=2.0,
    at=1_700_000_000.0,
    injection=False,
    redactions={"email": 1},
    budget_events=1,
    experiment="tone",
    variant="warm",
    answered=True,
    provider="bedrock",
    model="m",
    fingerprint="f",
    usage=Usage(prompt=1, completion=2),
    cost=3.0,
    cached="miss",
    attempts=(
        Attempt(provider="openai", model="m", began=1.0, ended=1.1, error="timed_out"),
        Attempt(provider="bedrock", model="m", began=1.1, ended=2.0),
    ),
)
"""A request of which there is everything to say."""


@cache
def lines() -> tuple[dict[str, object], ...]:
    """A line of each kind that the service writes."""
    event = BudgetEvent(**dict.fromkeys(BudgetEvent._fields, 0))  # type: ignore[arg-type]
    thumb = Thumb(response_id="a", release="1.0.0-abcdef01", up=True)
    scores = {"Quality": 0.5, "Support": 0.5, "ScoringSpend": 2.0}
    written = (
        *emf.of_exchange(WHOSE, EVERYTHING).split(b"\n"),
        emf.of_score(WHOSE, scores, {"response_id": "a"}, 0.0),
        emf.of_feedback(WHOSE, thumb, 0.0),
        emf.of_budget(WHOSE, event._asdict(), 0.0),
    )
    return tuple(msgspec.json.decode(each) for each in written)


@cache
def of_service() -> frozenset[tuple[str, str, tuple[str, ...]]]:
    """Namespace, name and dimensions of every metric CloudWatch makes of the service's lines."""
    return frozenset(
        (directive["Namespace"], metric["Name"], tuple(dimensions))
        for line in json.loads(json.dumps(lines()))
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    )


@cache
def of_aws() -> frozenset[tuple[str, str]]:
    """Namespace and name of the metrics that the CDK and cdk-monitoring-constructs know of."""
    known = set()
    for package, folder in (("aws_cdk", "canned-metrics"), ("cdk_monitoring_constructs", "Metric")):
        (archive,) = (each for each in files(f"{package}._jsii").iterdir() if "tgz" in each.name)
        with archive.open("rb") as opened, tarfile.open(fileobj=opened) as packed:
            for member in packed:
                if folder in member.name and member.name.endswith(".js"):
                    text = packed.extractfile(member)
                    assert text is not None
                    known |= _known(text.read().decode())
    return frozenset(known)


def _known(source: str) -> set[tuple[str, str]]:
    pairs = set(re.findall(r'namespace:"([^"]+)",metricName:"([^"]+)"', source))
    declared = re.search(r'const \w*Namespace = "(AWS/[^"]+)"', source, re.IGNORECASE)
    if declared:
        pairs |= {(declared[1], name) for name in re.findall(r'createMetric\("(\w+)"', source)}
    return pairs
