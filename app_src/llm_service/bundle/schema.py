"""The published JSON Schema of a feature's file, made from the types that decode it.

    python -m llm_service.bundle.schema        writes feature.schema.json beside this file

What a schema cannot say (weights that sum to 1, a prompt that the bundle must hold) is for
`llmops bundle lint`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from llm_service.bundle.feature import Feature

FILE = Path(__file__).with_name("feature.schema.json")
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    (found,), parts = msgspec.json.schema_components([Feature], ref_template="#/$defs/{name}")
    return {"$schema": DRAFT, **parts.pop(found["$ref"].rpartition("/")[2]), "$defs": parts}


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
