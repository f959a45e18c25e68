"""The entry: every command is listed, nothing heavy is imported for it, `python -m` works."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from llmops_cli.main import COMMANDS


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_every_command_and_the_exit_codes(llmops: Any) -> None:
    found = llmops("--help")
    assert found.code == 0
    assert all(name in found.out and entry.line in found.out for name, entry in COMMANDS.items())
    assert "Exit codes: 0 done" in found.out


@pytest.mark.parametrize("arguments", [["--help"], ["relaese"]])
def test_the_overview_and_a_mistyped_word_import_no_sdk(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from llmops_cli.main import app\n"
        f"try: app({arguments!r}, prog_name='llmops')\n"
        "except SystemExit: pass\n"
        "heavy = {'boto3', 'botocore', 'moto', 'aws_cdk', 'llmops_localcloud'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("command", ["release", "status", "promote", "rollback", "history"])
def test_every_command_explains_itself_and_has_env_and_json(llmops: Any, command: str) -> None:
    found = llmops(command, "--help")
    assert found.code == 0
    assert "--env" in found.out and "--json" in found.out


def test_python_m_llmops_cli_is_the_same_command() -> None:
    found = python("-m", "llmops_cli", "--help")
    assert found.returncode == 0
    assert "Usage: llmops" in found.stdout


def test_no_command_at_all_shows_the_help_and_exits_2(llmops: Any) -> None:
    found = llmops()
    assert found.code == 2
    assert "Usage: llmops" in found.out + found.err
