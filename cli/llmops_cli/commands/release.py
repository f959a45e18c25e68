"""`llmops release VERSION`"""

from __future__ import annotations

from typing import Annotated

import typer

from llmops_cli import options
from llmops_cli.outcomes import end
from llmops_cli.render import Screen

Version = Annotated[str, typer.Argument(help="A version of releases/, or a release id.")]
NoWait = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait",
        help="Watch to the end, or leave once only the gate or a person is waited for (exit 3).",
    ),
]


def release(
    version: Version,
    env: options.Env = None,
    wait: NoWait = True,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Release a version: publish it if needed, start the canary, watch it to its true end.

    The rollout is ECS's: Ctrl-C leaves it running. A release that already serves is done (exit 0).
    """
    settings = options.environment(env)
    from llmops_runbooks.aws.connect import connect
    from llmops_runbooks.release import Job, plan
    from llmops_runbooks.release import release as run

    with Screen(in_json=json) as screen:
        job = Job(
            version=version,
            cloud=connect(settings),
            settings=settings,
            project=options.project(),
            folder=options.evidence_folder(),
            tell=screen.tell,
            hold=wait,
        )
        found = plan(job) if dry_run else run(job)
    end(screen, found)
