"""app.py as the CDK CLI and people run it."""

import filecmp
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_container.py"


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with no Node on the PATH and none of the caller's overrides."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LLMOPS_", "CDK_", "JSII_"))
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=kept | {"PATH": "/nowhere"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [("-P", "app.py"), pytest.param(("app.py",), marks=pytest.mark.slow)]
)
def test_it_writes_the_same_templates_however_it_is_run(
    local: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    cli = '{"aws:cdk:enable-path-metadata": true, "aws:cdk:version-reporting": true}'
    done = run(*command, CDK_OUTDIR=str(tmp_path), CDK_CONTEXT_JSON=cli)
    assert done.returncode == 0, done.stderr
    names = sorted(file.name for file in local.folder.glob("*.template.json"))
    assert len(names) == 4
    _, different, missing = filecmp.cmpfiles(local.folder, tmp_path, names, shallow=False)
    assert (different, missing) == ([], [])


@pytest.mark.slow
def test_the_context_chooses_the_environment(tmp_path: Path) -> None:
    done = run("-P", "app.py", CDK_OUTDIR=str(tmp_path), CDK_CONTEXT_JSON='{"env": "prod"}')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "handbook-prod-service.template.json").exists()


def test_a_wrong_setting_is_one_sentence_and_exit_code_2() -> None:
    done = run("-P", "app.py", LLMOPS_ENV="moon")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "llmops.toml has no environment 'moon' "
        "(it has: dev, local, prod, serverless, small, staging)."
    )
    assert done.stdout == ""


def test_settings_that_contradict_aws_are_told_with_their_place() -> None:
    done = run("-P", "app.py", LLMOPS_ENV="local", LLMOPS_NETWORK__NAT_GATEWAYS="3")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "handbook-local-network/Network: nat_gateways is 3; it must be 0 to 2, the zones."
    )


def test_the_entry_and_the_example_stay_short() -> None:
    assert len((ROOT / "app.py").read_text().splitlines()) < 30
    assert len(EXAMPLE.read_text().splitlines()) < 40


@pytest.mark.slow
def test_another_teams_container_synthesizes_on_the_constructs_alone(tmp_path: Path) -> None:
    done = run(str(EXAMPLE), CDK_OUTDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "llmops_runbooks" not in EXAMPLE.read_text()
    assert (tmp_path / "answers-service.template.json").exists()
