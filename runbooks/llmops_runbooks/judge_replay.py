"""Replays a rollout's record from a file: no cloud, no project, only the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_judge.policy import Policy, PolicyError
from llmops_judge.replay import Replayed, ReplayError, replay
from llmops_runbooks import judge_policy
from llmops_runbooks.errors import ExitCode, UsageError


@dataclass(frozen=True)
class Report:
    """A replayed rollout. other_policy: the file of another policy, None: under its own."""

    rollout: str
    canary: str
    other_policy: str | None
    calls: tuple[Replayed, ...]

    @property
    def reproduced(self) -> bool:
        """Whether every verdict came out as it was recorded."""
        return all(call.same for call in self.calls)

    @property
    def exit_code(self) -> ExitCode:
        asked = self.other_policy is not None
        return ExitCode.DONE if asked or self.reproduced else ExitCode.FAILED

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "rollout": self.rollout,
            "canary": self.canary,
            "other_policy": self.other_policy,
            "reproduced": self.reproduced,
            "calls": [call.to_json() for call in self.calls],
        }


def replay_file(file: Path, policy: Path | None = None) -> Report:
    """The verdicts of `evidence.json` or `gate.json` worked out again.

    policy: a file like judge.toml; the rollout is judged by it instead of by its own.
    Raises UsageError for a file that is no record of a judged rollout.
    """
    record = _record(file)
    other = _policy(policy) if policy else None
    try:
        calls = replay(record, other)
    except ReplayError as error:
        raise UsageError(f"{file.name} cannot be replayed: {error}.") from error
    except (PolicyError, LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file.name} cannot be replayed: it is not as a gate writes it ({error!r})."
        ) from error
    release = (record.get("canary") or {}).get("release") or "unknown"
    return Report(_rollout(record), release, str(policy) if policy else None, calls)


def _record(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file.name} is no record of a rollout: it holds no JSON object.")
    return found


def _rollout(record: Mapping[str, Any]) -> str:
    """The gate's record says the ARN, evidence a table about the deployment."""
    found = record.get("rollout") or ""
    if isinstance(found, Mapping):
        found = found.get("id") or found.get("arn") or ""
    return str(found)


def _policy(file: Path) -> Policy:
    return judge_policy.policy_of(judge_policy.one_file(file))
