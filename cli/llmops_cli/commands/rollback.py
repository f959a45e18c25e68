"""`llmops rollback`"""

from __future__ import annotations

from typing import Annotated

import typer

from llmops_cli import options
from llmops_cli.outcomes import end
from llmops_cli.render import Screen

To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="VERSION",
        help="When no rollout is under way: the release to go back to; default: the one before.",
    ),
]


def rollback(
    *,
    env: options.Env = None,
    to: To = None,
    by: options.By = None,
    reason: options.Reason = "",
    wait: options.Wait = True,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Go back to what served before.

    A rollout under way is ended by ECS (exit 0 once it is rolled back, for that was asked). With
    none under way, the release before is released at 100 % at once, without gate or alarms.
    """
    settings = options.environment(env)
    from llmops_runbooks.aws.connect import connect
    from llmops_runbooks.promote import Word
    from llmops_runbooks.release import Job
    from llmops_runbooks.rollback import rollback as run

    with Screen(in_json=json) as screen:
        job = Job(
            version=to or "",
            cloud=connect(settings),
            settings=settings,
            project=options.project(),
            folder=options.evidence_folder(),
            tell=screen.tell,
            hold=wait,
        )
        found = run(job, Word(options.operator(by), reason), dry_run=dry_run)
    end(screen, found)
