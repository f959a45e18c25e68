"""`llmops judge lint`, `llmops judge simulate`, `llmops judge replay`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import judge_tables, options
from llmops_cli.render import Screen
from llmops_runbooks import settings
from llmops_runbooks.errors import UsageError
from llmops_runbooks.service_tables import Canary

if TYPE_CHECKING:
    from llmops_judge import Policy
    from llmops_judge.simulate import Traffic

PolicyFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="A policy like judge.toml, instead of --env."),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", min=0.001, help="Requests a minute of the whole service."),
]
Errors = Annotated[
    float | None, typer.Option("--errors", min=0, max=100, help="Percent of requests that fail.")
]
Latency = Annotated[float | None, typer.Option("--latency-ms", min=0.01, help="Average latency.")]
Quality = Annotated[
    float | None, typer.Option("--quality", min=0.01, max=0.99, help="Average answer quality.")
]
Cost = Annotated[
    float | None, typer.Option("--cost-usd", min=1e-9, help="Average cost of an answer.")
]
Tokens = Annotated[float | None, typer.Option("--tokens", min=0.01, help="Average tokens.")]
Hours = Annotated[
    int, typer.Option("--hours", min=1, max=336, help="How much of the live release's history.")
]
Percent = Annotated[
    float | None,
    typer.Option("--percent", min=0.1, max=99, help="The canary's share; default: canary.percent."),
]
Runs = Annotated[
    int, typer.Option("--runs", min=10, max=100_000, help="Simulated rollouts of each kind.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same rollouts.")]
Record = Annotated[
    Path, typer.Argument(metavar="EVIDENCE", help="evidence.json or gate.json of a rollout.")
]
OtherPolicy = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="Judge by this policy instead of its own."),
]

judge = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Check the judge's policy, try it on your own traffic, replay its verdicts.",
)


@judge.command()
def lint(
    file: PolicyFile = None,
    env: options.Env = None,
    rate: Rate = None,
    json: options.Json = False,
) -> None:
    """Check a policy, show it as it is in effect, and warn of what will disappoint.

    With --rate the budget of minutes is held against the requests that a decision needs.
    """
    policy, source, weight = _policy(file, env)
    from llmops_runbooks.judge_lint import lint as check

    found = check(policy, source=source, weight=weight, per_minute=rate)
    Screen(in_json=json).finish(found.to_json(), judge_tables.lint(found))


@judge.command()
def simulate(
    *,
    env: options.Env = None,
    rate: Rate = None,
    errors: Errors = None,
    latency_ms: Latency = None,
    quality: Quality = None,
    cost_usd: Cost = None,
    tokens: Tokens = None,
    hours: Hours = 24,
    percent: Percent = None,
    runs: Runs = 100,
    seed: Seed = 1,
    json: options.Json = False,
) -> None:
    """Play rollouts of this service through the judge before one goes out.

    The traffic is the live release's own of the last hours, or, with --rate, one of which only
    these averages are known (what is not said is assumed).
    """
    chosen = options.environment(env)
    averages = {
        "errors": None if errors is None else errors / 100,
        "latency_ms": latency_ms,
        "quality": quality,
        "cost_usd": cost_usd,
        "tokens": tokens,
    }
    if rate is None and any(value is not None for value in averages.values()):
        raise UsageError(
            "Averages were stated, but not how many requests a minute there are.",
            hint="Add --rate N, or leave them out to use the service's own history.",
        )
    from llmops_runbooks.judge_simulate import Plan
    from llmops_runbooks.judge_simulate import simulate as play

    traffic, source = _traffic(chosen, rate, averages, hours)
    weight = (percent or chosen.canary.percent) / 100
    plan = Plan(chosen.policy, traffic, weight, source, runs=runs, seed=seed)
    found = play(plan, _progress)
    Screen(in_json=json).finish(found.to_json(), judge_tables.simulate(found))


@judge.command()
def replay(evidence: Record, policy: OtherPolicy = None, json: options.Json = False) -> None:
    """Work out a rollout's verdicts again from its evidence: no AWS, no project.

    Exit code 1 if one of them comes out otherwise. With --policy: what another policy would have
    decided.
    """
    from llmops_runbooks.judge_replay import replay_file

    found = replay_file(evidence, policy)
    Screen(in_json=json).finish(found.to_json(), judge_tables.replay(found))
    raise typer.Exit(int(found.exit_code))


def _policy(file: Path | None, env: str | None) -> tuple[Policy, str, float]:
    """The policy, where it is written, and the canary's share it is used with."""
    from llmops_runbooks import judge_policy

    if file is None or file.name == settings.FILE_NAME:
        chosen = _environment(file, env)
        return chosen.policy, f"environment {chosen.name}", chosen.canary.percent / 100
    if env is not None:
        raise UsageError("A policy is checked of a FILE or of an environment (--env), not of both.")
    weight = Canary().percent / 100
    return judge_policy.policy_of(judge_policy.one_file(file)), str(file), weight


def _environment(file: Path | None, env: str | None) -> settings.Environment:
    if file is None:
        return options.environment(env)
    return settings.load(env or settings.default_environment(file), file=file)


def _traffic(
    chosen: settings.Environment, rate: float | None, averages: dict[str, float | None], hours: int
) -> tuple[Traffic, str]:
    from llmops_runbooks.judge_simulate import observed, stated

    if rate is not None:
        return stated(rate, averages), "stated averages"
    from llmops_runbooks.aws.connect import connect

    traffic = observed(connect(chosen), chosen.policy, hours=hours)
    return traffic, f"the live release's last {hours} hours in environment {chosen.name}"


def _progress(done: int, total: int) -> None:
    """A line on stderr that counts, on a terminal; elsewhere one at each tenth."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {total:,} rollouts" + ("\n" if done == total else ""))
    elif done == total or done * 10 // total != (done - 10) * 10 // total:
        sys.stderr.write(f"{done:,} of {total:,} rollouts\n")
    sys.stderr.flush()
