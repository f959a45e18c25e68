"""The published schema is current, describes every field, and agrees with the decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from llm_service.bundle import BundleError
from llm_service.bundle.bundle import decode
from llm_service.bundle.schema import FILE, schema, text
from llm_service.bundle.source import PACKAGED

VALID: dict[str, Any] = {"name": "answer", "prompt": "answer@1.0.0", "models": ["embedded"]}


def test_the_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "python -m llm_service.bundle.schema"


def properties(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from part.get("properties", {}).items()
    for each in part.get("$defs", {}).values():
        yield from properties(each)


def test_every_field_is_described() -> None:
    assert [name for name, each in properties(schema()) if not each.get("description")] == []


@pytest.mark.parametrize("path", sorted(PACKAGED.glob("features/*.json")), ids=lambda p: p.stem)
def test_the_packaged_features_are_valid(path: Any) -> None:
    jsonschema.validate(json.loads(path.read_text()), schema())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"passages": 0},
        {"models": ["x"]},
        {"unknown": 1},
        {"temperature": 1.5},
        {"temperature": -1},
        {"cache": {"mode": "semantic", "threshold": 0.9}},
        {"cache": {"mode": "semantic", "threshold": 2}},
        {"hedge_after_ms": None},
        {"experiment": {"name": "x", "variants": []}},
        {"timeout_seconds": 0},
    ],
)
def test_the_schema_and_the_decoder_agree(given: dict[str, Any]) -> None:
    value = {**VALID, **given}
    try:
        decode("features/answer.json", json.dumps(value))
        decoded = True
    except BundleError:
        decoded = False
    jsonschema.Draft202012Validator.check_schema(schema())
    assert jsonschema.Draft202012Validator(schema()).is_valid(value) is decoded
