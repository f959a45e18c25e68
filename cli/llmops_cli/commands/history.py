"""`llmops history`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import options
from llmops_cli.outcomes import lines as outcome_lines
from llmops_cli.render import Screen

if TYPE_CHECKING:
    from llmops_runbooks.history import Past

Limit = Annotated[int, typer.Option("--limit", min=1, max=100, help="How many rollouts.")]
Evidence = Annotated[
    str | None,
    typer.Option(
        "--evidence", metavar="ROLLOUT", help="Write the evidence of this rollout (id or ARN)."
    ),
]


def history(
    env: options.Env = None,
    limit: Limit = 10,
    evidence: Evidence = None,
    json: options.Json = False,
) -> None:
    """The rollouts ECS remembers, newest first: release, outcome, who decided, how long."""
    settings = options.environment(env)
    from llmops_runbooks.aws.connect import connect
    from llmops_runbooks.history import evidence_of
    from llmops_runbooks.history import history as read

    cloud = connect(settings)
    screen = Screen(in_json=json)
    if evidence is not None:
        with screen:
            found = evidence_of(cloud, evidence, folder=options.evidence_folder(), tell=screen.tell)
        screen.finish(found.to_json(), outcome_lines(found))
        return
    rollouts = read(cloud, limit=limit)
    screen.finish({"rollouts": [each.to_json() for each in rollouts]}, lines(rollouts))


def lines(rollouts: list[Past]) -> list[str]:
    """A row per rollout."""
    heads = ("started (UTC)", "release", "outcome", "decided by", "took", "rollout")
    rows = [heads, *(_row(each) for each in rollouts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    told: list[str] = []
    for index, row in enumerate(rows):
        told.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        if index and rollouts[index - 1].verdict:
            told.append(f"    {rollouts[index - 1].verdict}")
    return [line.rstrip() for line in told]


def _row(past: Past) -> tuple[str, ...]:
    took = f"{past.seconds:.0f} s" if past.seconds is not None else "-"
    return (
        (past.started_at or "-")[:19].replace("T", " "),
        past.release,
        past.outcome,
        past.decided_by or "-",
        took,
        past.rollout,
    )
