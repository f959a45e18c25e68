"""`llmops secrets rotate`, `llmops secrets status`"""

from __future__ import annotations

import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import options
from llmops_cli.render import Screen
from llmops_runbooks.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from llmops_runbooks.secrets_rotate import Probe, Rotated
    from llmops_runbooks.secrets_status import SecretsStatus, SecretStatus

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="tokens, database, or a provider, e.g. openai.")
]
CheckUrl = Annotated[
    str | None,
    typer.Option(
        "--check-url",
        metavar="URL",
        help="Where a new key is tried; default: the list of models of openai or anthropic.",
    ),
]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Store a new key without trying it.")]

secrets = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Rotate a secret, and see how old each one is.",
)


@secrets.command()
def rotate(
    name: Name,
    *,
    env: options.Env = None,
    check_url: CheckUrl = None,
    no_check: NoCheck = False,
    by: options.By = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Give a secret a new value, and say which tasks still hold the old one.

    tokens and database make their value themselves. A provider's key is read from standard input,
    or asked for without showing it; it is tried at the provider before it is stored. Exit 0: the
    new value is in use everywhere; 3: it is current, and tasks hold the old one or could not be
    asked; 1: the old value stays, and works.
    """
    settings = options.environment(env)
    from llmops_runbooks import secrets_rotate as runbook
    from llmops_runbooks.aws import secrets as aws

    cloud = aws.connect(settings)
    wanted = runbook.fields(cloud, name)
    probe = _probe(name, check_url) if wanted and not no_check else None
    given = _values(name, wanted) if wanted and not dry_run else None
    with Screen(in_json=json) as screen:
        turn = runbook.Turn(cloud, name, options.operator(by), given, probe, screen.tell)
        found = runbook.rotate(turn, dry_run=dry_run)
    screen.finish(found.to_json(), _lines(found))
    raise typer.Exit(int(found.exit_code))


@secrets.command()
def status(*, env: options.Env = None, json: options.Json = False) -> None:
    """How old each secret is, when it changes next, and what is unfinished or late (exit 1)."""
    settings = options.environment(env)
    from llmops_runbooks.aws import secrets as aws
    from llmops_runbooks.secrets_status import status as look

    found = look(aws.connect(settings))
    Screen(in_json=json).finish(found.to_json(), _table(found))
    raise typer.Exit(int(ExitCode.DONE if found.sound else ExitCode.FAILED))


def _probe(name: str, url: str | None) -> Probe | None:
    from llmops_runbooks.provider_probe import address, tried

    where = address(name, url)
    if where is None:
        return None
    return lambda provider, key: tried(provider, where, key)


def _values(name: str, wanted: tuple[str, ...]) -> dict[str, str]:
    """What a person brings: the value, or a JSON object where the secret has several fields."""
    if sys.stdin.isatty():
        return {
            each: typer.prompt(f"{name} {each}".strip(), hide_input=True, err=True)
            for each in wanted
        }
    text = sys.stdin.read().strip()
    if len(wanted) == 1:
        return {wanted[0]: text}
    try:
        found = json_format.loads(text)
        return {str(key): str(value) for key, value in found.items()}
    except (ValueError, AttributeError):
        raise UsageError(
            f"The secret {name} has the fields {', '.join(wanted)}: pipe in a JSON object with "
            "them."
        ) from None


def _lines(found: Rotated) -> list[str]:
    if found.plan:
        return [
            f"{found.name}: a dry run: nothing was changed",
            *(f"- {each}" for each in found.plan),
        ]
    told = [f"{found.name} has a new value: version {found.version}"]
    if found.holders:
        told.append(f"{len(found.holders)} tasks hold the old value: {', '.join(found.holders)}")
        told.append(
            "they get the new one when they are replaced: by the next release, at the latest"
        )
    elif found.doubt:
        told.append(f"it is not known who holds the old value: {found.doubt}")
    else:
        told.append("no task holds the old value")
    return [*told, f"journal: {found.journal}"]


def _table(found: SecretsStatus) -> list[str]:
    width = max((len(each.name) for each in found.secrets), default=0)
    return [f"{each.name:<{width}}  {_row(each)}" for each in found.secrets]


def _row(one: SecretStatus) -> str:
    if not one.found:
        return "MISSING"
    parts = [f"{one.age_days:.1f} days old" if one.age_days is not None else "age unknown"]
    parts.append(f"rotates {one.rotation}" if one.rotation.startswith("every") else one.rotation)
    if one.next_days is not None:
        parts.append(f"next in {one.next_days:.1f} days" if not one.overdue else "OVERDUE")
    if one.holders:
        parts.append(f"{len(one.holders)} tasks hold an older value")
    if one.unfinished:
        parts.append(f"UNFINISHED: version {one.unfinished}")
    return " · ".join(parts)
