"""Published failures of other tools: bad canaries they let through, good ones they aborted."""

from __future__ import annotations

import failure_corpus as corpus
import pytest
from failure_corpus import Case

from llmops_judge import Judge, Verdict, peers


def verdicts(case: Case) -> list[Verdict]:
    """After each minute, up to the decision."""
    judge = Judge(case.policy, case.weight)
    state, found = judge.start(case.history), []
    for number, minute in enumerate(case.minutes, start=1):
        state = judge.minute(state, minute)
        found.append(judge.verdict(state, elapsed_minutes=number))
        if found[-1].decision != "wait":
            break
    return found


def peer(case: Case, name: str) -> peers.PeerVerdict:
    found = peers.counterfactual(case.policy, case.minutes, case.history)
    return next(each for each in found if each.peer == name)


def test_kayenta_780_a_canary_that_became_erratic_is_rolled_back_and_kayenta_passes_it() -> None:
    case = corpus.kayenta_780()
    assert not peers.is_worse(corpus.LATENCY, corpus.STEADY_780, corpus.ERRATIC_780)
    assert not peers.is_worse(corpus.LATENCY, corpus.ERRATIC_780, corpus.STEADY_780)
    assert peer(case, "Kayenta").decision == "promote"
    last = verdicts(case)[-1]
    assert last.decision == "rollback"
    assert last.metrics[0].against.value >= last.metrics[0].against.bound


def test_spinnaker_6278_seven_of_ten_points_at_a_hundredfold_roll_back_and_kayenta_passes() -> None:
    case = corpus.spinnaker_6278()
    eight = (100.0,) * 8 + (1.0,) * 2
    assert not peers.is_worse(corpus.LATENCY, corpus.BASELINE_6278, corpus.CANARY_6278)
    assert peers.is_worse(corpus.LATENCY, corpus.BASELINE_6278, eight)
    assert peer(case, "Kayenta").decision == "promote"
    found = verdicts(case)
    assert found[-1].decision == "rollback"
    assert len(found) <= 4, "as soon as each arm has its 50 requests, or a minute later"


def test_kayenta_426_four_errors_of_a_small_canary_alone_roll_back_at_an_alpha_of_5_percent() -> (
    None
):
    """A tenth of the requests has all four errors: once in 10,000 times by chance."""
    case = corpus.kayenta_426(weight=0.1, alpha=0.05)
    assert not peers.is_worse(corpus.ERRORS, (0,) * 6, corpus.CANARY_426)
    assert peer(case, "Kayenta").decision == "promote"
    last = verdicts(case)[-1]
    assert last.decision == "rollback"
    assert (last.metrics[0].metric, last.metrics[0].baseline.value) == ("errors", 0)
    assert last.reason.startswith("Errors 8.0 % of 50 in the canary, 0.0 % of 450")


def test_kayenta_426_at_an_alpha_of_1_percent_they_roll_back_when_it_goes_on_so() -> None:
    assert "promote" not in {each.decision for each in verdicts(corpus.kayenta_426(weight=0.1))}
    found = verdicts(corpus.kayenta_426(weight=0.1).again(2))
    assert found[-1].decision == "rollback"


def test_kayenta_426_four_errors_of_equal_arms_are_no_proof_and_the_verdict_says_what_is() -> None:
    """Four errors fall on the same one of two equal arms once in eight times."""
    found = verdicts(corpus.kayenta_426(weight=0.5))
    assert {verdict.decision for verdict in found[:-1]} == {"wait"}
    assert found[-1].decision == "inconclusive"
    assert found[-1].metrics[0].needs_requests
    assert verdicts(corpus.kayenta_426(weight=0.5).again(10))[-1].decision == "rollback"


def test_flagger_1815_the_errors_that_the_query_hid_roll_back() -> None:
    assert corpus.SHOWN_1815 <= corpus.ALLOWED_1815 < corpus.RAW_1815
    shown = corpus.flagger_1815(corpus.SHOWN_1815)
    assert {each.decision for each in peers.counterfactual(shown.policy, shown.minutes)} == {
        "promote"
    }
    found = verdicts(corpus.flagger_1815(corpus.RAW_1815))
    assert found[-1].decision == "rollback"
    assert found[-1].metrics[0].canary.value == pytest.approx(0.2, abs=0.05)


def test_flagger_1815_a_metric_that_is_not_there_promotes_nothing() -> None:
    case = corpus.flagger_1815(None)
    found = verdicts(case)
    assert "promote" not in {verdict.decision for verdict in found}
    assert found[-1].decision == "inconclusive"
    assert "missing_data" in {guard.guard for guard in found[-1].guards}
    assert peer(case, "CloudWatch alarm").decision == "promote"


def test_suna_3410_a_cold_start_and_one_error_abort_nothing_and_the_need_is_told() -> None:
    case = corpus.suna_3410()
    assert peer(case, "CloudWatch alarm").decision == "rollback"
    found = verdicts(case)
    assert {verdict.decision for verdict in found[:-1]} == {"wait"}
    last = found[-1]
    assert last.decision == "inconclusive"
    assert last.requests["canary"] < corpus.WINDOW_3403, "their guard would have waved it through"
    assert "minimum" in {guard.guard for guard in last.guards}
    assert "more requests" in last.reason
