"""What tokens cost. `prices.toml` is the table, with its date and its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "prices.toml"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens, read and written."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What so many tokens cost, in micro-dollars."""
        spent = self.prompt * prompt_tokens + self.completion * completion_tokens
        return round(spent / MILLION, 4)


def price(model: str) -> Price | None:
    """The table's price of `model`; None if it is not in it."""
    row = _table().get(model)
    return Price(row["prompt"], row["completion"]) if row else None


@cache
def _table() -> dict[str, Any]:
    models: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["models"]
    return models
