"""What tokens cost. `prices.toml` is the table, with its date and its sources.

Models are looked up as they are called: `gpt-4o-mini`, `openai/gpt-4o-mini`, with a snapshot's date
(`gpt-4o-mini-2024-07-18`, `claude-sonnet-4-5-20250929`), with Bedrock's version (`-v1:0`) and with
its inference profiles' region (`us.`, `eu.`, `global.` ...).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "prices.toml"
MILLION = 1_000_000
SNAPSHOT = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)?(-v\d+(:\d+)?)?$")
"""What a name may carry behind the model: a date, Bedrock's version."""
PROFILE = re.compile(r"(us|us-gov|eu|apac|jp|au|ca|sa|global)\.")
"""What Bedrock's inference profiles carry in front of it.
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens, read, written, and read from the provider's own cache
    (None: as if read)."""

    prompt: float
    completion: float
    cached: float | None = None

    def of(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """What so many tokens cost, in micro-dollars; `cached_tokens` are a part of the prompt."""
        spent = self.prompt * prompt_tokens + self.completion * completion_tokens
        if cached_tokens and self.cached is not None:
            spent -= (self.prompt - self.cached) * cached_tokens
        return round(spent / MILLION, 4)


@lru_cache(maxsize=1024)
def price(model: str) -> Price | None:
    """The table's price of `model`, with or without its provider in front; None if it is not in
    it."""
    for name in (model, model.partition("/")[2]):
        found = _listed(name) or _listed(SNAPSHOT.sub("", name))
        if found:
            return found
    return None


def _listed(name: str) -> Price | None:
    """The price of exactly `name`, or of the model behind an inference profile."""
    row = _table().get(name)
    if row:
        return _price(row)
    profile = PROFILE.match(name)
    row = _table().get(name[profile.end() :]) if profile else None
    if profile is None or row is None:
        return None
    factor = 1.0 if profile[1] == "global" else row.get("regional", 1.0)
    listed = _price(row)
    cached = None if listed.cached is None else listed.cached * factor
    return replace(
        listed, prompt=listed.prompt * factor, completion=listed.completion * factor, cached=cached
    )


def _price(row: dict[str, Any]) -> Price:
    return Price(row["prompt"], row["completion"], row.get("cached"))


@cache
def _table() -> dict[str, Any]:
    models: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["models"]
    return models
