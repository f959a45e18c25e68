"""`llmops status`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import options
from llmops_cli.outcomes import end
from llmops_cli.render import Screen, rows_of

if TYPE_CHECKING:
    from llmops_runbooks.status import Status

Watch = Annotated[
    bool,
    typer.Option(
        "--watch", help="Stay with the rollout under way to its end, as `llmops release` does."
    ),
]


def status(env: options.Env = None, watch: Watch = False, json: options.Json = False) -> None:
    """What serves, the rollout under way, the alarms and the tasks.

    `--watch` comes back to a rollout that was left: it answers the pause before the canary,
    writes the evidence at the end, and exits by the outcome.
    """
    settings = options.environment(env)
    from llmops_runbooks.attach import attach
    from llmops_runbooks.aws.connect import connect
    from llmops_runbooks.serving import under_way
    from llmops_runbooks.status import status as look

    cloud = connect(settings)
    found = under_way(cloud) if watch else None
    if found is None:
        shown = look(cloud)
        Screen(in_json=json).finish(shown.to_json(), lines(shown))
        return
    with Screen(in_json=json) as screen:
        result = attach(cloud, found, settings, folder=options.evidence_folder(), tell=screen.tell)
    end(screen, result)


def lines(shown: Status) -> list[str]:
    """The look in text."""
    arms = " · ".join(f"{arm.release} {arm.percent:g} %" for arm in shown.serving)
    quiet = [name for name, state in shown.alarms.items() if state == "OK"]
    loud = [f"{name} {state}" for name, state in shown.alarms.items() if state != "OK"]
    alarms = " · ".join([f"{len(quiet)} OK", *loud])
    told = [
        f"serves    {arms}",
        f"tasks     {shown.tasks['running']} of {shown.tasks['desired']} run",
        f"alarms    {alarms}",
        f"url       {shown.service_url}",
    ]
    rollout = shown.rollout
    if rollout is None:
        return [*told, "rollout   none under way"]
    told.append(f"rollout   {rollout.release} ({rollout.rollout}, {rollout.status})")
    told.append(f"          {rollout.step}: {rollout.text}")
    return [*told, *rows_of(rollout.verdict), f"next      {shown.next}"]
