"""The workflows: few permissions, pinned versions, commands that exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from llmops_cli.main import COMMANDS
from llmops_constructs.pipeline import UV
from llmops_runbooks import settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
ALLOWED = {
    ("check", "check"): {"contents": "read"},
    ("deploy", "deploy"): {"contents": "read", "id-token": "write"},
    ("main", "check"): {"contents": "read"},
    ("main", "staging"): {"contents": "read", "id-token": "write"},
    ("main", "production"): {"contents": "read", "id-token": "write"},
    ("production", "production"): {"contents": "read", "id-token": "write"},
    ("pull-request", "check"): {"contents": "read"},
    ("pull-request", "diff"): {"contents": "read"},
    ("pull-request", "comment"): {"pull-requests": "write"},
}
"""Workflow and job: what its token may do. Only the token of a deployment is worth a role."""


def text(name: str) -> str:
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(text(name))
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in NAMES:
        for job, body in workflow(name)["jobs"].items():
            yield name, job, body


def steps(kind: str) -> Iterator[dict[str, Any]]:
    """The steps of all workflows that run something, or use something."""
    for _, _, body in jobs():
        yield from (step for step in body.get("steps", ()) if kind in step)


def scripts() -> Iterator[str]:
    yield from (step["run"] for step in steps("run"))
    yield (ROOT / ".ci" / "diff").read_text(encoding="utf-8")


def commands() -> Iterator[list[str]]:
    """The words of each `llmops ...` that a script runs."""
    for script in scripts():
        for line in script.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:uv run\b.*? |^\s*)llmops (.+?)(?: >| \|\||$)", line)
            if found:
                yield shlex.split(found[1])


def test_no_token_may_do_more_than_its_job_needs() -> None:
    assert [name for name in NAMES if workflow(name)["permissions"] != {}] == []
    assert {(name, job): body.get("permissions") for name, job, body in jobs()} == ALLOWED


def test_no_secret_is_used_and_no_checkout_leaves_its_token_behind() -> None:
    assert [name for name in NAMES if "secrets." in text(name)] == []
    checkouts = [step for step in steps("uses") if "actions/checkout" in step["uses"]]
    assert len(checkouts) == 4
    assert {step["with"]["persist-credentials"] for step in checkouts} == {False}


def test_what_others_wrote_is_pinned_to_a_commit() -> None:
    for name in NAMES:
        for line in text(name).splitlines():
            if "uses:" in line and "uses: ./" not in line:
                assert PINNED.search(line), f"{name}: {line.strip()}"


def test_uv_is_the_one_of_the_pipeline() -> None:
    versions = {step["with"]["version"] for step in steps("uses") if "setup-uv" in step["uses"]}
    assert versions == {UV}


def test_every_job_ends() -> None:
    missing = [
        (name, job)
        for name, job, body in jobs()
        if "runs-on" in body and "timeout-minutes" not in body
    ]
    assert missing == []


def test_environments_are_those_of_the_settings_and_one_deployment_runs_at_a_time() -> None:
    known = settings.names(ROOT / "llmops.toml")
    called = [
        body["with"]["environment"]
        for _, _, body in jobs()
        if "environment" in body.get("with", {})
    ]
    assert sorted(called) == ["prod", "staging"]
    assert set(called) <= set(known)
    deploy = workflow("deploy")["jobs"]["deploy"]
    assert deploy["environment"] == "${{ inputs.environment }}"
    assert deploy["concurrency"] == {
        "group": "deploy-${{ inputs.environment }}",
        "cancel-in-progress": False,
    }


def test_the_role_is_the_one_that_the_delivery_stack_makes() -> None:
    assert "role/{where.prefix}-deploy" in text("deploy")
    (credentials,) = [step for step in steps("uses") if "configure-aws" in step["uses"]]
    assert credentials["with"]["role-duration-seconds"] == 4 * 3600
    assert workflow("deploy")["jobs"]["deploy"]["timeout-minutes"] * 60 < 4 * 3600


def test_evidence_is_kept_however_a_release_ends() -> None:
    (evidence,) = [step for step in steps("uses") if "evidence" in str(step.get("with"))]
    assert evidence["if"] == "always()"
    assert evidence["with"]["path"] == ".llmops/evidence"
    assert evidence["with"]["include-hidden-files"] is True


def test_production_waits_for_staging_and_a_commit_is_checked_first() -> None:
    chain = {job: body.get("needs") for job, body in workflow("main")["jobs"].items()}
    assert chain == {"check": None, "staging": "check", "production": "staging"}


def test_input_of_a_person_is_never_part_of_a_script() -> None:
    assert [step["run"] for step in steps("run") if "${{" in step["run"]] == []


def test_the_commands_are_found() -> None:
    assert [words[0] for words in commands()] == ["deploy", "release", "diff"]


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: words[0])
def test_every_command_and_option_exists(words: list[str]) -> None:
    entry = COMMANDS[words[0]]
    function = getattr(
        importlib.import_module(f"llmops_cli.commands.{entry.module}"), entry.function
    )
    single = typer.Typer()
    single.command()(function)
    known = {option for each in typer.main.get_command(single).params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_exit_codes_of_a_release_are_told_apart() -> None:
    (release,) = [step["run"] for step in steps("run") if "llmops release" in step["run"]]
    assert '3) echo "::error::$version waits for a person' in release
    assert release.rstrip().endswith('exit "$code"')


def script_of(job: str, workflow_name: str, containing: str) -> str:
    found = [
        step["run"]
        for step in workflow(workflow_name)["jobs"][job]["steps"]
        if containing in step.get("run", "")
    ]
    (script,) = found
    return str(script)


def run(script: str, folder: Path, tools: dict[str, str], **variables: str) -> tuple[int, str]:
    """Runs a step as GitHub does, with stand-ins for its tools; exit code and output."""
    for name, body in tools.items():
        tool = folder / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/usr/bin/env bash\n{body}\n")
        tool.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={"PATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, ""), (1, "rolled back"), (2, "exit code 2"), (3, "waits for a person"), (4, "refused")],
)
def test_a_deployment_ends_as_its_release_does(tmp_path: Path, code: int, word: str) -> None:
    for version in ("1.9.0", "1.10.0"):
        (tmp_path / "releases" / version).mkdir(parents=True)
    script = script_of("deploy", "deploy", "llmops release")
    tools = {"uv": f'echo "{{}}"; test "$4" = 1.10.0 || exit 99; exit {code}'}
    ended, said = run(script, tmp_path, tools, LLMOPS_ENV="staging", VERSION="")
    assert ended == code
    assert ("::error::" in said and word in said) if code else "::error::" not in said
    assert f"1.10.0 to staging: exit code {code}" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize(
    ("known", "call"),
    [("", "POST comments"), ("7", "PATCH comment/7"), ("7\n9", "PATCH comment/7")],
)
def test_there_is_one_comment_that_is_kept_up_to_date(
    tmp_path: Path, known: str, call: str
) -> None:
    (tmp_path / "diff.md").write_text("### prod\n" + "x" * 70000)
    script = script_of("comment", "pull-request", "gh api")
    tools = {"gh": f'case "$*" in *--jq*) printf \'{known}\' ;; *) echo "$4 $5" >> calls ;; esac'}
    ended, said = run(script, tmp_path, tools, COMMENTS="comments", COMMENT="comment", RUN="url")
    assert (ended, said) == (0, "")
    assert (tmp_path / "calls").read_text().strip() == call
    comment = (tmp_path / "comment.md").read_text()
    assert comment.startswith("<!-- llmops diff -->\n### prod\n")
    assert len(comment) < 65536
    assert comment.endswith("[All of it](url)\n")
