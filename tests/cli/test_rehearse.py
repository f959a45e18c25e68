"""`llmops rehearse`: what may be asked for, what is shown, and the outage in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.kind_steps import Spoiler
from llmops_cli.local_steps import Deadline
from llmops_cli.rehearsals import lines_of_kinds
from llmops_runbooks import settings
from llmops_runbooks.errors import LlmopsError
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.rehearse import Rollout
from llmops_runbooks.rehearse_all import Ending, report
from llmops_runbooks.rehearse_kinds import BASE, KINDS, Outage
from llmops_runbooks.release import Job
from llmops_runbooks.traffic import Outcome, Record

Llmops = Callable[..., Any]

SPEED = 6000.0
"""A virtual minute takes ten milliseconds."""


def test_the_kinds_are_listed_with_what_must_come_of_them(llmops: Llmops) -> None:
    told = llmops("rehearse", "--list")
    assert told.code == 0
    lines = told.out.splitlines()
    assert len(lines) == len(KINDS)
    assert all(kind.line in line for kind, line in zip(KINDS, lines, strict=True))
    in_json = llmops("rehearse", "--list", "--json").json["kinds"]
    assert [(each["kind"], each["expected"]) for each in in_json] == [
        (kind.name, kind.expected) for kind in KINDS
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--kind", "nope"), "There is no kind of release 'nope'"),
        (("--kind", "slow", "--all"), "--all and --kind were both given"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(
    llmops: Llmops, words: tuple[str, ...], says: str
) -> None:
    told = llmops("rehearse", *words)
    assert told.code == 2
    assert says in told.err


def test_the_table_has_a_row_for_each_kind_and_the_pages_below() -> None:
    kind = KINDS[0]
    rollout = Rollout(
        f"{kind.version}-aaaaaaaa", "rolled_back", "rollback", "gate", 90, 9.0, 9.0, "so", "e.html"
    )
    records = [Record(1.0, 2.0, f"{BASE}-aaaaaaaa", Outcome.CORRECT)]
    made = report((Ending(kind, rollout, "errors", 900, 8.0),), records, 61.0, evidence="all.html")
    told = lines_of_kinds(made)
    (row,) = [line for line in told if line.startswith("errors ")]
    assert row.split("   ")[1:4] == ["rolled back", "rolled back", "gate"]
    assert row.split()[-5:] == ["errors", "900", "90", "8", "0"]
    assert told[-4:] == ["errors: e.html", "", "evidence: all.html", "passed in 61 s"]


@dataclass
class FakeProvider:
    """Remembers its weather; `bad` and `fine` are set when it became so."""

    weather: list[dict[str, float]] = field(default_factory=list)
    bad: threading.Event = field(default_factory=threading.Event)
    fine: threading.Event = field(default_factory=threading.Event)

    def control(self, **weather: float) -> None:
        self.weather.append(weather)
        (self.bad if weather else self.fine).set()


def spoiler(provider: FakeProvider, outage: Outage | None, job: Job) -> Spoiler:
    return Spoiler(outage, provider, SPEED, job)


@pytest.fixture
def job(memory: MemoryCloud, project: Path) -> Job:
    """A release under way; nothing is done with it but to note what happens."""
    return Job("1.1.0", memory.cloud, settings.load("local"), project, project)


def test_an_outage_begins_after_its_minutes_and_ends_by_itself(job: Job) -> None:
    provider = FakeProvider()
    made = spoiler(provider, Outage(failing=0.25, slower=6, after=1, lasts=1), job)
    made.begin()
    made.begin()
    assert provider.bad.wait(5)
    assert provider.fine.wait(5)
    spell = made.end()
    assert provider.weather == [{"failing": 0.25, "slower": 6}, {}]
    assert spell is not None
    assert spell[0] < spell[1]
    assert [each["text"] for each in job.journal] == [
        "an outage: 25% of its calls fail, the others take 6 times as long",
        "all is well again",
    ]


def test_an_outage_that_the_rollout_did_not_see_to_its_end_is_none(job: Job) -> None:
    provider = FakeProvider()
    made = spoiler(provider, Outage(after=0, lasts=60_000), job)
    made.begin()
    assert provider.bad.wait(5)
    assert made.end() is None
    assert provider.weather[-1] == {}


def test_without_an_outage_the_provider_is_left_alone(job: Job) -> None:
    provider = FakeProvider()
    made = spoiler(provider, None, job)
    made.begin()
    assert made.end() is None
    assert provider.weather == []


class FakeClock:
    def __init__(self) -> None:
        self.waited = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wall(self) -> float:
        return 0.0

    def wait(self, seconds: float) -> None:
        self.waited += seconds


def test_nobody_waits_for_ever() -> None:
    clock = FakeClock()
    Deadline(clock, 60).wait(0.25)
    assert clock.waited == 0.25
    with pytest.raises(LlmopsError, match="has not come"):
        Deadline(clock, -1).wait(0.25)
