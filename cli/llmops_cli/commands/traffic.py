"""`llmops traffic`"""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated, Any

import typer

from llmops_cli import options
from llmops_cli.render import Screen
from llmops_runbooks.traffic import SAMPLE, Load, Record, Summary, ask, load_questions, run

Rate = Annotated[float, typer.Option("--rate", min=0.1, max=2000, help="Questions a second.")]
Seconds = Annotated[
    float | None, typer.Option("--seconds", min=0.1, help="How long; default: until Ctrl-C.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed asks the same questions.")]


def traffic(
    env: options.Env = None,
    rate: Rate = 20,
    seconds: Seconds = None,
    seed: Seed = 1,
    json: options.Json = False,
) -> None:
    """Send the golden questions as users phrase them, and check every answer.

    Exit code 1 if a request was lost.
    """
    settings = options.environment(env)
    from llmops_runbooks.aws.tokens import bearer_token, service_url

    load = Load(service_url(settings), bearer_token(settings), rate, seed, seconds)
    source = ask(*load_questions(options.project() / SAMPLE), seed)
    screen, summary = Screen(in_json=json), Summary()
    screen.line(f"{rate:g} questions a second to {load.url}; Ctrl-C ends it")
    asyncio.run(_send(load, source, summary.add))
    screen.finish(summary.json(), lines(summary))
    raise typer.Exit(1 if summary.lost else 0)


async def _send(load: Load, source: Any, add: Any) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def report(record: Record) -> None:
        add(record)

    await run(load, source, report, stop)


def lines(summary: Summary) -> list[str]:
    """The counts in text."""
    told = [f"sent {summary.sent}, lost {summary.lost}, sent again {summary.retried}"]
    for release, counts in sorted(summary.by_release.items()):
        parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        told.append(f"{release:<18} {parts}")
    told += [f"lost: {count} {reason}" for reason, count in summary.losses.most_common()]
    return told
