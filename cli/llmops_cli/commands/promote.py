"""`llmops promote`"""

from __future__ import annotations

from llmops_cli import options
from llmops_cli.outcomes import end
from llmops_cli.render import Screen


def promote(
    *,
    env: options.Env = None,
    by: options.By = None,
    reason: options.Reason = "",
    wait: options.Wait = True,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Give the canary the rest of the traffic: continue the pause, or overrule the gate."""
    settings = options.environment(env)
    from llmops_runbooks.attach import attach, left, planned
    from llmops_runbooks.aws.connect import connect
    from llmops_runbooks.promote import Word, intention
    from llmops_runbooks.promote import promote as say

    cloud, folder = connect(settings), options.evidence_folder()
    with Screen(in_json=json) as screen:
        if dry_run:
            found, meaning = intention(cloud)
            result = planned(cloud, found, meaning)
        else:
            found = say(cloud, Word(options.operator(by), reason), tell=screen.tell)
            result = (
                attach(cloud, found, settings, folder=folder, tell=screen.tell)
                if wait
                else left(cloud, found)
            )
    end(screen, result)
