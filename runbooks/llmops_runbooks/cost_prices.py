"""Prices and assumptions as data, with their date."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from llmops_runbooks.errors import LlmopsError

FILE = "cost_prices.toml"


@dataclass(frozen=True)
class Prices:
    """US dollars by what is bought; `assumed` is how much of it, where no price page can say."""

    region: str
    date: str
    hours: float
    """Hours of a month, as AWS's calculator counts it."""
    usd: Mapping[str, float]
    sources: Mapping[str, str]
    assumed: Mapping[str, float]

    def of(self, what: str) -> float:
        """The price of `what`. Raises LlmopsError, naming it, if the table has none."""
        if what not in self.usd:
            raise LlmopsError(
                f"{FILE} has no price for {what}.", hint="Add it, with the page it is from."
            )
        return self.usd[what]


def load() -> Prices:
    """The table that comes with this package."""
    table = tomllib.loads(files("llmops_runbooks").joinpath(FILE).read_text())
    return Prices(
        region=table["region"],
        date=table["date"],
        hours=float(table["hours_per_month"]),
        usd={what: float(price) for what, (price, _) in table["usd"].items()},
        sources={what: page for what, (_, page) in table["usd"].items()},
        assumed={what: float(much) for what, much in table["assumed"].items()},
    )
