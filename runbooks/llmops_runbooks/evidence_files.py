"""The evidence of a rollout: put together from what is stored, written here and to the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmops_runbooks.ports import Cloud
from llmops_runbooks.watch import Look


def write_evidence(cloud: Cloud, look: Look, *, folder: Path, journal: Sequence[Any]) -> Path:
    return folder / f"{look.deployment.id}.html"
