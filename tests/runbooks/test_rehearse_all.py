"""A rehearsal of many kinds: what each must come to, and that the baseline is always the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks import publish, rehearse_page
from llmops_runbooks.errors import LlmopsError, RolloutFailed, UsageError
from llmops_runbooks.outcome import Decider, Result
from llmops_runbooks.outcome import Outcome as End
from llmops_runbooks.rehearse import Rollout
from llmops_runbooks.rehearse_all import AllReport, Ending, Spell, rehearse_kinds, report
from llmops_runbooks.rehearse_ending import deciding_metric, ending_of
from llmops_runbooks.rehearse_kinds import BASE, GOLDEN, KINDS, Kind, chosen
from llmops_runbooks.rehearse_releases import write_project
from llmops_runbooks.traffic import Outcome, Record

BY_NAME = {kind.name: kind for kind in KINDS}


def rollout(kind: Kind, **other: Any) -> Rollout:
    verdict = "rollback" if kind.expected == "rolled_back" else "promote"
    known = Rollout(
        f"{kind.version}-aaaaaaaa", kind.expected, verdict, "gate", 90, 9.0, 100.0, "why", None
    )
    return replace(known, **other)


def ending(name: str, **other: Any) -> Ending:
    """A kind that ended as it should; `other` are fields of its rollout."""
    kind = BY_NAME[name]
    metric = kind.metrics[0] if kind.metrics else None
    spell = Spell(60.0, 80.0, held=True) if kind.outage else None
    return Ending(kind, rollout(kind, **other), metric, 900, 8.0, spell)


def record(version: str, outcome: Outcome = Outcome.CORRECT) -> Record:
    return Record(1.0, 2.0, f"{version}-aaaaaaaa", outcome)


def failures(found: Ending, *records: Record) -> tuple[str, ...]:
    return report((found,), records or [record(BASE)], 1.0).failures


@pytest.mark.parametrize("name", BY_NAME)
def test_a_kind_that_ends_as_it_should_is_no_failure(name: str) -> None:
    assert failures(ending(name)) == ()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (ending("slow", outcome="promoted"), "slow ended as promoted, not rolled_back"),
        (ending("slow", outcome="waiting"), "slow ended as waiting"),
        (ending("slow", decided_by="alarm"), "by the alarm, not by the gate"),
        (ending("slow", verdict="inconclusive"), "on the verdict inconclusive"),
        (replace(ending("slow"), metric="errors"), "found out by errors, not by latency"),
        (replace(ending("slow"), metric=GOLDEN), "found out by golden set, not by latency"),
        (replace(ending("terse"), metric="quality"), "found out by quality, not by golden set"),
        (ending("better", outcome="rolled_back"), "better ended as rolled_back, not promoted"),
        (ending("better", verdict=None), "on the verdict None"),
        (replace(ending("outage"), spell=None), "was over before its outage was"),
        (ending("outage", decided_at=59.0), "was decided before the outage"),
        (ending("outage", decided_at=70.0), "was decided during the outage"),
        (
            replace(ending("outage"), spell=Spell(60.0, 80.0, held=False)),
            "did not say that it waits",
        ),
    ],
)
def test_any_other_end_is_a_failure_with_its_reason(found: Ending, says: str) -> None:
    assert says in " ".join(failures(found))


def test_a_release_stopped_by_the_golden_set_needs_no_verdict() -> None:
    assert failures(ending("terse", verdict=None)) == ()


def test_only_users_of_a_bad_release_may_get_nothing() -> None:
    bad = BY_NAME["errors"].version
    assert failures(ending("errors"), record(bad, Outcome.ERROR)) == ()
    for good in (BASE, BY_NAME["identical"].version):
        said = failures(ending("errors"), record(good, Outcome.LOST))
        assert said == ("1 of 1 requests were lost.",)


def test_bad_answers_are_those_of_the_kind_s_own_release() -> None:
    version = BY_NAME["worse"].version
    records = [record(version), record(version, Outcome.WRONG), record(BASE, Outcome.WRONG)]
    made = report((ending("worse"),), records, 1.0)
    assert made.bad_answers == (1,)


def test_the_json_says_of_each_kind_what_was_expected_and_what_came() -> None:
    made = report((ending("worse"), ending("outage")), [record(BASE)], 1.0, evidence="page")
    told = made.json()
    assert (told["outcome"], told["evidence"]) == ("passed", "page")
    worse, outage = told["kinds"]
    assert worse["expected"] == worse["outcome"] == "rolled_back"
    assert (worse["metric"], worse["expected_metrics"]) == ("quality", ["quality"])
    assert (worse["requests"], worse["canary_requests"], worse["minutes"]) == (900, 90, 8.0)
    assert outage["held_by_the_outage"]
    assert json.loads(json.dumps(told)) == told


class FakeStage:
    """Plays the runbooks; `ends` says how a kind ends if not as it should."""

    def __init__(self, breaks: str = "", **ends: Ending | LlmopsError) -> None:
        self.called: list[str] = []
        self._breaks, self._ends = breaks, ends

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

    def play(self, kind: Kind) -> Ending:
        self._step(kind.name)
        found = self._ends.get(kind.name, ending(kind.name))
        if isinstance(found, LlmopsError):
            raise found
        return found

    def back_to_base(self) -> None:
        self._step("back")

    def stop_traffic(self) -> list[Record]:
        self._step("stop")
        return [record(BASE)]

    def page(self, report: AllReport) -> str:
        self._step("page")
        return "page.html"

    def down(self) -> None:
        self.called.append("down")


def play(stage: FakeStage, *names: str) -> AllReport:
    return rehearse_kinds(chosen(names), stage, rate=100, seed=1, clock=lambda: 0.0)


def test_only_a_release_that_is_no_baseline_is_taken_back() -> None:
    stage = FakeStage()
    made = play(stage, "errors", "identical", "faster", "better")
    told = ["errors", "identical", "faster", "back", "better"]
    assert stage.called == ["up", "deploy", "traffic", *told, "stop", "page", "down"]
    assert made.passed
    assert made.evidence == "page.html"


@pytest.mark.parametrize("outcome", ["promoted", "waiting", "rollback_failed"])
def test_a_bad_release_that_was_not_rolled_back_is_taken_back(outcome: str) -> None:
    stage = FakeStage(errors=ending("errors", outcome=outcome))
    assert not play(stage, "errors", "slow").passed
    assert stage.called[3:6] == ["errors", "back", "slow"]


def test_a_kind_that_cannot_be_played_has_failed_and_the_others_have_their_turn() -> None:
    stage = FakeStage(errors=RolloutFailed("Tasks do not start."))
    made = play(stage, "errors", "slow")
    assert "Tasks do not start." in made.failures[0]
    assert [each.rollout.outcome for each in made.endings] == ["unfinished", "rolled_back"]


@pytest.mark.parametrize("step", ["up", "deploy", "traffic", "errors", "back", "stop", "page"])
def test_the_cloud_goes_down_wherever_the_story_breaks(step: str) -> None:
    stage = FakeStage(breaks=step, errors=ending("errors", outcome="promoted"))
    with pytest.raises(RuntimeError):
        play(stage, "errors", "slow")
    assert stage.called[-1] == "down"


def test_kinds_are_played_in_the_order_of_the_table_each_once() -> None:
    assert [kind.name for kind in chosen(["slow", "errors", "slow"])] == ["errors", "slow"]
    with pytest.raises(UsageError, match="There is no kind of release 'nope'"):
        chosen(["nope"])


def metric(name: str, against: float, mode: str = "rollback") -> dict[str, Any]:
    return {"metric": name, "mode": mode, "against": {"value": against, "bound": 100.0}}


def verdict(decision: str, *metrics: dict[str, Any]) -> dict[str, Any]:
    requests = {"baseline": 810, "canary": 90}
    return {"decision": decision, "reason": "so", "requests": requests, "metrics": list(metrics)}


def test_the_deciding_metric_has_the_most_evidence_of_those_that_may_decide() -> None:
    metrics = metric("errors", 3.0), metric("latency", 200.0), metric("refusals", 900.0, "warn")
    assert deciding_metric(verdict("rollback", *metrics)) == "latency"
    assert deciding_metric(verdict("promote", *metrics)) is None
    assert deciding_metric(None) is None


def result(tmp_path: Path, evidence: dict[str, Any], found: dict[str, Any] | None) -> Result:
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    return Result(
        release="1.0.1-slow-aaaaaaaa",
        outcome=End.ROLLED_BACK,
        decided_by=Decider.GATE,
        verdict=found,
        evidence=str(tmp_path / "evidence.html"),
    )


def test_an_ending_is_read_from_the_result_and_its_evidence(tmp_path: Path) -> None:
    guarded = verdict("wait") | {"guards": [{"guard": "shared_outage", "text": "so"}]}
    calls: list[dict[str, Any]] = [
        {"verdict": None, "elapsed_minutes": None},
        {"verdict": guarded, "elapsed_minutes": 4.0},
        {"verdict": verdict("rollback", metric("latency", 200.0)), "elapsed_minutes": 9.0},
    ]
    found = result(tmp_path, {"calls": calls, "golden": None}, calls[-1]["verdict"])
    made = ending_of(BY_NAME["slow"], found, spell=(1.0, 2.0))
    assert (made.metric, made.requests, made.minutes) == ("latency", 900, 9.0)
    assert made.spell == Spell(1.0, 2.0, held=True)
    assert (made.rollout.verdict, made.rollout.decided_by) == ("rollback", "gate")


def test_a_release_that_the_golden_set_stopped_says_so(tmp_path: Path) -> None:
    golden = {"passed": False, "reason": "12 of 316 golden questions pass."}
    made = ending_of(BY_NAME["terse"], result(tmp_path, {"calls": [], "golden": golden}, None))
    assert made.metric == GOLDEN
    assert made.rollout.reason == golden["reason"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "releases/rehearsal"
    for name, rest in (
        ("base", '[configuration]\npassages = 4\nprovider_model = "a"\n'),
        ("slow", 'models = ["b"]\n[configuration]\nprovider_model = "b"\n'),
        ("worse", ""),
    ):
        version = BASE if name == "base" else BY_NAME[name].version
        (folder / name).mkdir(parents=True)
        (folder / name / publish.FILE).write_text(f'version = "{version}"\nnotes = "n"\n{rest}')
    (folder / "worse/overlay/llm_service").mkdir(parents=True)
    (folder / "worse/overlay/llm_service/question.py").write_text("worse\n")
    (tmp_path / "app_src/llm_service").mkdir(parents=True)
    (tmp_path / "app_src/llm_service/question.py").write_text("plain\n")
    return tmp_path


def test_the_releases_are_those_of_the_folder_with_the_provider_s_address(project: Path) -> None:
    made = project / "made"
    write_project(project, chosen(["slow", "worse"]), "http://127.0.0.1:5/v1", made)
    slow = publish.read(made / "releases/1.0.1-slow" / publish.FILE)
    assert slow.models == ("b",)
    assert slow.variables() == {
        "PASSAGES": "4",
        "PROVIDER_MODEL": "b",
        "PROVIDER_URL": "http://127.0.0.1:5/v1",
    }
    trees = {
        version: publish.source_tree(made, version)["llm_service/question.py"]
        for version in (BASE, "1.0.1-slow", "1.0.1-worse")
    }
    assert trees == {BASE: b"plain\n", "1.0.1-slow": b"plain\n", "1.0.1-worse": b"worse\n"}


def test_releases_of_a_rehearsal_before_are_gone(project: Path) -> None:
    made = project / "made"
    write_project(project, chosen(["slow"]), "http://127.0.0.1:5/v1", made)
    write_project(project, chosen(["worse"]), "http://127.0.0.1:6/v1", made)
    assert not (made / "releases/1.0.1-slow").exists()
    assert (project / "app_src/llm_service/question.py").read_text() == "plain\n"


def test_a_kind_without_a_release_is_told(project: Path) -> None:
    with pytest.raises(UsageError, match=r"releases/rehearsal/late/release.toml cannot be read"):
        write_project(project, chosen(["late"]), "http://127.0.0.1:5/v1", project / "made")


def test_the_page_leads_to_each_rollout_and_escapes_what_it_quotes(tmp_path: Path) -> None:
    evidence = str(tmp_path / "abc/evidence.html")
    made = report(
        (ending("slow", evidence=evidence, reason="<b>slow</b>", outcome="promoted"),),
        [record(BASE)],
        61.0,
    )
    page = rehearse_page.render(made, title="Rehearsal", folder=tmp_path)
    assert '<a href="abc/evidence.html"><b>slow</b></a>' in page
    assert '<span class="badge good">promoted</span>' in page
    assert "&lt;b&gt;slow&lt;/b&gt;" in page
    assert "1 release: not as wanted" in page
    assert "1 min 1 s" in page
    assert "://" not in page
