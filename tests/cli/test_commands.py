"""The commands: exit codes by the true outcome, one JSON object, the same words as the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.memory import MemoryCloud


def test_a_promoted_release_exits_0_and_shows_every_step(llmops: Any, memory: MemoryCloud) -> None:
    found = llmops("release", "1.2.0")
    assert found.code == 0
    assert "✓ preflight    no rollout under way · 2 alarms quiet · blue serves 100 %" in found.out
    assert "● canary 10 %  100 requests · 1:00 · errors 0.4 % (baseline 0.4 %)" in found.out
    assert "(baseline 0.4 %), 0.2 of 100" in found.out
    assert "promoted: it has 100 % of the traffic" in found.out


def test_a_rolled_back_release_exits_1_and_says_who_decided_and_why(
    llmops: Any, memory: MemoryCloud
) -> None:
    memory.gate.words = ("rollback",)
    found = llmops("release", "1.1.0")
    assert found.code == 1
    assert "rolled back: the release before it serves" in found.out
    assert "decided by the gate: errors 6.0% against 0.4%" in found.out


def test_release_json_is_one_object_on_stdout_with_progress_on_stderr(
    llmops: Any, memory: MemoryCloud
) -> None:
    found = llmops("release", "1.2.0", "--json")
    assert (found.json["outcome"], found.json["decided_by"]) == ("promoted", "gate")
    assert found.json["release"].startswith("1.2.0-")
    assert found.json["rollout"].startswith("arn:aws:ecs:")
    assert found.json["canary_requests_at_decision"] == 200
    assert Path(found.json["evidence"]).is_file()
    assert "✓ preflight" in found.err


def test_no_wait_exits_3(llmops: Any, memory: MemoryCloud) -> None:
    found = llmops("release", "1.2.0", "--no-wait", "--json")
    assert (found.code, found.json["outcome"]) == (3, "waiting")


def test_a_dry_run_exits_0_and_shows_the_plan(llmops: Any, memory: MemoryCloud) -> None:
    found = llmops("release", "1.2.0", "--dry-run", "--json")
    assert (found.code, found.json["outcome"]) == (0, "planned")
    assert memory.ecs.updates == []


def test_manual_promotion_release_promote_done(llmops: Any, memory: MemoryCloud) -> None:
    memory.gate.words = ("promote",)
    waiting = llmops("release", "1.2.0", "--env", "manual", "--no-wait", "--json")
    assert (waiting.code, waiting.json["outcome"]) == (3, "waiting")
    shown = llmops("status", "--env", "manual", "--json").json
    assert shown["rollout"]["canary_percent"] == 10
    assert len(shown["rollout"]["waiting_hooks"]) == 1
    done = llmops("promote", "--env", "manual", "--by", "ada", "--reason", "good", "--json")
    assert (done.code, done.json["outcome"]) == (0, "promoted")


def test_rollback_of_a_rollout_exits_0_because_it_was_asked(
    llmops: Any, memory: MemoryCloud
) -> None:
    memory.gate.words = ("wait",)
    llmops("release", "1.2.0", "--no-wait")
    found = llmops("rollback", "--reason", "tone", "--json")
    assert (found.code, found.json["outcome"], found.json["asked"]) == (
        0,
        "rolled_back",
        "rolled_back",
    )
    assert found.json["decided_by"] == "operator"


def test_rollback_after_success_goes_to_the_release_before(
    llmops: Any, memory: MemoryCloud
) -> None:
    llmops("release", "1.2.0")
    found = llmops("rollback", "--json")
    assert (found.code, found.json["release"][:6]) == (0, "1.0.0-")


def test_status_watch_comes_back_to_a_rollout_and_exits_by_its_outcome(
    llmops: Any, memory: MemoryCloud
) -> None:
    memory.gate.words = ("wait", "rollback")
    llmops("release", "1.1.0", "--no-wait")
    found = llmops("status", "--watch", "--json")
    assert (found.code, found.json["outcome"]) == (1, "rolled_back")


def test_status_at_rest_is_the_same_with_watch(llmops: Any, memory: MemoryCloud) -> None:
    assert llmops("status", "--watch", "--json") == llmops("status", "--json")


def test_status_in_text_shows_what_serves(llmops: Any, memory: MemoryCloud) -> None:
    found = llmops("status")
    assert found.code == 0
    assert "serves    1.0.0-" in found.out
    assert "alarms    2 OK" in found.out
    assert "rollout   none under way" in found.out


def test_history_lists_newest_first_in_text_and_in_json(llmops: Any, memory: MemoryCloud) -> None:
    memory.gate.words = ("rollback",)
    llmops("release", "1.1.0")
    rows = llmops("history", "--json").json["rollouts"]
    assert [row["outcome"] for row in rows] == ["rolled_back", "promoted"]
    text = llmops("history").out.splitlines()
    assert " ".join(text[0].split()) == "started (UTC) release outcome decided by took rollout"
    assert "rolled_back" in text[1] and "errors 6.0% against 0.4%" in text[2]


def test_history_writes_the_evidence_of_one_rollout(llmops: Any, memory: MemoryCloud) -> None:
    llmops("release", "1.2.0")
    rollout = llmops("history", "--json").json["rollouts"][0]["rollout"]
    found = llmops("history", "--evidence", rollout, "--json")
    assert found.code == 0
    assert json.loads(Path(found.json["evidence"]).with_suffix(".json").read_text())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("promote",), "error: There is nothing to promote: no rollout is under way."),
        (("rollback",), "error: No release served before 1.0.0-"),
        (("release", "9.9.9"), "error: Release 9.9.9 is neither published nor in "),
        (("release", "1.2.0", "--env", "nope"), "error: llmops.toml has no environment 'nope'"),
        (("history", "--evidence", "nope"), "error: ECS knows no rollout nope."),
        (("history", "--limit", "0"), "error: Invalid value for '--limit'"),
        (("release",), "error: Missing argument"),
        (("relaese", "1.0.0"), "error: No such command 'relaese'. Did you mean 'release'"),
    ],
)
def test_a_users_mistake_is_one_sentence_on_stderr_and_exits_2(
    llmops: Any, memory: MemoryCloud, line: tuple[str, ...], sentence: str
) -> None:
    found = llmops(*line)
    assert found.code == 2
    assert sentence in found.err
    assert found.out == ""
    assert "Traceback" not in found.err
    assert memory.ecs.updates == []


def test_a_release_while_a_rollout_is_under_way_exits_2_with_a_hint(
    llmops: Any, memory: MemoryCloud
) -> None:
    llmops("release", "1.2.0", "--no-wait")
    found = llmops("release", "1.1.0")
    assert found.code == 2
    assert "error: A rollout of 1.2.0-" in found.err
    assert "\n\nhint: llmops status --watch follows it" in found.err


def test_an_error_with_json_is_one_object_too(llmops: Any, memory: MemoryCloud) -> None:
    found = llmops("promote", "--json")
    assert (found.code, found.json["exit_code"]) == (2, 2)
    assert found.json["error"].startswith("There is nothing to promote")


def test_a_directory_without_llmops_toml_exits_2(
    llmops: Any, tmp_path: Path, project: Path
) -> None:
    (project / "llmops.toml").unlink()
    found = llmops("status")
    assert found.code == 2
    assert "error: There is no llmops.toml in" in found.err


def test_a_wrong_type_in_llmops_toml_exits_2_and_names_the_key(llmops: Any, project: Path) -> None:
    (project / "llmops.toml").write_text('[env.local]\naccount = "123456789012"\nregion = 7\n')
    found = llmops("status", "--env", "local")
    assert found.code == 2
    assert "llmops.toml: 'region' is 7" in found.err


def test_aws_out_of_reach_exits_4_and_says_what_to_check(llmops: Any) -> None:
    found = llmops("status")
    assert found.code == 4
    assert "error: AWS cannot be reached at http://127.0.0.1:9" in found.err
    assert "hint: Check endpoint_url" in found.err


def test_the_environment_can_come_from_the_variable(
    llmops: Any, memory: MemoryCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_ENV", "nope")
    assert "has no environment 'nope'" in llmops("status").err
