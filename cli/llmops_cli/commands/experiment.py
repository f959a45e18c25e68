"""`llmops experiment report`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from llmops_cli import experiment_tables, options
from llmops_cli.render import Screen
from llmops_runbooks.errors import UsageError

if TYPE_CHECKING:
    from llmops_runbooks.experiment_definition import Definition
    from llmops_runbooks.experiment_report import Seen

Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The experiment; default: the only one there is."),
]
Lines = Annotated[
    Path | None,
    typer.Option("--lines", metavar="FILE", help="The service's own lines instead of CloudWatch."),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--release", metavar="VERSION", help="Whose experiment it is; default: the live release's."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="PATH", help="The bundle that says what the experiment is."),
]
Alpha = Annotated[
    float,
    typer.Option(
        "--alpha", min=0.0001, max=0.5, help="Probability of a false winner, over all looks."
    ),
]
Hours = Annotated[
    float,
    typer.Option(
        "--window",
        metavar="HOURS",
        min=0,
        max=24 * 30,
        help="What counts of a user: the average over so many hours from the first request.",
    ),
]

experiment = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What an experiment shows, at any time.",
)


@experiment.callback()
def _experiment() -> None:
    """What an experiment shows, at any time."""


@experiment.command()
def report(
    name: Name = None,
    *,
    env: options.Env = None,
    lines: Lines = None,
    release: Version = None,
    bundle: Folder = None,
    alpha: Alpha = 0.05,
    window: Hours = 1.0,
    json: options.Json = False,
) -> None:
    """The variants' figures, how far they are apart, and whether one is better for certain.

    The intervals hold at every look at once, so it may be asked daily and stopped at a winner.
    Exit code 0: there is a winner, or no difference that matters; 3: not yet, or no claim can be
    made. From CloudWatch a claim needs an experiment whose unit is the request.
    """
    if release is not None and bundle is not None:
        raise UsageError("An experiment is looked up in a --release or a --bundle, not in both.")
    from llmops_runbooks.experiment_report import report as work_out

    of, seen = _observed(name, env, lines, (release, bundle), window)
    found = work_out(of, seen, alpha=alpha)
    Screen(in_json=json).finish(found.to_json(), experiment_tables.report(found))
    raise typer.Exit(int(found.exit_code))


def _observed(
    name: str | None,
    env: str | None,
    lines: Path | None,
    where: tuple[str | None, Path | None],
    window: float,
) -> tuple[Definition, Seen]:
    """The experiment and what was seen of it."""
    from llmops_runbooks import experiment_definition, experiment_sources

    of = _described(name, *where)
    if lines is not None:
        if of is None:
            raise UsageError(
                "Lines alone do not say what the experiment is.",
                hint="Name its bundle: --bundle PATH, or --release VERSION.",
            )
        with _opened(lines) as file:
            return of, experiment_sources.from_lines(
                file, of, window_hours=window, source=str(lines)
            )
    from llmops_runbooks.aws.connect import connect

    cloud = connect(options.environment(env))
    of = of or experiment_definition.live(cloud, name)
    return of, experiment_sources.from_cloudwatch(cloud, of)


def _described(name: str | None, release: str | None, bundle: Path | None) -> Definition | None:
    from llmops_runbooks import experiment_definition

    if bundle is not None:
        return experiment_definition.at(bundle, name)
    if release is not None:
        return experiment_definition.of_release(options.project(), release, name)
    return None


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
