"""`llmops up`, `llmops down`: the local cloud, the one thing the CLI starts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from llmops_cli import options
from llmops_cli.render import Screen
from llmops_runbooks import state
from llmops_runbooks.errors import LlmopsError, UsageError
from llmops_runbooks.settings import Environment

LOOPBACK = frozenset({"127.0.0.1", "localhost"})
FOLDERS = ("local", "rehearsal")
"""Folders of the state in which a local cloud may run; `down` ends all of them."""

Speed = Annotated[
    float,
    typer.Option("--speed", min=1, max=600, help="How many of AWS's seconds one second is."),
]
Switch = Annotated[
    list[str] | None,
    typer.Option(
        "--switch",
        metavar="NAME=VALUE",
        help="What AWS does not document, chosen: see docs/local-cloud.md.",
    ),
]


def up(
    env: options.Env = None,
    speed: Speed = 60,
    switch: Switch = None,
    json: options.Json = False,
) -> None:
    """Start the local cloud of an environment and leave it running.

    It answers at the environment's endpoint_url. If it already runs, it is left as it is.
    """
    settings = options.environment(env)
    switches = dict(_pair(text) for text in switch or ())
    running = start(settings, state.folder() / "local", speed=speed, switches=switches)
    shown = {
        "endpoint": running["endpoint"],
        "service_url": service_url(settings),
        "speed": running["speed"],
        "pid": running["pid"],
    }
    url = shown["service_url"] or f"none yet: llmops deploy --env {settings.name}"
    Screen(in_json=json).finish(
        shown,
        [
            f"endpoint  {shown['endpoint']} (a minute takes {60 / running['speed']:g} s)",
            f"service   {url}",
        ],
    )


def down(json: options.Json = False) -> None:
    """Stop the local cloud and every process it started, also after a crash."""
    stopped = [name for name in FOLDERS if end(state.folder() / name)]
    text = "stopped" if stopped else "nothing was running"
    Screen(in_json=json).finish({"stopped": stopped}, [text])


def start(
    settings: Environment, root: Path, *, speed: float, switches: dict[str, str] | None = None
) -> dict[str, Any]:
    """Starts the local cloud for an environment; UsageError if it is none or cannot start."""
    launch = _launch()
    parts = urlsplit(settings.endpoint_url or "")
    if parts.hostname not in LOOPBACK or parts.port is None:
        raise UsageError(
            f"Environment {settings.name} is not local: its endpoint_url is "
            f"{settings.endpoint_url or 'not set'}, not http://127.0.0.1:PORT."
        )
    try:
        found: dict[str, Any] = launch.up(
            root=root,
            port=parts.port,
            speed=speed,
            account=settings.account,
            region=settings.region,
            switches=switches or {},
        )
    except launch.LaunchError as error:
        raise UsageError(str(error)) from error
    return found


def end(root: Path) -> bool:
    """Stops the local cloud of a folder and everything recorded there; whether there was one."""
    if not root.exists():
        return False
    launch = _launch()
    try:
        ended = launch.down(root=root)
    except launch.LaunchError as error:
        raise LlmopsError(str(error)) from error
    return bool(ended["stopped"] or ended["ended"])


def service_url(settings: Environment) -> str | None:
    """Where the deployed service answers, or None if it is not deployed."""
    from llmops_runbooks.aws.clients import Clients
    from llmops_runbooks.aws.ssm import read_coordinates

    found = read_coordinates(Clients(settings), settings)
    return found.service_url if found else None


def _launch() -> Any:
    try:
        from llmops_localcloud import launch
    except ImportError as error:
        raise UsageError(
            "The local cloud is not installed.", hint="pip install 'llmops[local]'"
        ) from error
    return launch


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--switch {text} should be NAME=VALUE.")
    return name, value
