"""`llmops secrets`: values come in by standard input alone, and never come out."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from llmops_cli.main import app
from llmops_runbooks.aws import secrets as aws
from llmops_runbooks.memory import COORDINATES
from llmops_runbooks.memory.secrets import MemoryFleet, MemoryVault
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryClock
from llmops_runbooks.secrets_port import Secrets

OPENAI = "arn:openai"
LANGFUSE = "arn:langfuse"
KEY = "sk-brought-by-a-person"


@pytest.fixture
def vault(project: Any, monkeypatch: pytest.MonkeyPatch) -> MemoryVault:
    clock = MemoryClock()
    vault = MemoryVault(clock)
    vault.add(COORDINATES.token_secret_arn, "{}", every_days=30)
    vault.add(COORDINATES.database_secret_arn, "{}", every_days=30)
    vault.add(OPENAI, json.dumps({"key": ""}))
    vault.add(LANGFUSE, json.dumps({"public_key": "", "secret_key": ""}))
    where = COORDINATES.model_copy(update={"secrets": {"openai": OPENAI, "langfuse": LANGFUSE}})
    cloud = Secrets(where, vault, MemoryFleet(), MemoryArtifacts(), clock)
    monkeypatch.setattr(aws, "connect", lambda _: cloud)
    return vault


def run(*words: str, given: str = "") -> Any:
    return CliRunner().invoke(app, ["secrets", *words], input=given, prog_name="llmops")


def test_a_key_comes_from_standard_input_and_is_not_repeated(vault: MemoryVault) -> None:
    found = run("rotate", "openai", "--no-check", given=f"{KEY}\n")
    assert found.exit_code == 0
    assert vault.value(OPENAI) == json.dumps({"key": KEY})
    assert KEY not in found.output and "openai has a new value: version version-1" in found.stdout


def test_the_json_is_one_object(vault: MemoryVault) -> None:
    found = run("rotate", "openai", "--no-check", "--json", given=KEY)
    told = json.loads(found.stdout)
    assert (told["secret"], told["outcome"], told["version"]) == ("openai", "rotated", "version-1")
    assert told["journal"].startswith("s3://") and KEY not in found.stdout


def test_several_fields_are_a_json_object(vault: MemoryVault) -> None:
    keys = {"public_key": "pk", "secret_key": "sk"}
    assert run("rotate", "langfuse", "--no-check", given=json.dumps(keys)).exit_code == 0
    assert json.loads(vault.value(LANGFUSE) or "") == keys
    found = run("rotate", "langfuse", "--no-check", given="words")
    assert found.exit_code == 2 and "pipe in a JSON object" in found.stderr


def test_on_a_terminal_the_key_is_asked_for_without_showing_it(
    vault: MemoryVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def prompt(_: str, **options: Any) -> str:
        asked.append(options)
        return KEY

    monkeypatch.setattr("llmops_cli.commands.secrets.typer.prompt", prompt)
    monkeypatch.setattr("llmops_cli.commands.secrets.sys.stdin", Terminal())
    from llmops_cli.commands import secrets

    assert secrets._values("openai", ("key",)) == {"key": KEY}
    assert asked == [{"hide_input": True, "err": True}]


def test_a_key_that_does_not_work_exits_1_and_changes_nothing(vault: MemoryVault) -> None:
    url = "http://127.0.0.1:9/v1/models"
    found = run("rotate", "openai", "--check-url", url, given=KEY)
    assert found.exit_code == 1 and "Nothing was changed" in found.stderr
    assert vault.value(OPENAI) == json.dumps({"key": ""}) and KEY not in found.output


def test_there_is_no_way_to_give_a_key_as_an_argument(vault: MemoryVault) -> None:
    assert run("rotate", "openai", KEY).exit_code == 2


def test_a_dry_run_asks_for_nothing(vault: MemoryVault) -> None:
    found = run("rotate", "openai", "--dry-run")
    assert found.exit_code == 0 and "- try the new key at the provider" in found.stdout
    assert len(vault.views[OPENAI].versions) == 1


def test_a_secret_there_is_not_exits_2(vault: MemoryVault) -> None:
    found = run("rotate", "bedrock")
    assert found.exit_code == 2 and "It has database, langfuse, openai, tokens" in found.stderr


def test_the_status_is_a_line_each(vault: MemoryVault) -> None:
    found = run("status")
    assert found.exit_code == 0
    assert "tokens    0.0 days old · rotates every 30 days · next in 30.0 days" in found.stdout
    assert "openai    0.0 days old · by hand" in found.stdout
    told = json.loads(run("status", "--json").stdout)
    assert {each["name"] for each in told["secrets"]} == {
        "tokens",
        "database",
        "openai",
        "langfuse",
    }


def test_what_is_unfinished_exits_1(vault: MemoryVault) -> None:
    vault.seconds = None
    vault.rotate(COORDINATES.token_secret_arn)
    found = run("status")
    assert found.exit_code == 1 and "UNFINISHED: version version-1" in found.stdout
