"""A secret gets a new value, and the runbook stays until nobody holds the old one.

tokens, database    their function makes the value: RotateSecret, then wait for AWSCURRENT
a provider's key    a person brings it: try it at the provider, store it as AWSPENDING, read it
                    back, promote it to AWSCURRENT

Until the last step AWSCURRENT is what it was: whatever goes wrong before leaves the old value in
use. A value is never in an argument, an event, the journal or an error.

Who still holds the old value afterwards is asked of the service where it reads the secret itself,
and told by the time a task started where ECS injected it: such a task holds what was current then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from llmops_runbooks.errors import ExitCode, LlmopsError, RolloutFailed, UsageError
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.secrets_port import CURRENT, PENDING, Secrets, SecretView

Probe = Callable[[str, str], str]
"""Tries the key of a provider, by name; "" if it works, else why it does not."""

ROTATE_SECONDS = 300.0
"""How long a rotation by a function is waited for; its four steps may take a minute each."""
HOLD_SECONDS = 360.0
"""How long a service is waited for that reads its secrets every 300 seconds."""
POLL_SECONDS = 2.0
AGREEING = 6
"""Answers in a row with the new version, each from a task the load balancer chose, after which
nobody is taken to hold the old one."""


class Ending(StrEnum):
    """How a rotation of a secret ended."""

    ROTATED = "rotated"
    """The new value is current, and nobody holds the old one."""
    HELD = "held"
    """The new value is current, and tasks hold the old one or could not be asked."""
    PLANNED = "planned"


@dataclass(frozen=True)
class Rotated:
    """What became of it; no part of a value."""

    name: str
    arn: str
    ending: Ending
    version: str = ""
    before: str = ""
    holders: tuple[str, ...] = ()
    """Tasks that hold the old value."""
    doubt: str = ""
    """Why it is not known who holds which value."""
    plan: tuple[str, ...] = ()
    journal: str = ""

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.UNDECIDED if self.ending is Ending.HELD else ExitCode.DONE

    def to_json(self) -> dict[str, Any]:
        return {
            "secret": self.name,
            "arn": self.arn,
            "outcome": str(self.ending),
            "version": self.version,
            "previous_version": self.before,
            "tasks_with_the_old_value": list(self.holders),
            "unknown_because": self.doubt,
            "plan": list(self.plan),
            "journal": self.journal,
        }


@dataclass(frozen=True)
class Turn:
    """One rotation asked for. `given`: the values a person brought, by field of the secret; None:
    the secret's function makes one. `probe` None: nobody is asked whether the key works."""

    cloud: Secrets
    name: str
    by: str
    given: Mapping[str, str] | None = field(default=None, repr=False)
    probe: Probe | None = None
    tell: Tell = silent

    def say(self, step: str, text: str, mark: Mark = Mark.DONE) -> None:
        """One line for whoever watches."""
        self.tell(Event(step, text, mark, self.cloud.clock.now()))


def fields(cloud: Secrets, name: str) -> tuple[str, ...]:
    """The fields a person has to bring for a secret; none for one whose function makes its value.

    Raises UsageError for a secret that is not there.
    """
    view = _found(cloud, name)
    if view.rotates:
        return ()
    return tuple(_document(cloud.vault.value(view.arn) or "")) or ("",)


def rotate(turn: Turn, *, dry_run: bool = False) -> Rotated:
    """Rotates one secret. Raises UsageError before anything is changed, RolloutFailed where the
    old value stayed current."""
    view = _found(turn.cloud, turn.name)
    if dry_run:
        return Rotated(turn.name, view.arn, Ending.PLANNED, plan=_plan(turn, view))
    before = view.labelled(CURRENT)
    old = before.id if before else ""
    try:
        version = _by_function(turn, view) if view.rotates else _by_hand(turn, view, old)
    except LlmopsError as error:
        _write(turn, view.arn, {"outcome": "failed", "reason": error.message, "before": old})
        raise
    promoted = turn.cloud.clock.now()
    ending = _ended(turn, view.arn, version, old, promoted)
    journal = _write(turn, view.arn, ending.to_json())
    return Rotated(**{**ending.__dict__, "journal": journal})


def _plan(turn: Turn, view: SecretView) -> tuple[str, ...]:
    if view.rotates:
        return (f"RotateSecret: {view.function} makes the value", "wait until it is current")
    tried = "try the new key at the provider" if turn.probe else "do not try the new key"
    return (tried, "store it as AWSPENDING", "read it back", "promote it to AWSCURRENT")


def _by_function(turn: Turn, view: SecretView) -> str:
    waiting = _Making(turn, view.arn)
    turn.say("rotate", f"{turn.name}: version {waiting.version[:8]} is being made", Mark.NOW)
    if not _within(turn, ROTATE_SECONDS, waiting):
        raise RolloutFailed(
            f"The rotation of {turn.name} did not end within {ROTATE_SECONDS:.0f} s; the old value "
            "is still current and works.",
            hint=f"Its function says why: the log of {view.function.rsplit(':', 1)[-1]}.",
        )
    turn.say("rotate", f"{turn.name}: version {waiting.version[:8]} is current")
    return waiting.version


class _Making:
    """True once the version that a rotation makes is the current one. A version that is gone was
    the trial of a schedule just made, which kept the rotation from starting: it is started anew."""

    def __init__(self, turn: Turn, arn: str) -> None:
        self._vault, self._arn = turn.cloud.vault, arn
        self.version = self._vault.rotate(arn)

    def __call__(self) -> bool:
        found = self._vault.look(self._arn)
        versions = {each.id: each for each in found.versions} if found else {}
        if self.version not in versions:
            self.version = self._vault.rotate(self._arn)
            return False
        return CURRENT in versions[self.version].labels


def _by_hand(turn: Turn, view: SecretView, before: str) -> str:
    vault = turn.cloud.vault
    value = _new_value(turn, vault.value(view.arn) or "")
    _try(turn)
    version = vault.stage(view.arn, value)
    if vault.value(view.arn, PENDING) != value:
        raise RolloutFailed(
            f"What Secrets Manager holds for version {version} of {turn.name} is not what was "
            "sent; the old value is still current."
        )
    turn.say("store", f"{turn.name}: version {version[:8]} is stored and read back")
    vault.promote(view.arn, version, before)
    turn.say("promote", f"{turn.name}: version {version[:8]} is current")
    return version


def _try(turn: Turn) -> None:
    if turn.probe is None or turn.given is None:
        turn.say("try", f"{turn.name}: the key was not tried", Mark.NOW)
        return
    (key, *_) = turn.given.values()
    problem = turn.probe(turn.name, key)
    if problem:
        raise RolloutFailed(
            f"The new key of {turn.name} does not work: {problem} Nothing was changed.",
            hint="Bring another one, or --no-check to store it untried.",
        )
    turn.say("try", f"{turn.name}: the provider takes the key")


def _new_value(turn: Turn, current: str) -> str:
    given = dict(turn.given or {})
    wrong = [name for name, text in given.items() if not text or text != text.strip()]
    if not given or wrong:
        raise UsageError(
            f"There is no usable value for {turn.name}: it is empty or has blanks around it.",
            hint=f'printf %s "$KEY" | llmops secrets rotate {turn.name}',
        )
    document = _document(current)
    if set(given) != (set(document) or {""}):
        raise UsageError(
            f"The secret {turn.name} has the fields {', '.join(document)}: bring exactly these."
        )
    value = json.dumps({**document, **given}) if document else given[""]
    if value == current:
        raise UsageError(f"That is the value {turn.name} has already: nothing was changed.")
    return value


def _ended(turn: Turn, arn: str, version: str, before: str, promoted: datetime) -> Rotated:
    """Who holds what, once it is known or nobody can be asked any longer."""
    fleet = turn.cloud.fleet
    live = fleet.reads_live(arn)
    ending = Rotated(turn.name, arn, Ending.ROTATED, version, before)
    if live is None:
        turn.say("holders", f"{turn.name}: the service does not use it")
        return ending
    if not live:
        return _injected(turn, ending, promoted)
    seen = _Agreeing(lambda: fleet.says(turn.name), version)
    agreed = seen() or (seen.answered and _within(turn, HOLD_SECONDS, seen))
    if agreed:
        turn.say("holders", f"{turn.name}: every task that answers holds version {version[:8]}")
        return ending
    doubt = (
        "a task still holds the old version"
        if seen.answered
        else "the service's /readyz cannot be reached from here; it reads the secret by itself"
    )
    return Rotated(turn.name, arn, Ending.HELD, version, before, doubt=doubt)


def _injected(turn: Turn, ending: Rotated, promoted: datetime) -> Rotated:
    """A task that started before the value was current was given the one before."""
    old = tuple(
        task.task
        for task in turn.cloud.fleet.tasks()
        if task.started_at is None or task.started_at <= promoted
    )
    if not old:
        return ending
    turn.say("holders", f"{turn.name}: {len(old)} tasks hold the old value", Mark.NOW)
    return Rotated(**{**ending.__dict__, "ending": Ending.HELD, "holders": old})


class _Agreeing:
    """True once AGREEING answers in a row named the version."""

    def __init__(self, ask: Callable[[], str | None], version: str) -> None:
        self._ask, self._version, self._row = ask, version, 0
        self.answered = False

    def __call__(self) -> bool:
        for _ in range(AGREEING):
            found = self._ask()
            self.answered |= found is not None
            self._row = self._row + 1 if found == self._version else 0
        return self._row >= AGREEING


def _within(turn: Turn, seconds: float, condition: Callable[[], bool]) -> bool:
    clock = turn.cloud.clock
    deadline = clock.wall() + seconds
    while not condition():
        if clock.wall() >= deadline:
            return False
        clock.wait(POLL_SECONDS)
    return True


def _found(cloud: Secrets, name: str) -> SecretView:
    arn = cloud.arn(name)
    view = cloud.vault.look(arn)
    if view is None:
        raise UsageError(
            f"There is no secret {arn}.",
            hint=f"llmops deploy --env {cloud.coordinates.environment}",
        )
    return view


def _document(value: str) -> dict[str, Any]:
    """The fields of a secret that is a JSON object; of a plain text, none."""
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(turn: Turn, arn: str, what: Mapping[str, Any]) -> str:
    """The journal in the artifact bucket: who, when, which versions; its address."""
    now = turn.cloud.clock.now()
    key = f"operations/secrets/{now:%Y%m%dT%H%M%S}-{turn.name}.json"
    entry = {**what, "secret": turn.name, "arn": arn, "by": turn.by, "at": now.isoformat()}
    turn.cloud.artifacts.put(key, json.dumps(entry, indent=1, sort_keys=True).encode())
    return turn.cloud.artifacts.uri(key)
