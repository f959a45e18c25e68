"""Explain a rollout: its evidence, whether it ended, goes on, or ECS has forgotten it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_runbooks import evidence
from llmops_runbooks.errors import UsageError
from llmops_runbooks.evidence_files import gather, stored
from llmops_runbooks.history import look_at
from llmops_runbooks.ports import Cloud, Deployment
from llmops_runbooks.serving import release_of_revision

LATEST = "latest"
MOST = 100
"""Rollouts that are searched for a release: ECS keeps them for 90 days."""
NAMED = 5
"""Rollouts that are named to somebody who asked for one that is not there."""


@dataclass(frozen=True)
class Explanation:
    """The evidence of a rollout, and the file that `llmops judge replay` takes."""

    evidence: dict[str, Any]
    file: Path

    @property
    def replay(self) -> str | None:
        """The command that works the verdicts out again, if there are any."""
        return f"llmops judge replay {self.file}" if self.evidence["verdict"] else None

    @property
    def page(self) -> Path | None:
        """The page beside the file, if it is there."""
        found = self.file.with_suffix(".html")
        return found if found.is_file() else None

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "sentence": self.evidence["sentence"],
            "evidence": self.evidence,
            "file": str(self.file),
            "page": str(self.page) if self.page else None,
            "replay": self.replay,
        }


def explain(cloud: Cloud, rollout: str, *, folder: Path) -> Explanation:
    """The rollout with this id, ARN, release or version, or the `latest`.

    Its evidence and page are laid into `<folder>/<id>/`; nothing is written to the cloud. Raises
    UsageError, naming the rollouts that are known, if it is none of them.
    """
    found = _evidence(cloud, rollout)
    page = evidence.write(found, folder / found["deployment"]["id"])
    return Explanation(found, page.with_suffix(".json"))


def explain_file(file: Path) -> Explanation:
    """The rollout whose evidence is in a file; raises UsageError if it is none."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(found, dict) or "sentence" not in found or "deployment" not in found:
        raise UsageError(
            f"{file} is not the evidence of a rollout.",
            hint="Give an evidence.json, or a rollout: llmops explain latest.",
        )
    if found["schema"] != evidence.SCHEMA:
        raise UsageError(
            f"{file} is evidence of schema {found['schema']}, but this version reads "
            f"{evidence.SCHEMA}."
        )
    return Explanation(found, file)


def _evidence(cloud: Cloud, rollout: str) -> dict[str, Any]:
    """What was stored of a rollout that ended; of any other what is known now."""
    known = cloud.deployments.deployments(limit=MOST)
    deployment = _find(cloud, known, rollout)
    kept = stored(cloud, deployment.id if deployment else rollout.rpartition("/")[2])
    if kept and (deployment is None or not deployment.under_way):
        return kept
    if deployment is None:
        raise UsageError(
            f"No rollout {rollout} is known in environment {cloud.coordinates.environment}: "
            f"{_named(cloud, known)}.",
            hint="llmops history lists them all.",
        )
    return gather(cloud, look_at(cloud, deployment))


def _find(cloud: Cloud, known: list[Deployment], rollout: str) -> Deployment | None:
    if rollout == LATEST:
        return next(iter(known), None)
    by_name = (each for each in known if rollout in (each.arn, each.id))
    return next(by_name, None) or next(_of_release(cloud, known, rollout), None)


def _of_release(cloud: Cloud, known: list[Deployment], release: str) -> Iterator[Deployment]:
    """The rollouts of a release (id or version), newest first."""
    for each in known:
        found = release_of_revision(cloud, each.target.arn)
        if found == release or found.rpartition("-")[0] == release:
            yield each


def _named(cloud: Cloud, known: list[Deployment]) -> str:
    names = [
        f"{each.id} of {release_of_revision(cloud, each.target.arn)}" for each in known[:NAMED]
    ]
    return f"the newest are {', '.join(names)}" if names else "there was none yet"
