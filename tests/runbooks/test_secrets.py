"""Secrets rotate, and whatever goes wrong leaves the old value in use."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from llmops_runbooks.errors import CloudError, ExitCode, RolloutFailed, UsageError
from llmops_runbooks.memory import COORDINATES
from llmops_runbooks.memory.secrets import MemoryFleet, MemoryVault
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryClock
from llmops_runbooks.narration import Event
from llmops_runbooks.provider_probe import address, tried
from llmops_runbooks.secrets_port import CURRENT, Holder, Secrets
from llmops_runbooks.secrets_rotate import Ending, Turn, fields, rotate
from llmops_runbooks.secrets_status import status

OPENAI = "arn:aws:secretsmanager:us-east-1:123456789012:secret:openai"
LANGFUSE = "arn:aws:secretsmanager:us-east-1:123456789012:secret:langfuse"
TOKENS = COORDINATES.token_secret_arn
OLD, NEW = "sk-old", "sk-new"


class Scene:
    """A service with tokens that rotate and keys that a person brings."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.vault = MemoryVault(self.clock)
        self.fleet = MemoryFleet({TOKENS: True, OPENAI: False})
        self.artifacts = MemoryArtifacts()
        self.events: list[Event] = []
        self.tried: list[tuple[str, str]] = []
        self.problem = ""
        self.vault.add(TOKENS, '{"current": "t", "previous": ""}', every_days=30)
        self.vault.add(COORDINATES.database_secret_arn, "{}", every_days=30)
        self.vault.add(OPENAI, json.dumps({"key": OLD}))
        self.vault.add(LANGFUSE, json.dumps({"public_key": "", "secret_key": ""}))
        self.cloud = Secrets(
            COORDINATES.model_copy(update={"secrets": {"openai": OPENAI, "langfuse": LANGFUSE}}),
            self.vault,
            self.fleet,
            self.artifacts,
            self.clock,
        )

    def turn(self, name: str, given: Mapping[str, str] | None = None, **more: Any) -> Turn:
        told = {"probe": self.probe, "tell": self.events.append, **more}
        return Turn(self.cloud, name, "ada", given, **told)

    def probe(self, name: str, key: str) -> str:
        self.tried.append((name, key))
        return self.problem

    @property
    def journal(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.artifacts.objects.values()]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_key_is_tried_stored_read_back_and_promoted(scene: Scene) -> None:
    found = rotate(scene.turn("openai", {"key": NEW}))
    assert scene.tried == [("openai", NEW)]
    assert scene.vault.value(OPENAI) == json.dumps({"key": NEW})
    assert (found.ending, found.before) == (Ending.ROTATED, "version-0")
    assert [event.step for event in scene.events] == ["try", "store", "promote"]


def test_no_value_is_told_written_or_shown(scene: Scene) -> None:
    turn = scene.turn("openai", {"key": NEW})
    found = rotate(turn)
    said = json.dumps([found.to_json(), scene.journal, [each.text for each in scene.events]])
    assert NEW not in said and OLD not in said and NEW not in repr(turn)


def test_the_journal_says_who_and_which_versions(scene: Scene) -> None:
    found = rotate(scene.turn("openai", {"key": NEW}))
    (entry,) = scene.journal
    assert (entry["by"], entry["secret"], entry["outcome"]) == ("ada", "openai", "rotated")
    assert (entry["previous_version"], entry["version"]) == ("version-0", found.version)
    assert found.journal.startswith("s3://artifacts/operations/secrets/")


@pytest.mark.parametrize("breaks", ["stage", "store", "promote"])
def test_what_goes_wrong_at_a_step_leaves_the_old_key(scene: Scene, breaks: str) -> None:
    scene.vault.breaks = breaks
    with pytest.raises((CloudError, RolloutFailed)):
        rotate(scene.turn("openai", {"key": NEW}))
    assert scene.vault.value(OPENAI) == json.dumps({"key": OLD})
    assert scene.journal[0]["outcome"] == "failed"
    scene.vault.breaks = ""
    assert rotate(scene.turn("openai", {"key": NEW})).ending is Ending.ROTATED


def test_a_key_that_the_provider_refuses_is_not_stored(scene: Scene) -> None:
    scene.problem = "it refuses it (401)."
    with pytest.raises(RolloutFailed, match=r"does not work: it refuses it \(401\)"):
        rotate(scene.turn("openai", {"key": NEW}))
    (version,) = scene.vault.views[OPENAI].versions
    assert version.labels == {CURRENT}


def test_without_a_place_to_try_a_key_that_is_said(scene: Scene) -> None:
    rotate(scene.turn("openai", {"key": NEW}, probe=None))
    assert "was not tried" in scene.events[0].text


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"key": ""}, "empty or has blanks"),
        ({"key": " sk"}, "empty or has blanks"),
        ({"key": OLD}, "has already"),
        ({"other": NEW}, "has the fields key"),
        (None, "empty or has blanks"),
    ],
)
def test_a_value_that_cannot_be_meant_changes_nothing(
    scene: Scene, given: Mapping[str, str] | None, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        rotate(scene.turn("openai", given))
    assert len(scene.vault.views[OPENAI].versions) == 1 and not scene.tried


def test_tasks_that_were_given_the_old_key_are_named(scene: Scene) -> None:
    started = scene.clock.now()
    scene.fleet.running = [Holder("a", started), Holder("b", None)]
    found = rotate(scene.turn("openai", {"key": NEW}))
    assert (found.ending, found.holders) == (Ending.HELD, ("a", "b"))
    assert found.exit_code is ExitCode.UNDECIDED


def test_a_task_that_started_since_holds_the_new_key(scene: Scene) -> None:
    scene.fleet.running = [Holder("new", scene.clock.now() + timedelta(minutes=1))]
    assert rotate(scene.turn("openai", {"key": NEW})).ending is Ending.ROTATED


def test_tokens_are_made_by_their_function_and_waited_for(scene: Scene) -> None:
    scene.fleet.answers = ["version-1"]
    found = rotate(scene.turn("tokens"))
    assert (found.ending, found.version) == (Ending.ROTATED, "version-1")
    assert fields(scene.cloud, "tokens") == ()


def test_a_service_that_still_holds_the_old_tokens_is_waited_for(scene: Scene) -> None:
    scene.fleet.answers = [*["version-0", "version-1"] * 20, "version-1"]
    assert rotate(scene.turn("tokens")).ending is Ending.ROTATED


def test_a_task_that_keeps_the_old_tokens_is_not_called_done(scene: Scene) -> None:
    scene.fleet.answers = ["version-0"]
    found = rotate(scene.turn("tokens"))
    assert (found.ending, found.doubt) == (Ending.HELD, "a task still holds the old version")


def test_a_service_that_cannot_be_asked_is_said(scene: Scene) -> None:
    found = rotate(scene.turn("tokens"))
    assert found.ending is Ending.HELD and "cannot be reached" in found.doubt


def test_a_rotation_that_does_not_end_leaves_the_old_tokens(scene: Scene) -> None:
    scene.vault.seconds = None
    with pytest.raises(RolloutFailed, match="old value is still current") as caught:
        rotate(scene.turn("tokens"))
    assert "log of" in caught.value.hint
    current = scene.vault.views[TOKENS].labelled(CURRENT)
    assert current is not None and current.id == "version-0"


def test_a_rotation_that_met_the_trial_of_its_schedule_is_started_anew(scene: Scene) -> None:
    scene.fleet.answers = ["version-2"]
    scene.vault.trial = True
    found = rotate(scene.turn("tokens"))
    assert (found.ending, found.version) == (Ending.ROTATED, "version-2")


def test_a_dry_run_says_the_steps_and_takes_none(scene: Scene) -> None:
    for name, first in (("tokens", "RotateSecret"), ("openai", "try the new key")):
        found = rotate(scene.turn(name), dry_run=True)
        assert found.ending is Ending.PLANNED and found.plan[0].startswith(first)
    assert not scene.journal and not scene.tried


def test_a_secret_of_several_fields_wants_all_of_them(scene: Scene) -> None:
    assert fields(scene.cloud, "langfuse") == ("public_key", "secret_key")
    with pytest.raises(UsageError, match="public_key, secret_key"):
        rotate(scene.turn("langfuse", {"public_key": "pk"}))
    rotate(scene.turn("langfuse", {"public_key": "pk", "secret_key": "sk"}))


def test_a_secret_there_is_not_is_answered_with_those_there_are(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no secret 'bedrock'") as caught:
        fields(scene.cloud, "bedrock")
    assert "database, langfuse, openai, tokens" in caught.value.hint


def test_the_status_tells_age_versions_and_what_comes_next(scene: Scene) -> None:
    scene.clock.wait(12 * 86_400)
    found = {each.name: each for each in status(scene.cloud).secrets}
    assert (found["tokens"].age_days, found["tokens"].next_days) == (12, 18)
    assert (found["tokens"].rotation, found["openai"].rotation) == ("every 30 days", "by hand")
    assert found["openai"].next_days is None and status(scene.cloud).sound


def test_a_rotation_that_is_late_or_unfinished_is_not_sound(scene: Scene) -> None:
    scene.vault.seconds = None
    scene.vault.rotate(TOKENS)
    (tokens, *_) = status(scene.cloud).secrets
    assert tokens.unfinished == "version-1" and not status(scene.cloud).sound
    scene.clock.wait(32 * 86_400)
    assert status(scene.cloud).secrets[1].overdue


def test_the_status_names_tasks_with_an_older_key(scene: Scene) -> None:
    scene.fleet.running = [Holder("old", scene.clock.now() - timedelta(hours=1))]
    found = {each.name: each for each in status(scene.cloud).secrets}
    assert found["openai"].holders == ("old",) and found["tokens"].holders == ()


class Provider(http.server.BaseHTTPRequestHandler):
    """Lists models to whoever has the right key; /away sends them elsewhere."""

    heard: list[tuple[str, str]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        key = self.headers.get("Authorization") or f"x {self.headers.get('x-api-key')}"
        self.heard.append((self.path, key))
        code = 302 if self.path == "/away" else 200 if key.endswith(NEW) else 401
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_provider_is_asked_for_its_models(provider: str) -> None:
    assert tried("openai", f"{provider}/v1/models", NEW) == ""
    assert tried("anthropic", f"{provider}/v1/models", NEW) == ""
    assert "refuses it (401)" in tried("openai", f"{provider}/v1/models", OLD)


def test_a_key_does_not_follow_a_redirect(provider: str) -> None:
    assert "answers 302" in tried("openai", f"{provider}/away", NEW)
    assert [path for path, _ in Provider.heard] == ["/away"]


def test_a_provider_that_is_away_is_said() -> None:
    assert "cannot be reached" in tried("openai", "http://127.0.0.1:9/v1/models", NEW)


def test_a_key_is_sent_over_tls_or_to_this_machine_only() -> None:
    assert address("openai", None) == "https://api.openai.com/v1/models"
    assert address("mine", None) is None
    assert address("mine", "http://localhost:1/v1/models")
    for url in ("http://example.com/v1/models", "ftp://localhost/x", "nowhere"):
        with pytest.raises(UsageError, match="https"):
            address("mine", url)
