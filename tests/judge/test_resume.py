"""The state is all there is: store it anywhere, group it any way, get the same verdict."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmops_judge import Judge, Minute, Policy, Sample, Tally, against
from llmops_judge.observations import Arm, Pair


def test_a_state_read_back_from_json_goes_on_as_if_never_stored(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    straight = stored = judge.start()
    for minute in islice(rollouts.minutes(rates(0.01), rates(0.02)), 40):
        straight = judge.minute(straight, minute)
        another = Judge(Policy(), 0.1)
        stored = another.minute(json.loads(json.dumps(stored)), minute)
        assert another.verdict(stored) == judge.verdict(straight)


def test_an_observation_leaves_the_state_it_started_from_alone(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    before = judge.start()
    kept = json.dumps(before)
    judge.minute(before, next(rollouts.minutes(rates(), rates())))
    assert json.dumps(before) == kept


@given(
    st.permutations([("canary", 1)] * 3 + [("canary", 0)] + [("baseline", 1)] * 2)
    | st.permutations([("baseline", 0)] * 7 + [("canary", 1)])
)
def test_a_minute_is_the_product_of_its_requests_in_any_order(order: list[tuple[str, int]]) -> None:
    def tally(arm: str) -> Tally:
        return Tally(sum(one == arm for one, _ in order), sum(b for one, b in order if one == arm))

    together = Pair(tally("baseline"), tally("canary"))
    for expert in against.bank(Tally(500, 20), 0.1):
        singles = 0.0
        for arm, bad in order:
            singles += against.gain(expert, Pair(**{arm: Tally(1, bad)}), 0.1)
        assert abs(singles - against.gain(expert, together, 0.1)) < 1e-9


def test_a_single_request_is_a_minute_of_one(rollouts: Any) -> None:
    judge = Judge(Policy(), 0.1)
    one = judge.observe(judge.start(), "canary", {"errors": 1, "quality": 0})
    sample = Sample(1, {"errors": Tally(1, 1), "quality": Tally(1, 0)})
    minute = judge.minute(judge.start(), Minute(canary=sample))
    assert {**minute, "minutes": 0} == one


def test_requests_and_minutes_of_the_same_rollout_agree_on_the_decision(rollouts: Any) -> None:
    judge = Judge(Policy(), 0.1)
    by_request, by_minute = judge.start(), judge.start()
    for _ in range(20):
        counts = {"baseline": [0, 0], "canary": [0, 0]}
        for _ in range(100):
            canary = rollouts.random.random() < 0.1
            bad = int(rollouts.random.random() < (0.15 if canary else 0.01))
            arm: Arm = "canary" if canary else "baseline"
            counts[arm][0] += 1
            counts[arm][1] += bad
            by_request = judge.observe(by_request, arm, {"errors": bad})
        samples = [Sample(n, {"errors": Tally(n, bad)}) for n, bad in counts.values()]
        by_minute = judge.minute(by_minute, Minute(*samples))
    assert judge.decided(by_request) == judge.decided(by_minute) == "rollback"
    assert by_request["metrics"]["errors"]["seen"] == by_minute["metrics"]["errors"]["seen"]
