"""The evidence of a rollout: put together from what is stored, written here and to the bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmops_runbooks import evidence
from llmops_runbooks.ports import Cloud, RevisionView
from llmops_runbooks.serving import UNKNOWN, release_of_revision
from llmops_runbooks.watch import Look

TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}


def write_evidence(
    cloud: Cloud, look: Look, *, folder: Path, journal: Sequence[Mapping[str, Any]]
) -> Path:
    """Writes `<folder>/<rollout>/evidence.{json,html}` and both to the bucket; the page's path.

    A command that saw nothing of the rollout keeps what an earlier one had seen.
    """
    found = gather(cloud, look, journal=journal)
    page = evidence.write(found, folder / look.deployment.id)
    for suffix, content_type in TYPES.items():
        content = page.with_suffix(suffix).read_bytes()
        cloud.artifacts.put(_key(look.deployment.id, suffix), content, content_type)
    return page


def gather(
    cloud: Cloud, look: Look, *, journal: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The evidence as far as it is known now; nothing is written."""
    deployment = look.deployment
    seen = journal or (stored(cloud, deployment.id) or {}).get("journal", ())
    return evidence.assemble(
        deployment,
        record=look.record,
        decision=look.decision,
        journal=seen,
        service=cloud.coordinates.service_name,
        environment=cloud.coordinates.environment,
        releases={
            "baseline": _release(cloud, deployment.source),
            "canary": _release(cloud, deployment.target),
        },
    )


def stored(cloud: Cloud, rollout: str) -> dict[str, Any] | None:
    """The evidence that was written of a rollout (deployment id), or None."""
    content = cloud.artifacts.get(_key(rollout, ".json"))
    found: dict[str, Any] | None = json.loads(content) if content else None
    return found if found and found.get("schema") == evidence.SCHEMA else None


def _key(rollout: str, suffix: str) -> str:
    return f"rollouts/{rollout}/evidence{suffix}"


def _release(cloud: Cloud, revision: RevisionView | None) -> str | None:
    found = release_of_revision(cloud, revision.arn) if revision else UNKNOWN
    return None if found == UNKNOWN else found
