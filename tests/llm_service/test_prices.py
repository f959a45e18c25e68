"""What models cost: the table is dated, sourced, and understood by the names that are called."""

from __future__ import annotations

import json
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llm_service.prices import TABLE, Price, price

DOCUMENT = tomllib.loads(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("called", "listed"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("anthropic/claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5"),
        ("bedrock/global.anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6"),
        ("bedrock/eu.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("embedded/handbook-extractive-1", "handbook-extractive-1"),
        ("mine/openai.gpt-oss-20b-1:0", "openai.gpt-oss-20b-1:0"),
    ],
)
def test_a_model_is_found_by_the_name_it_is_called_by(called: str, listed: str) -> None:
    row = DOCUMENT["models"][listed]
    assert price(called) == Price(row["prompt"], row["completion"], row.get("cached"))


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini-audio", "gpt-5-turbo", "gpt", "", "/", "claude", "openai/", "us.gpt-4o-x"]
)
def test_a_model_that_only_looks_like_one_has_no_price(name: str) -> None:
    assert price(name) is None


def test_a_regional_profile_of_bedrock_costs_what_the_region_costs() -> None:
    base = price("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0")
    regional = price("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert base and regional
    assert regional.prompt == pytest.approx(1.1 * base.prompt)
    assert regional.completion == pytest.approx(1.1 * base.completion)


def test_a_cost_is_in_micro_dollars_and_cached_tokens_are_part_of_the_prompt() -> None:
    known = Price(2_000_000, 8_000_000, 500_000)
    assert known.of(1_000, 100) == 2_800
    assert known.of(1_000, 100, 1_000) == 1_300
    assert Price(2_000_000, 8_000_000).of(1_000, 100, 1_000) == 2_800
    assert Price(150_000, 600_000).of(1, 1) == 0.75


def test_the_table_has_a_date_and_sources_and_sane_numbers() -> None:
    assert DOCUMENT["dated"].year >= 2026
    assert all(url.startswith("https://") for url in DOCUMENT["sources"].values())
    for name, row in DOCUMENT["models"].items():
        assert 0 < row.get("cached", 1) <= row["prompt"] <= row["completion"], name


@pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
def test_the_table_is_what_litellm_lists() -> None:
    spec = find_spec("litellm")
    assert spec and spec.origin
    path = Path(spec.origin).parent / "model_prices_and_context_window_backup.json"
    theirs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    compared = 0
    for name, row in theirs.items():
        ours = price(name) if row.get("litellm_provider") in ("openai", "anthropic") else None
        if ours and row.get("input_cost_per_token") and "/" not in name:
            compared += 1
            assert ours.prompt == pytest.approx(row["input_cost_per_token"] * 1e12), name
            assert ours.completion == pytest.approx(row["output_cost_per_token"] * 1e12), name
    assert compared >= 30
