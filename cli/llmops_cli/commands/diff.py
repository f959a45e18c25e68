"""`llmops diff`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmops_cli import diff_tables, options
from llmops_cli.render import Screen
from llmops_runbooks import assembly
from llmops_runbooks import diff as differences
from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.settings import Environment

Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FOLDER",
        help="Another cloud assembly of the environment; default: what is deployed.",
    ),
]
Markdown = Annotated[
    bool, typer.Option("--markdown", help="Markdown on stdout, for a comment on a pull request.")
]
AsExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if anything differs.")]
DEPLOYED = "what is deployed"


def diff(
    env: options.Env = None,
    against: Against = None,
    markdown: Markdown = False,
    exit_code: AsExitCode = False,
    json: options.Json = False,
) -> None:
    """What the templates would change: resources, and what to look at first.

    Data that would be replaced or lost, permissions and network rules come first. The exit code
    is 0 whatever differs, unless --exit-code is given. With --against nothing is asked of AWS.
    """
    if markdown and json:
        raise UsageError("--markdown and --json are two forms of one answer: give one of them.")
    settings = options.environment(env)
    from llmops_cli.commands.deploy import synthesize

    screen = Screen(in_json=json or markdown)
    folder = synthesize(settings, options.project(), screen)
    found = _compare(settings, folder, against)
    if markdown:
        typer.echo("\n".join(diff_tables.markdown(found)))
    else:
        screen.finish(found.json(), list(diff_tables.text(found)))
    if exit_code and found.stacks:
        raise typer.Exit(ExitCode.FAILED)


def _compare(settings: Environment, folder: Path, against: Path | None) -> differences.Difference:
    stacks = assembly.read(folder, account=settings.account, region=settings.region)
    made = differences.templates(folder)
    after = {stack.name: made[stack.name] for stack in stacks}
    if against is None:
        from llmops_runbooks.aws.templates import DeployedTemplates

        deployed = DeployedTemplates(settings)
        return differences.compare(settings.name, DEPLOYED, deployed.template, after)
    before = differences.templates(against)
    gone = [name for name in before if name not in after]
    return differences.compare(settings.name, str(against), before.get, after, gone)
