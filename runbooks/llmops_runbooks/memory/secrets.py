"""In-memory twins of Secrets Manager and of the tasks that use what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from llmops_runbooks.errors import CloudError
from llmops_runbooks.memory.stores import MemoryClock
from llmops_runbooks.secrets_port import CURRENT, PENDING, PREVIOUS, Holder, SecretView, Version


@dataclass
class MemoryVault:
    """Secrets in dicts. `breaks`: the call that AWS refuses; `seconds`: how long a rotation by a
    function takes, None: for ever; `trial`: the next rotation meets the trial of a schedule."""

    clock: MemoryClock
    values: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    views: dict[str, SecretView] = field(default_factory=dict)
    breaks: str = ""
    seconds: float | None = 4.0
    trial: bool = False
    _due: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _made: int = 0

    def add(self, arn: str, value: str, *, every_days: int | None = None) -> None:
        """A secret with one version; with days it has a function."""
        version = Version("version-0", frozenset({CURRENT}), self.clock.now())
        due = self.clock.now() + timedelta(days=every_days) if every_days else None
        function = f"{arn}-function" if every_days else ""
        self.values[arn, version.id] = value
        self.views[arn] = SecretView(
            arn, (version,), bool(every_days), function, every_days, None, due
        )

    def look(self, arn: str) -> SecretView | None:
        if arn in self._due and self.clock.now() >= self._due[arn][1]:
            version, _ = self._due.pop(arn)
            current = self.views[arn].labelled(CURRENT)
            self.promote(arn, version, current.id if current else "")
        return self.views.get(arn)

    def value(self, arn: str, label: str = CURRENT) -> str | None:
        view = self.views.get(arn)
        version = view.labelled(label) if view else None
        return self.values.get((arn, version.id)) if version else None

    def stage(self, arn: str, value: str) -> str:
        self._refuse("stage")
        self._made += 1
        version = f"version-{self._made}"
        kept = tuple(
            replace(each, labels=each.labels - {PENDING}) for each in self.views[arn].versions
        )
        made = Version(version, frozenset({PENDING}), self.clock.now())
        self.views[arn] = replace(self.views[arn], versions=(*kept, made))
        self.values[arn, version] = "damaged" if self.breaks == "store" else value
        return version

    def promote(self, arn: str, version: str, before: str) -> None:
        self._refuse("promote")
        view = self.views[arn]
        moved = tuple(replace(each, labels=_after(each, version, before)) for each in view.versions)
        self.views[arn] = replace(view, versions=moved, rotated_at=self.clock.now())

    def rotate(self, arn: str) -> str:
        self._refuse("rotate")
        version = self.stage(arn, f"made by {arn}")
        if self.trial:
            self.trial = False
            kept = tuple(each for each in self.views[arn].versions if each.id != version)
            self.views[arn] = replace(self.views[arn], versions=kept)
        elif self.seconds is not None:
            self._due[arn] = (version, self.clock.now() + timedelta(seconds=self.seconds))
        return version

    def _refuse(self, call: str) -> None:
        if self.breaks == call:
            raise CloudError(f"AWS refused {call}.")


def _after(version: Version, promoted: str, before: str) -> frozenset[str]:
    if version.id == promoted:
        return version.labels | {CURRENT}
    if version.id == before:
        return (version.labels - {CURRENT}) | {PREVIOUS}
    return version.labels - {PREVIOUS}


@dataclass
class MemoryFleet:
    """Tasks that hold versions. `live`: by ARN, whether the service reads the secret itself;
    `answers`: what /readyz says, one after the other, the last one for ever."""

    live: dict[str, bool] = field(default_factory=dict)
    running: list[Holder] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)

    def reads_live(self, arn: str) -> bool | None:
        return self.live.get(arn)

    def tasks(self) -> list[Holder]:
        return list(self.running)

    def says(self, kind: str) -> str | None:
        if len(self.answers) > 1:
            return self.answers.pop(0)
        return self.answers[0] if self.answers else None
