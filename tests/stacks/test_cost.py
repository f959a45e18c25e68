"""What the environments cost, from their templates; and the page that shows it."""

import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_service.database import QUIET
from llmops_cli.commands.cost import lines
from llmops_runbooks import cost
from llmops_runbooks.cost import Estimate, Use
from llmops_runbooks.cost_hours import DAYS
from llmops_runbooks.cost_prices import load
from llmops_runbooks.cost_rules import Resource

ROOT = Path(__file__).parents[2]
SMALL, SERVERLESS = 35, 10
"""Dollars a month for a few analyses a week: at most, and less than."""
IDLE_SECONDS = 300
"""After which asyncpg closes a connection that nobody uses, by default."""
PAUSE_SECONDS = 300
"""As long as nobody is connected before Aurora pauses."""
WEEKS = 730 / 168
MAKE = runpy.run_path(str(ROOT / "docs" / "make_cost.py"))
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
Ask = Callable[[str], Estimate]


@pytest.fixture(scope="module")
def ask(assembly: Callable[[str], Any]) -> Ask:
    """The answer to a command of the page, from the templates of the environment it names."""

    def answer(command: str) -> Estimate:
        name = option(command, "--env")
        found = [
            Resource(stack, logical_id, body["Type"], body.get("Properties", {}))
            for stack, template in assembly(name).templates.items()
            for logical_id, body in template["Resources"].items()
        ]
        active = float(option(command, "--active-hours"))
        use = Use(
            int(option(command, "--requests")),
            active,
            float(option(command, "--database-hours", str(active))),
        )
        return cost.estimate(name, "us-east-1", found, load(), use)

    return answer


def option(command: str, name: str, default: str | None = None) -> str:
    words = command.split()
    if name not in words and default is not None:
        return default
    return words[words.index(name) + 1]


def of(environment: str) -> str:
    """The page's command for an environment."""
    commands: list[str] = MAKE["commands"](PAGE)
    return next(each for each in commands if option(each, "--env") == environment)


def test_a_few_analyses_a_week_cost_no_more_than_promised_on_fargate(ask: Ask) -> None:
    assert ask(of("small")).total_usd <= SMALL


def test_a_few_analyses_a_week_cost_less_than_promised_on_lambda(ask: Ask) -> None:
    assert ask(of("serverless")).total_usd < SERVERLESS


def test_the_hours_a_sleeping_database_is_awake_are_not_guessed_too_few(
    ask: Ask, assembly: Callable[[str], Any]
) -> None:
    """Each hour with requests and each start of a task ends in the time until Aurora pauses."""
    (target,) = assembly("small").resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    starts = WEEKS * len(weekdays(target["Properties"]["ScheduledActions"]))
    tail = (QUIET + IDLE_SECONDS + PAUSE_SECONDS) / 3600
    for environment, restarts in (("small", starts), ("serverless", 0)):
        use = ask(of(environment)).use
        needed = use.active_hours * (1 + tail) + restarts * tail
        assert use.database_hours >= needed


def weekdays(actions: list[dict[str, Any]]) -> Sequence[str]:
    """The days on which tasks stop, of a schedule from one day to another."""
    (stop,) = (each for each in actions if each["ScalableTargetAction"]["MaxCapacity"] == 0)
    first, _, last = stop["Schedule"].split()[4].partition("-")
    return DAYS[DAYS.index(first) : DAYS.index(last or first) + 1]


def test_the_page_shows_what_the_command_prints(ask: Ask) -> None:
    def printed(command: str) -> str:
        return "\n".join(line.rstrip() for line in lines(ask(command)))

    assert MAKE["filled"](PAGE, printed) == PAGE, "run: uv run python docs/make_cost.py"
