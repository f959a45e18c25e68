"""`llmops rehearse`: a local cloud of its own, the runbooks in order, and a table at the end."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from llmops_cli import options
from llmops_cli.commands import local
from llmops_cli.rehearsals import lines_of_kinds, lines_of_two
from llmops_cli.render import Screen
from llmops_runbooks import settings as settings_of
from llmops_runbooks.errors import UsageError
from llmops_runbooks.rehearse import Script
from llmops_runbooks.rehearse import rehearse as run
from llmops_runbooks.rehearse_kinds import KINDS, Kind, chosen

ENVIRONMENT = "local"

Rate = Annotated[float, typer.Option("--rate", min=20, max=500, help="Questions a second.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed asks the same questions.")]
Every = Annotated[bool, typer.Option("--all", help="Rehearse every kind of release there is.")]
Some = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="NAME", help="Rehearse this kind; may be given again."),
]
List = Annotated[bool, typer.Option("--list", help="Name the kinds, and do nothing.")]


def rehearse(
    *,
    every: Every = False,
    kind: Some = None,
    listing: List = False,
    rate: Rate = 120,
    speed: local.Speed = 60,
    seed: Seed = 1,
    json: options.Json = False,
) -> None:
    """Rehearse a bad release and a good one, end to end, on this machine.

    A local cloud of its own on free ports, the real templates, questions the whole time. Exit
    code 0: the bad release was rolled back by the gate, the good one promoted, nothing was lost.
    With --all or --kind, other kinds of release, which answer through a stand-in for a model
    provider; exit code 0: each ended as it should.
    """
    if every and kind:
        raise UsageError("--all and --kind were both given: use one of them.")
    screen = Screen(in_json=json)
    if listing:
        _list(screen)
        return
    kinds = KINDS if every else chosen(kind or ())
    report, told = (
        _kinds(kinds, rate, speed, seed, screen) if kinds else _two(rate, speed, seed, screen)
    )
    screen.finish(report.json(), told)
    raise typer.Exit(0 if report.passed else 1)


def _two(rate: float, speed: float, seed: int, screen: Screen) -> tuple[Any, list[str]]:
    from llmops_cli.local_steps import LocalSteps, own_ports

    project = options.project()
    os.environ.update(own_ports())
    with screen:
        steps = LocalSteps(settings_of.load(ENVIRONMENT), project, speed, screen)
        report = run(Script(rate=rate, seed=seed), steps, time.monotonic)
    return report, lines_of_two(report)


def _kinds(
    kinds: tuple[Kind, ...], rate: float, speed: float, seed: int, screen: Screen
) -> tuple[Any, list[str]]:
    from llmops_cli.kind_steps import VARIABLES, KindSteps
    from llmops_cli.local_steps import own_ports
    from llmops_runbooks.rehearse_all import rehearse_kinds

    project = options.project()
    os.environ.update({**VARIABLES, **own_ports()})
    with screen:
        settings = settings_of.load(ENVIRONMENT)
        stage = KindSteps(settings, project, speed, screen, kinds=kinds, seed=seed)
        report = rehearse_kinds(kinds, stage, rate=rate, seed=seed, clock=time.monotonic)
    return report, lines_of_kinds(report)


def _list(screen: Screen) -> None:
    shown = [
        {"kind": each.name, "expected": each.expected, "line": each.line, "by": list(each.metrics)}
        for each in KINDS
    ]
    width = max(len(each.name) for each in KINDS)
    told = [
        f"{each.name:<{width}}  {each.expected.replace('_', ' '):<11}  {each.line}"
        for each in KINDS
    ]
    screen.finish({"kinds": shown}, told)
