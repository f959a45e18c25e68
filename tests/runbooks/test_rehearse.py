"""The rehearsal: what must happen, what is counted as lost, and that the cloud always goes down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops_runbooks.rehearse import Rollout, Script, rehearse, report
from llmops_runbooks.traffic import Outcome, Record

BAD = Rollout("1.1.0-bbbbbbbb", "rolled_back", "rollback", "gate", 120, 9.0, 100.0, "errors", None)
GOOD = Rollout("1.2.0-cccccccc", "promoted", "promote", "gate", 130, 11.0, 140.0, "fine", None)
SCRIPT = Script()


def record(outcome: Outcome, release: str, done: float = 90.0) -> Record:
    return Record(done - 0.01, done, release, outcome)


RECORDS = [
    record(Outcome.CORRECT, "1.0.0-aaaaaaaa", 10.0),
    record(Outcome.ERROR, "1.1.0-bbbbbbbb", 91.0),
    record(Outcome.ERROR, "1.1.0-bbbbbbbb", 99.0),
    record(Outcome.WRONG, "1.1.0-bbbbbbbb", 100.4),
    record(Outcome.CORRECT, "1.2.0-cccccccc", 150.0),
]


def test_the_bad_one_back_and_the_good_one_on_without_a_loss_is_a_pass() -> None:
    made = report(SCRIPT, (BAD, GOOD), RECORDS, 60.0, evidence="page.html")
    assert made.passed
    assert made.json()["outcome"] == "passed"
    assert (made.requests.sent, made.requests_lost, made.bad_answers) == (5, 0, 3)


def test_times_are_from_the_users_side() -> None:
    made = report(SCRIPT, (BAD, GOOD), RECORDS, 60.0, evidence="")
    assert made.seconds_from_first_to_last_bad_answer == 9.4
    rollouts = made.json()["rollouts"]
    assert rollouts[0]["seconds_from_decision_to_no_canary_traffic"] == 0.4
    assert rollouts[1]["seconds_from_decision_to_no_canary_traffic"] is None


@pytest.mark.parametrize(
    ("rollouts", "extra", "says"),
    [
        ((replace(BAD, outcome="promoted"), GOOD), [], "1.1.0-bbbbbbbb ended as promoted"),
        ((replace(BAD, decided_by="alarm"), GOOD), [], "by alarm, not by the gate"),
        ((BAD, replace(GOOD, outcome="rolled_back")), [], "1.2.0-cccccccc ended as rolled_back"),
        ((BAD, GOOD), [record(Outcome.LOST, "")], "1 of 6 requests were lost."),
        ((BAD, GOOD), [record(Outcome.ERROR, "1.2.0-cccccccc")], "1 of 6 requests were lost."),
        ((BAD, GOOD), [record(Outcome.ERROR, "1.0.0-aaaaaaaa")], "1 of 6 requests were lost."),
    ],
)
def test_anything_else_is_a_failure_with_its_reason(
    rollouts: tuple[Rollout, Rollout], extra: list[Record], says: str
) -> None:
    made = report(SCRIPT, rollouts, [*RECORDS, *extra], 60.0, evidence="")
    assert not made.passed
    assert says in " ".join(made.failures)


class FakeSteps:
    """Plays the runbooks; `breaks` names the step that fails."""

    def __init__(self, breaks: str = "") -> None:
        self.called: list[str] = []
        self._breaks = breaks

    def _step(self, name: str) -> None:
        self.called.append(name)
        if name == self._breaks:
            raise RuntimeError(name)

    def up(self) -> None:
        self._step("up")

    def deploy(self) -> None:
        self._step("deploy")

    def start_traffic(self, rate: float, seed: int) -> None:
        self._step("traffic")

    def release(self, version: str) -> Rollout:
        self._step(version)
        return BAD if version == SCRIPT.bad else GOOD

    def stop_traffic(self) -> list[Record]:
        self._step("stop")
        return RECORDS

    def evidence(self, summary: dict[str, Any]) -> str:
        self._step("evidence")
        assert summary["outcome"] == "passed"
        return "page.html"

    def down(self) -> None:
        self.called.append("down")


def test_the_story_in_its_order() -> None:
    steps = FakeSteps()
    made = rehearse(SCRIPT, steps, clock=iter([0.0, 50.0, 60.0]).__next__)
    assert steps.called == [
        "up",
        "deploy",
        "traffic",
        "1.1.0",
        "1.2.0",
        "stop",
        "evidence",
        "down",
    ]
    assert (made.evidence, made.wall_seconds) == ("page.html", 60.0)


@pytest.mark.parametrize("step", ["up", "deploy", "traffic", "1.1.0", "1.2.0", "stop"])
def test_the_cloud_goes_down_wherever_the_story_breaks(step: str) -> None:
    steps = FakeSteps(breaks=step)
    with pytest.raises(RuntimeError):
        rehearse(SCRIPT, steps, clock=lambda: 0.0)
    assert steps.called[-1] == "down"
