"""Comparing runs, and other tools' results among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from llmops_runbooks import eval_importers, eval_report, eval_schema
from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.eval_compare import Decision, compare
from llmops_runbooks.eval_schema import GoldenSet, Result, Row


def result(rows: Sequence[Mapping[str, float]], **changes: Any) -> Result:
    """A run whose questions have these metrics."""
    made = [
        Row(
            id=f"q{n}", question=f"Question {n}?", answerable=True, references=["x"], answer="x",
            metrics=dict(metrics),
        )
        for n, metrics in enumerate(rows)
    ]  # fmt: skip
    given: dict[str, Any] = {
        "name": "run", "source": "llmops", "created_at": "2026-01-05T12:00:00+00:00",
        "target": "http://x", "releases": {}, "settings": {}, "seconds": 1.0,
        "golden": GoldenSet(name="g", sha256="0", questions=len(made)), "asked": len(made),
        "failed": 0, "retried": 0, "figures": eval_report.figures(made), "latency_ms": None,
        "first_token_ms": None, "judge": None, "notes": [], "rows": made,
    }  # fmt: skip
    return Result(**{**given, **changes})


def correct(ones: int, n: int) -> list[dict[str, float]]:
    return [{"correct": float(at < ones)} for at in range(n)]


@pytest.mark.parametrize(
    ("a", "b", "n", "decision", "code"),
    [
        (80, 80, 100, Decision.EQUAL, 0),
        (500, 560, 1000, Decision.NOT_WORSE, 0),
        (900, 899, 1000, Decision.NOT_WORSE, 0),
        (900, 800, 1000, Decision.WORSE, 1),
        (9, 8, 10, Decision.CANNOT_TELL, 3),
        (80, 78, 100, Decision.CANNOT_TELL, 3),
    ],
)
def test_better_or_equal_is_0_worse_is_1_cannot_tell_is_3(
    a: int, b: int, n: int, decision: Decision, code: int
) -> None:
    found = compare(result(correct(a, n)), result(correct(b, n)))
    assert (found.decision, int(found.exit_code)) == (decision, code)
    assert found.reason.startswith("correct ")


def test_the_margin_is_what_may_be_lost() -> None:
    a, b = result(correct(900, 1000)), result(correct(880, 1000))
    assert compare(a, b, margin=0.05).exit_code is ExitCode.DONE
    assert compare(a, b, margin=0.02).exit_code is ExitCode.FAILED


def test_flips_are_listed_in_both_directions() -> None:
    a = result([{"correct": 1.0}, {"correct": 0.0}, {"correct": 1.0}])
    b = result([{"correct": 0.0}, {"correct": 1.0}, {"correct": 1.0}])
    found = compare(a, b)
    assert [flip.id for flip in found.worse] == ["q0"]
    assert [flip.id for flip in found.better] == ["q1"]
    (main,) = found.differences
    assert (main.gained, main.lost, main.p, main.difference) == (1, 1, 1.0, 0.0)
    assert json.loads(json.dumps(found.to_json()))["worse"][0]["answer_b"] == "x"


def test_questions_are_paired_by_id_and_the_rest_is_named() -> None:
    a, b = result(correct(2, 3)), result(correct(2, 2))
    found = compare(a, b)
    assert (found.only_a, found.only_b) == (("q2",), ())
    assert found.differences[0].n == 2


def test_a_run_that_asked_too_few_of_the_questions_does_not_pass() -> None:
    whole = result(correct(20, 20))
    assert compare(whole, result(correct(18, 18))).exit_code is ExitCode.DONE
    found = compare(whole, result(correct(17, 17)))
    assert found.exit_code is ExitCode.UNDECIDED
    assert "B has 17 of A's 20 questions, too few for a pass" in found.reason
    assert compare(whole, result(correct(0, 17))).exit_code is ExitCode.FAILED
    assert compare(result(correct(17, 17)), whole).exit_code is ExitCode.DONE


def test_other_metrics_have_a_bootstrap_and_less_latency_is_better() -> None:
    a = result([{"correct": 1.0, "latency_ms": 100.0 + n % 5, "f1": n / 50} for n in range(50)])
    b = result([{"correct": 1.0, "latency_ms": 150.0 + n % 7, "f1": n / 50} for n in range(50)])
    slower = compare(a, b, metric="latency_ms", margin=0.1)
    assert slower.exit_code is ExitCode.FAILED and len(slower.worse) == 50
    faster = compare(b, a, metric="latency_ms", margin=0.1)
    assert faster.exit_code is ExitCode.DONE and len(faster.better) == 50
    methods = {each.metric: each.method for each in slower.differences}
    assert "bootstrap" in methods["latency_ms"] and "Tango" in methods["correct"]
    assert compare(a, b, metric="latency_ms", margin=0.1) == slower


def test_runs_that_share_nothing_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="share no question that has the metric judge"):
        compare(result(correct(1, 2)), result(correct(1, 2)), metric="judge")
    declined = result([{"correct": 1.0, "declined": 1.0}])
    with pytest.raises(UsageError, match="cannot decide"):
        compare(declined, declined, metric="declined")


def test_what_makes_runs_unlike_is_warned_of() -> None:
    a = result(correct(1, 2), settings={"stream": True})
    b = result(
        correct(1, 2),
        settings={"stream": False},
        golden=GoldenSet(name="g", sha256="1", questions=2),
    )
    told = " ".join(compare(a, b).warnings)
    assert "golden sets differ" in told and "stream was True in A and False in B" in told


PROMPTFOO = {
    "evalId": "eval-abc-2026-01-05T12:00:00",
    "results": {
        "version": 3,
        "timestamp": "2026-01-05T12:00:00.000Z",
        "prompts": [{"raw": "Answer: {{question}}", "label": "p1"}],
        "results": [
            {
                "id": "r1", "promptIdx": 0, "testIdx": 0, "success": True, "score": 1,
                "latencyMs": 812, "cost": 0.0012, "failureReason": 0,
                "provider": {"id": "openai:gpt-4o-mini", "label": ""},
                "prompt": {"raw": "Answer: Who?", "label": "p1"},
                "vars": {"question": "Who?"}, "response": {"output": "Maren.", "cached": False},
                "namedScores": {"tone": 0.5}, "testCase": {"vars": {"question": "Who?"}},
                "tokenUsage": {"total": 12, "prompt": 10, "completion": 2},
                "gradingResult": {"pass": True, "score": 1, "reason": "ok"},
            },
            {
                "id": "r2", "promptIdx": 0, "testIdx": 1, "success": False, "score": 0.25,
                "latencyMs": 100, "failureReason": 1,
                "provider": {"id": "openai:gpt-4o-mini"}, "prompt": {"raw": "x", "label": "p1"},
                "vars": {}, "testCase": {"description": "structured"},
                "response": {"output": {"answer": 3}}, "namedScores": {},
            },
            {
                "id": "r3", "promptIdx": 0, "testIdx": 2, "success": False, "score": 0,
                "latencyMs": 5, "failureReason": 2, "error": "API error: 500",
                "provider": {"id": "openai:gpt-4o-mini"}, "prompt": {"raw": "y", "label": "p1"},
                "vars": {"query": "Why?"}, "testCase": {}, "namedScores": {},
            },
        ],
        "stats": {"successes": 1, "failures": 1, "errors": 1},
    },
    "config": {},
}  # fmt: skip


def write(folder: Path, name: str, content: str) -> Path:
    file = folder / name
    file.write_text(content, encoding="utf-8")
    return file


def test_promptfoos_results_are_imported(tmp_path: Path) -> None:
    file = write(tmp_path, "results.json", json.dumps(PROMPTFOO))
    found = eval_importers.from_promptfoo(file)
    jsonschema.validate(json.loads(found.text()), eval_schema.schema())
    first, second, third = found.rows
    assert (first.id, first.question, first.answer) == ("test-0", "Who?", "Maren.")
    assert first.metrics == {
        "correct": 1, "score": 1, "latency_ms": 812, "cost_micro_usd": 1200, "prompt_tokens": 10,
        "completion_tokens": 2, "tone": 0.5,
    }  # fmt: skip
    assert (second.question, second.answer) == ("structured", '{"answer": 3}')
    assert (third.answer, third.error, third.metrics["correct"]) == (None, "API error: 500", 0)
    assert (found.asked, found.failed) == (3, 1)
    assert found.created_at == "2026-01-05T12:00:00.000Z"


def test_a_bare_summary_and_several_providers_are_told_apart(tmp_path: Path) -> None:
    summary: dict[str, Any] = json.loads(json.dumps(PROMPTFOO["results"]))
    other = {**summary["results"][0], "provider": {"id": "anthropic:claude"}}
    summary["results"] += [other, other]
    found = eval_importers.from_promptfoo(write(tmp_path, "r.json", json.dumps(summary)))
    ids = [row.id for row in found.rows]
    assert ids[0] == "test-0/openai:gpt-4o-mini"
    assert ids[3:] == ["test-0/anthropic:claude", "test-0/anthropic:claude/repeat-2"]


def test_version_2_of_promptfoo_numbers_neither_tests_nor_prompts(tmp_path: Path) -> None:
    old = [
        {
            "provider": {"id": "openai:gpt-4"}, "prompt": {"raw": prompt, "display": "p"},
            "vars": {"question": question}, "response": {"output": "Maren."}, "success": True,
            "score": 1, "namedScores": {}, "latencyMs": 10,
        }
        for question in ("Who?", "When?")
        for prompt in ("one", "two")
    ]  # fmt: skip
    whole = {"results": {"version": 2, "results": old, "table": {}, "stats": {}}, "config": {}}
    found = eval_importers.from_promptfoo(write(tmp_path, "r.json", json.dumps(whole)))
    assert [row.id for row in found.rows] == [
        "test-0/prompt-0", "test-0/prompt-1", "test-1/prompt-0", "test-1/prompt-1"
    ]  # fmt: skip
    assert [row.question for row in found.rows] == ["Who?", "Who?", "When?", "When?"]


def test_the_lines_of_promptfoos_jsonl_are_read_and_a_provider_may_be_a_name(
    tmp_path: Path,
) -> None:
    summary: Any = PROMPTFOO["results"]
    rows = [{**each, "provider": "echo"} for each in summary["results"]]
    file = write(tmp_path, "results.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    found = eval_importers.from_promptfoo(file)
    assert [row.id for row in found.rows] == ["test-0", "test-1", "test-2"]
    assert found.failed == 1


def test_two_imports_are_compared(tmp_path: Path) -> None:
    worse = json.loads(json.dumps(PROMPTFOO))
    worse["results"]["results"][0]["success"] = False
    files = [
        write(tmp_path, f"{n}.json", json.dumps(each)) for n, each in enumerate((PROMPTFOO, worse))
    ]
    a, b = map(eval_importers.from_promptfoo, files)
    found = compare(a, b)
    assert [flip.id for flip in found.worse] == ["test-0"]
    assert found.exit_code is ExitCode.UNDECIDED


JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="s" tests="5" timestamp="2026-01-05T12:00:00">
<testcase classname="a.B" name="passes" time="0.25"><system-out> 42 </system-out></testcase>
<testcase classname="a.B" name="passes" time="1,000.5"/>
<testcase classname="a.B" name="fails" time="0.1"><failure message="no">said 3</failure></testcase>
<testcase classname="a.B" name="breaks"><error message="Boom">trace</error></testcase>
<testcase classname="a.B" name="left out"><skipped/></testcase>
</testsuite></testsuites>
"""


def test_a_junit_report_is_imported(tmp_path: Path) -> None:
    found = eval_importers.from_junit(write(tmp_path, "junit.xml", JUNIT), "ci")
    jsonschema.validate(json.loads(found.text()), eval_schema.schema())
    assert [row.id for row in found.rows] == [
        "a.B.passes",
        "a.B.passes#2",
        "a.B.fails",
        "a.B.breaks",
    ]
    assert [row.metrics["correct"] for row in found.rows] == [1, 1, 0, 0]
    assert found.rows[0].answer == "42" and found.rows[0].metrics["latency_ms"] == 250
    assert found.rows[1].metrics["latency_ms"] == 1_000_500
    assert (found.rows[3].error, found.failed, found.settings["skipped"]) == ("Boom", 1, 1)


DIALECTS = """<testsuites xmlns="urn:junit"><testsuite name="s">
<testcase classname="T" name="Disabled" status="notrun" time="0"/>
<testcase classname="tests.test_x" name="test_a[ä-Ω]" time="0.1"><rerunFailure/></testcase>
<testcase name="no class" time="soon"><error type="TimeoutError">
</error></testcase>
<testcase classname="T" name="said"><error message="">  at line 3
   of x</error></testcase>
</testsuite></testsuites>
"""


def test_the_dialects_of_junit_are_read(tmp_path: Path) -> None:
    found = eval_importers.from_junit(write(tmp_path, "junit.xml", DIALECTS))
    assert [row.id for row in found.rows] == ["tests.test_x.test_a[ä-Ω]", "no class", "T.said"]
    assert [row.metrics["correct"] for row in found.rows] == [1, 0, 0]
    assert [row.error for row in found.rows] == [None, "TimeoutError", "at line 3 of x"]
    assert found.settings["skipped"] == 1


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>'
READER = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>'


@pytest.mark.parametrize(
    "text", [BOMB, READER, '<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><testsuite/>']
)
def test_xml_with_a_dtd_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="has a DTD"):
        eval_importers.from_junit(write(tmp_path, "junit.xml", text))


@pytest.mark.parametrize(
    ("text", "says"),
    [("<a", "is no XML"), ("<a/>", "its root is <a>"), ("<testsuite/>", "no result")],
)
def test_what_is_no_report_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        eval_importers.from_junit(write(tmp_path, "junit.xml", text))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"results": {"results": [1]}}', '{"results": {"results": []}}']
)
def test_what_is_no_result_of_promptfoo_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no result"):
        eval_importers.from_promptfoo(write(tmp_path, "results.json", text))


def test_a_result_goes_out_as_junit_and_comes_back(tmp_path: Path) -> None:
    found = result([{"correct": 1.0, "latency_ms": 250.0}, {"correct": 0.0}], name="a \x00 name")
    file = tmp_path / "out.xml"
    file.write_bytes(eval_importers.to_junit(found))
    back = eval_importers.from_junit(file)
    assert [row.metrics["correct"] for row in back.rows] == [1, 0]
    assert [row.id for row in back.rows] == ["eval.q0", "eval.q1"]
