"""`llmops`: the table of commands, and the one place where an error becomes a sentence.

A command's module is imported when that command runs or explains itself, so that `--help` and a
mistyped word cost no SDK.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from llmops_runbooks.errors import LlmopsError, UsageError

WrongWord: type[Exception] = typer.BadParameter.__mro__[1]
"""typer's base of everything that can be wrong with a command line; it exports only its heirs."""
PACKAGE = "llmops_cli.commands"
INTERRUPTED = 130
"""Ctrl-C in a command that has nothing to leave behind: 128 + SIGINT, as shells have it."""


@dataclass(frozen=True)
class Entry:
    """Where a command is, and the line the overview shows for it; `words`: those that follow it,
    if it is a group."""

    module: str
    function: str
    line: str
    words: tuple[str, ...] = ()


COMMANDS = {
    "up": Entry("local", "up", "Start the local cloud on 127.0.0.1."),
    "deploy": Entry("deploy", "deploy", "Deploy the infrastructure of an environment."),
    "diff": Entry("diff", "diff", "What the templates would change, and what to look at first."),
    "cost": Entry("cost", "cost", "Estimate what an environment costs a month."),
    "release": Entry("release", "release", "Release a version as a judged canary, and watch it."),
    "status": Entry("status", "status", "What serves, what is on its way, what the alarms say."),
    "promote": Entry("promote", "promote", "Give the canary the rest of the traffic."),
    "rollback": Entry("rollback", "rollback", "Go back to what served before."),
    "history": Entry("history", "history", "The rollouts, newest first, each with its true end."),
    "explain": Entry("explain", "explain", "Why a rollout ended as it did, and what it rests on."),
    "secrets": Entry(
        "secrets", "secrets", "Rotate a secret, see how old each is.", ("rotate", "status")
    ),
    "traffic": Entry("traffic", "traffic", "Send questions, and check every answer."),
    "rehearse": Entry("rehearse", "rehearse", "Rehearse a bad and a good release, end to end."),
    "judge": Entry(
        "judge",
        "judge",
        "Check the judge's policy, simulate it, replay verdicts.",
        ("lint", "simulate", "replay"),
    ),
    "bundle": Entry("bundle", "bundle", "Check features and prompts.", ("lint",)),
    "experiment": Entry(
        "experiment", "experiment", "What an experiment shows, at any time.", ("report",)
    ),
    "eval": Entry(
        "eval",
        "evaluate",
        "Score a release on a golden set, compare two runs.",
        ("run", "calibrate", "compare", "import"),
    ),
    "package": Entry("package", "package", "Package the service for Lambda: one zip."),
    "down": Entry("local", "down", "Stop the local cloud and everything it started."),
}

EPILOG = (
    "Exit codes: 0 done; 1 failed or rolled back; 2 usage or configuration; "
    "3 inconclusive or waiting for a person; 4 AWS refused or unreachable."
)


class LazyCommand(TyperCommand):
    """A line of the overview; becomes the command itself when it is called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        command = _command(str(self.name), COMMANDS[str(self.name)])
        return command.make_context(info_name, args, parent=parent, **extra)


class Commands(TyperGroup):
    """The commands of the table, with their errors told in one sentence."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in COMMANDS.items():
            self.add_command(LazyCommand(name, help=entry.line), name)

    def invoke(self, ctx: Any) -> Any:
        in_json = "--json" in [*ctx._protected_args, *ctx.args]
        try:
            return super().invoke(ctx)
        except WrongWord as error:
            known = _as_usage_error(error)
            tell_error(known, in_json=in_json)
            raise typer.Exit(int(known.exit_code)) from error
        except LlmopsError as error:
            tell_error(error, in_json=in_json)
            raise typer.Exit(int(error.exit_code)) from error
        except KeyboardInterrupt as error:
            sys.stderr.write("Interrupted.\n")
            raise typer.Exit(INTERRUPTED) from error


def tell_error(error: LlmopsError, *, in_json: bool) -> None:
    """One sentence and what to do next on stderr; with --json, also one object on stdout."""
    hint = f"\n\nhint: {error.hint}" if error.hint else ""
    sys.stderr.write(f"error: {error.message}{hint}\n")
    if in_json:
        told = {"error": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
        sys.stdout.write(json.dumps(told) + "\n")


def _as_usage_error(error: Any) -> UsageError:
    """A mistake in the command line, told like any other."""
    path = error.ctx.command_path if error.ctx else "llmops"
    return UsageError(error.format_message(), hint=f"{path} --help")


def _command(name: str, entry: Entry) -> Any:
    function = getattr(importlib.import_module(f"{PACKAGE}.{entry.module}"), entry.function)
    if isinstance(function, typer.Typer):
        return typer.main.get_command(function)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name, help=None if function.__doc__ else entry.line)(function)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    help="Ship an LLM service to AWS: canaries moved by ECS, judged, rehearsed on a laptop.",
)


@app.callback()
def _options() -> None:
    """Ship an LLM service to AWS: canaries moved by ECS, judged, rehearsed on a laptop."""
