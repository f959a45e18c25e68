"""Evidence on disk: the JSON, the page drawn from it, and the schema both agree on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from llmops_runbooks.evidence import page
from llmops_runbooks.evidence.sentence import name


def schema() -> dict[str, Any]:
    """The JSON schema of evidence."""
    text = resources.files("llmops_runbooks.evidence").joinpath("schema.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def write(evidence: Mapping[str, Any], folder: Path) -> Path:
    """Write evidence.json and evidence.html into `folder` (made if missing); the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evidence, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (folder / "evidence.json").write_text(text, "utf-8")
    path = folder / "evidence.html"
    path.write_text(page.render([evidence], title=f"Rollout of {name(evidence)}"), "utf-8")
    return path
