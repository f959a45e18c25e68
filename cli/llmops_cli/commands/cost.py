"""`llmops cost`"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import options
from llmops_cli.render import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_runbooks.cost import Estimate, Row

Requests = Annotated[int, typer.Option("--requests", min=0, help="Requests a month.")]
ActiveHours = Annotated[
    float, typer.Option("--active-hours", min=0, max=730, help="Hours a month with any request.")
]
DatabaseHours = Annotated[
    float | None,
    typer.Option(
        "--database-hours",
        min=0,
        max=730,
        help="Hours a month that a database which sleeps is awake. Default: the active hours.",
    ),
]


WIDTH = 96
"""Columns before the dollars."""


def cost(
    env: options.Env = None,
    requests: Requests = 0,
    active_hours: ActiveHours = 0,
    database_hours: DatabaseHours = None,
    json: options.Json = False,
) -> None:
    """Estimate what an environment costs a month, resource by resource, with the arithmetic.

    From its synthesized templates and a dated table of on-demand prices; model providers not
    included.
    """
    settings = options.environment(env)
    from llmops_cli.commands.deploy import synthesize
    from llmops_runbooks import assembly
    from llmops_runbooks import cost as costs
    from llmops_runbooks.cost_prices import load

    screen = Screen(in_json=json)
    folder = synthesize(settings, options.project(), screen)
    stacks = assembly.read(folder, account=settings.account, region=settings.region)
    awake = active_hours if database_hours is None else database_hours
    use = costs.Use(requests, active_hours, awake)
    found = costs.estimate(
        settings.name, settings.region, list(costs.resources(stacks)), load(), use
    )
    screen.finish(found.json(), list(lines(found)))


def lines(found: Estimate) -> Iterator[str]:
    """The estimate in text: what is alike is one line."""
    yield f"{found.environment}: prices of {found.region} on {found.prices_of}, US dollars"
    yield ""
    yield f"{'A month without a request':<{WIDTH}}{found.idle_usd:>10.2f}"
    yield from _table(found.idle, 2)
    yield ""
    yield f"{'1,000 requests, beside what the model provider charges':<{WIDTH}}" + (
        f"{found.per_thousand_usd:>10.4f}"
    )
    yield from _table(found.per_thousand, 4)
    if found.use.requests or found.used:
        yield ""
        yield f"{f'A month with {found.use.requests:,} requests':<{WIDTH}}{found.total_usd:>10.2f}"
        yield from _table(found.used, 2)
    if found.not_estimated:
        yield ""
        yield f"not estimated: {', '.join(found.not_estimated)}"


def _table(rows: Sequence[Row], places: int) -> Iterator[str]:
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        alike[row.what, row.arithmetic].append(row)
    for (what, arithmetic), group in sorted(
        alike.items(), key=lambda item: -sum(row.usd for row in item[1])
    ):
        times = f"{len(group)} × " if len(group) > 1 else ""
        total = sum(row.usd for row in group)
        yield f"  {what:<23} {times + arithmetic:<{WIDTH - 26}}{total:>10.{places}f}"
