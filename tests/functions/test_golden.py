"""The golden set: asked at the test listener, compared with the baseline, decided before users."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmops_functions import asking, decide, exam, golden
from llmops_functions.golden import Given, GoldenError, Question, Sheet
from llmops_judge.policy import Golden

BASELINE, CANARY = "1.0.0-aaaaaaaa", "1.1.0-bbbbbbbb"
SET = "5" * 64


def sheets(canary: str, baseline: str) -> tuple[list[Question], Sheet, Sheet]:
    """Sheets written as rights (1) and wrongs (0), a letter for each question."""
    asked = [Question(f"g{number}", f"q{number}", "x") for number in range(len(canary))]

    def sheet(release: str, marks: str) -> Sheet:
        given = {f"g{n}": Given(f"{release} {n}", mark == "1") for n, mark in enumerate(marks)}
        return Sheet(release, given)

    return asked, sheet("new", canary), sheet("old", baseline)


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    [(0, 0, 1.0), (1, 0, 0.5), (3, 0, 0.125), (7, 0, 1 / 128), (2, 1, 0.5), (0, 5, 1.0)],
)
def test_the_sign_test_is_exact(worse: int, better: int, p: float) -> None:
    assert golden.sign_test(worse, better) == pytest.approx(p)


def test_the_sign_test_agrees_with_the_binomial_tail_by_enumeration() -> None:
    for changed in range(1, 11):
        for worse in range(changed + 1):
            ways = sum(bin(number).count("1") >= worse for number in range(2**changed))
            found = golden.sign_test(worse, changed - worse)
            assert found == pytest.approx(ways / 2**changed)


@pytest.mark.parametrize(("passed", "decision"), [(8, True), (7, False)])
def test_the_share_that_passes_must_reach_the_minimum(passed: int, decision: bool) -> None:
    asked, new, _ = sheets("1" * passed + "0" * (10 - passed), "1" * 10)
    found = golden.result(SET, asked, new, None, Golden(minimum=0.8))
    assert found["passed"] is decision
    assert f"{passed} of 10" in found["reason"]


@pytest.mark.parametrize(("gone", "decision"), [(6, True), (7, False)])
def test_as_many_flips_to_wrong_as_chance_does_not_explain_fail(gone: int, decision: bool) -> None:
    asked, new, old = sheets("0" * gone + "1" * 93, "1" * (gone + 93))
    found = golden.result(SET, asked, new, old, Golden(minimum=0.5, alpha=0.01))
    assert found["passed"] is decision
    assert found["p_value"] == 0.5**gone
    assert (len(found["flips"]), found["canary"]["passed"]) == (gone, 93)


def test_flips_of_both_ways_are_told_with_both_answers() -> None:
    asked, new, old = sheets("011", "101")
    found = golden.result(SET, asked, new, old, Golden(minimum=0.1))
    assert found["flips"] == [
        {
            "id": "g0",
            "question": "q0",
            "expected": "x",
            "baseline": {"answer": "old 0", "passed": True},
            "canary": {"answer": "new 0", "passed": False},
        },
        {
            "id": "g1",
            "question": "q1",
            "expected": "x",
            "baseline": {"answer": "old 1", "passed": False},
            "canary": {"answer": "new 1", "passed": True},
        },
    ]
    assert found["baseline"] == {"release": "old", "passed": 2}


def test_better_never_fails_the_sign_test() -> None:
    asked, new, old = sheets("1" * 50, "0" * 50)
    assert golden.result(SET, asked, new, old, Golden())["passed"]


def test_an_answer_is_right_if_it_holds_the_expected_words_in_any_case() -> None:
    question = Question("g", "?", "Maren Oldcastle")
    assert question.is_right("It was MAREN OLDCASTLE who founded it.")
    assert not question.is_right("It was Maren who founded it.")


def test_a_line_that_is_no_question_is_named() -> None:
    with pytest.raises(GoldenError, match=r"golden/x\.jsonl, line 2"):
        golden.questions(
            b'{"id": "1", "question": "?", "answer": "a"}\n{"id": "2"}', "golden/x.jsonl"
        )
    with pytest.raises(GoldenError, match="same id"):
        golden.questions(b'{"id": "1", "question": "?", "answer": "a"}\n' * 2, "golden/x.jsonl")


def test_a_good_candidate_passes_and_both_arms_answers_are_kept(hall: Any) -> None:
    answer = hall.world.golden()
    assert answer["hookStatus"] == "SUCCEEDED"
    assert len(hall.test.asked) == len(hall.service.asked) == 40
    record = hall.world.record()
    assert record["golden"]["passed"]
    assert record["golden"]["baseline"] == {"release": BASELINE, "passed": 40}
    assert record["golden"]["canary"] == {"release": CANARY, "passed": 40}
    assert (record["golden"]["set"], record["golden"]["questions"]) == (SET, 40)
    assert record["calls"][0]["stage"] == "POST_TEST_TRAFFIC_SHIFT"
    assert record["calls"][0]["verdict"] is None
    for release in (BASELINE, CANARY):
        kept = hall.world.get(f"golden/results/{release}/{SET}.json")
        assert (kept["release"], kept["passed"], len(kept["results"])) == (release, 40, 40)


def test_a_candidate_below_the_minimum_fails_before_any_user_saw_it(hall: Any) -> None:
    hall.wrong(hall.test, *range(9))
    answer = hall.world.golden()
    assert answer["hookStatus"] == "FAILED"
    record = hall.world.record()
    assert record["decided_by"] == "gate"
    assert "31 of 40" in record["calls"][-1]["reason"]
    assert not record["golden"]["passed"]


def test_a_candidate_that_lost_more_questions_than_chance_explains_fails(hall: Any) -> None:
    hall.wrong(hall.test, *range(7))
    assert hall.world.golden()["hookStatus"] == "FAILED"
    record = hall.world.record()["golden"]
    assert record["p_value"] == 1 / 128
    assert len(record["flips"]) == 7
    assert record["flips"][0]["canary"]["answer"] == "I do not know."


def test_questions_that_the_baseline_gets_wrong_too_are_no_flips(hall: Any) -> None:
    hall.wrong(hall.test, *range(7))
    hall.wrong(hall.service, *range(7))
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert hall.world.record()["golden"]["p_value"] == 1.0


def test_the_baselines_last_answers_to_the_same_set_are_used(hall: Any) -> None:
    hall.world.golden()
    hall.service.asked.clear()
    hall.world.details.pop("state")
    hall.world.aws.s3.delete_object(
        Bucket="handbook-artifacts", Key="rollouts/Rollout1/golden.json"
    )
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert hall.service.asked == []


def test_another_set_is_asked_of_the_baseline_again(hall: Any) -> None:
    hall.world.golden()
    other = "6" * 64
    line = {"id": "n", "question": "Question 5?", "answer": "answer-5x"}
    hall.world.put(f"golden/{other}.jsonl", json.dumps(line))
    hall.world.put(f"releases/{CANARY}.json", json.dumps({"golden": other}))
    hall.service.asked.clear()
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert hall.service.asked == ["Question 5?"]


def test_connections_are_kept_open(hall: Any) -> None:
    hall.world.golden()
    assert len(hall.test.connections) <= asking.AT_ONCE


def test_a_lost_connection_is_tried_once_more(hall: Any) -> None:
    hall.test.drops = 1
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert len(hall.test.asked) == 41


def test_an_error_of_the_release_is_a_wrong_answer_whatever_its_text_holds(hall: Any) -> None:
    hall.wrong(hall.test, 1, text=(500, "answer-1x"))
    hall.wrong(hall.test, 2, text=None)
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    record = hall.world.record()["golden"]
    assert record["canary"]["passed"] == 38
    assert record["flips"][0]["canary"] == {"answer": "(HTTP 500)", "passed": False}


def test_the_words_about_a_failure_are_never_taken_for_an_answer(hall: Any) -> None:
    lines = {"id": "n", "question": "Question 5?", "answer": "500"}
    hall.world.put(f"golden/{SET}.jsonl", json.dumps(lines))
    hall.wrong(hall.test, 5, text=(500, "sorry"))
    assert hall.world.golden()["hookStatus"] == "FAILED"
    assert hall.world.record()["golden"]["canary"]["passed"] == 0


def test_a_test_listener_that_does_not_answer_is_a_failed_call_and_never_a_pass(
    hall: Any,
) -> None:
    hall.wrong(hall.test, 3, text=(503, "no healthy target"))
    answers = [hall.world.golden(at=number) for number in range(decide.MAXIMUM_FAILURES)]
    statuses = [answer["hookStatus"] for answer in answers]
    assert statuses == ["IN_PROGRESS"] * (decide.MAXIMUM_FAILURES - 1) + ["FAILED"]
    assert answers[0]["callBackDelay"] == 15
    assert "HTTP 503" in hall.world.record()["calls"][-1]["reason"]
    assert len(hall.test.asked) == 39 + 2 * decide.MAXIMUM_FAILURES


def test_an_answer_of_the_release_before_is_not_the_candidates(hall: Any) -> None:
    hall.test.release = BASELINE
    assert hall.world.golden()["hookStatus"] == "IN_PROGRESS"
    assert "not yet by 1.1.0" in hall.world.record()["calls"][-1]["reason"]
    hall.test.release = CANARY
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"


def test_a_refused_token_is_the_gates_failure_and_is_not_told(hall: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(asking, "token_of", lambda secret: "another-token")
    assert hall.world.golden()["hookStatus"] == "IN_PROGRESS"
    reason = hall.world.record()["calls"][-1]["reason"]
    assert "HTTP 401" in reason
    assert "another-token" not in reason


@pytest.mark.parametrize("secret", ["", "[]", "{}", '{"current": 7}', '"text"'])
def test_a_secret_without_a_token_is_said_and_not_quoted(secret: str) -> None:
    with pytest.raises(asking.AskingError, match="holds no token"):
        asking.token_of(secret)


def test_a_baseline_that_does_not_answer_blocks_nobody_for_long(hall: Any) -> None:
    """It may be the very outage that the candidate cures."""
    hall.service.reply = lambda question: (503, "")
    for _ in range(exam.BASELINE_PATIENCE - 1):
        assert hall.world.golden()["hookStatus"] == "IN_PROGRESS"
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    record = hall.world.record()["golden"]
    assert (record["baseline"], record["p_value"]) == (None, None)
    assert "The baseline could not be asked" in record["reason"]
    assert len(hall.test.asked) == 40


class Slices:
    """A clock that gives every call the time for so many questions."""

    def __init__(self, questions: int) -> None:
        self.size, self.left = questions, 0

    def __call__(self) -> float:
        self.left -= 1
        return 900.0 if self.left >= 0 else 10.0

    def next(self) -> None:
        self.left = self.size


def test_a_set_that_takes_longer_than_a_call_is_asked_in_slices(hall: Any) -> None:
    hall.world.seconds_left = clock = Slices(16)
    answers: list[Any] = []
    while not answers or answers[-1]["hookStatus"] == "IN_PROGRESS":
        clock.next()
        answers.append(hall.world.golden(at=len(answers)))
    assert answers[-1]["hookStatus"] == "SUCCEEDED"
    assert [answer["callBackDelay"] for answer in answers[:-1]] == [1] * (len(answers) - 1)
    assert len(answers) >= 5
    assert sorted(hall.test.asked) == sorted(set(hall.test.asked))
    assert len(hall.test.asked) == len(hall.service.asked) == 40
    told = [call["reason"] for call in hall.world.record()["calls"]]
    assert "of 40 golden questions are answered on the test listener." in told[0]
    assert hall.world.record()["golden"]["canary"]["passed"] == 40


def test_another_process_goes_on_where_the_last_one_stopped(hall: Any) -> None:
    hall.world.seconds_left = clock = Slices(20)
    clock.next()
    assert hall.world.golden()["hookStatus"] == "IN_PROGRESS"
    hall.world.details.pop("state")
    hall.world.seconds_left = lambda: 900.0
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert len(hall.test.asked) == 40


@pytest.mark.parametrize(("word", "status"), [("promote", "SUCCEEDED"), ("rollback", "FAILED")])
def test_the_operators_word_counts_before_any_question_is_asked(
    hall: Any, word: str, status: str
) -> None:
    hall.world.say(word)
    assert hall.world.golden()["hookStatus"] == status
    assert hall.test.asked == []
    record = hall.world.record()
    assert record["decided_by"] == "operator"
    assert record["calls"][-1]["reason"] == f"ana decided: {word} (because)."


def without_set(hall: Any) -> None:
    hall.world.put(f"releases/{CANARY}.json", "{}")


def without_manifest(hall: Any) -> None:
    hall.world.aws.s3.delete_object(Bucket="handbook-artifacts", Key=f"releases/{CANARY}.json")


def without_urls(hall: Any) -> None:
    hall.world.place = type(hall.world.place)("handbook-artifacts", hall.world.place.source)


def with_an_empty_set(hall: Any) -> None:
    hall.world.put(f"golden/{SET}.jsonl", "\n")


@pytest.mark.parametrize(
    ("lacking", "why"),
    [
        (without_set, "has no golden set"),
        (without_manifest, "has no manifest"),
        (without_urls, "No test listener is configured"),
        (with_an_empty_set, "is empty"),
    ],
)
def test_where_there_is_nothing_to_ask_the_gate_passes_and_says_why(
    hall: Any, lacking: Callable[[Any], None], why: str
) -> None:
    lacking(hall)
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    record = hall.world.record()
    assert why in record["calls"][-1]["reason"]
    assert record["golden"] is None


def test_a_set_that_is_named_but_missing_is_not_passed(hall: Any) -> None:
    hall.world.aws.s3.delete_object(Bucket="handbook-artifacts", Key=f"golden/{SET}.jsonl")
    assert hall.world.golden()["hookStatus"] == "IN_PROGRESS"
    assert "the bucket has none" in hall.world.record()["calls"][-1]["reason"]


def test_the_first_deployment_and_the_same_release_are_not_asked(hall: Any) -> None:
    hall.world.ecs.sources = []
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    hall.world.ecs.sources = [
        "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/1"
    ]
    hall.world.ecs.releases = dict.fromkeys(hall.world.ecs.releases, BASELINE)
    assert hall.world.golden()["hookStatus"] == "SUCCEEDED"
    assert hall.test.asked == []


def test_golden_questions_are_no_traffic_to_judge(hall: Any) -> None:
    """They are in the metrics of the minute in which the first step is let through."""
    world = hall.world
    world.golden(at=-10)
    world.traffic(0, "canary", 40)
    world.call(green=0, at=0)
    for minute in (1, 2, 3):
        world.arms(minute, n=500)
    world.call(green=10, at=120)
    world.call(green=10, at=300)
    record = world.record()
    assert record["begin"][11:16] == "12:02"
    assert [each["start"][11:16] for each in record["intervals"]] == ["12:01", "12:02", "12:03"]


def test_the_golden_result_stays_in_the_record(hall: Any) -> None:
    hall.world.golden()
    hall.world.call(green=0, at=0)
    assert hall.world.record()["golden"]["passed"]
