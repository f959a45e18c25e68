"""`llmops bundle lint`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmops_cli import bundle_tables, options
from llmops_cli.render import Screen
from llmops_runbooks.errors import ExitCode, UsageError

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[PATH]", help="A bundle: a folder, or a stored <digest>.json."),
]
Version = Annotated[
    str | None,
    typer.Option("--release", metavar="VERSION", help="The bundle of releases/VERSION."),
]

bundle = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Check what a release can change without code: features and prompts.",
)


@bundle.callback()
def _bundle() -> None:
    """Check what a release can change without code: features and prompts."""


@bundle.command()
def lint(path: Folder = None, release: Version = None, json: options.Json = False) -> None:
    """Check a bundle as the service does, all mistakes at once, and warn of what will disappoint.

    Without PATH and --release: the one packaged in app_src. Exit code 2 if the service would
    refuse it.
    """
    if path is not None and release is not None:
        raise UsageError("A bundle is checked at a PATH or of a release (--release), not of both.")
    from llmops_runbooks import bundle_lint

    if path is not None:
        found = bundle_lint.lint_at(path)
    else:
        found = bundle_lint.lint(options.project(), release)
    Screen(in_json=json).finish(found.to_json(), bundle_tables.lint(found))
    if not found.ok:
        raise typer.Exit(int(ExitCode.USAGE))
