"""The options that commands share, and what they stand for."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from llmops_runbooks import settings, state

VARIABLE = "LLMOPS_ENV"

Env = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="NAME",
        help=f"Environment of llmops.toml; default: {VARIABLE}, then default_environment.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout; progress goes to stderr.")
]
By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who says so; default: you.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the evidence.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Every check, and what would be done; change nothing.")
]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Watch the rollout to its end, or leave it (exit 3)."),
]


def environment(name: str | None) -> settings.Environment:
    """The settings a command works with; raises SettingsError."""
    chosen = name or os.environ.get(VARIABLE) or settings.default_environment()
    return settings.load(chosen)


def project() -> Path:
    """The folder of llmops.toml."""
    return settings.find().parent


def evidence_folder() -> Path:
    """Where evidence is written on this machine."""
    return state.folder() / "evidence"


def operator(by: str | None) -> str:
    """Who gives a command; the account name of the machine unless they say otherwise."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
