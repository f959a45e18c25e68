"""A rehearsal of many kinds of release: a local cloud, and one provider that all releases share."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_cli import options
from llmops_cli.local_steps import LocalSteps
from llmops_cli.render import Screen
from llmops_runbooks import state
from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.narration import Event, Mark
from llmops_runbooks.promote import Word
from llmops_runbooks.rehearse_all import AllReport, Ending
from llmops_runbooks.rehearse_ending import ending_of
from llmops_runbooks.rehearse_kinds import BASE, Kind, Outage
from llmops_runbooks.rehearse_page import render
from llmops_runbooks.rehearse_releases import write_project
from llmops_runbooks.release import Job
from llmops_runbooks.rollback import rollback
from llmops_runbooks.serving import under_way
from llmops_runbooks.settings import Environment

VARIABLES = {
    "LLMOPS_INITIAL_RELEASE": BASE,
    "LLMOPS_CANARY__PERCENT": "25",
    "LLMOPS_CANARY__FINAL_BAKE_MINUTES": "2",
    "LLMOPS_JUDGE__MINIMUM_MINUTES": "12",
    "LLMOPS_JUDGE__MAXIMUM_MINUTES": "90",
    "LLMOPS_JUDGE__INCONCLUSIVE": "rollback",
    "LLMOPS_JUDGE__METRICS__LATENCY__MODE": "rollback",
}
"""What a rehearsal of kinds sets otherwise, as variables: a heavier canary, which decides sooner;
no promotion before what comes late has had its time; an undecided release goes back, so that the
next kind has its turn; and latency counts, since the provider's is as long as a real one's."""


class KindSteps(LocalSteps):
    """The stage of a rehearsal of kinds."""

    def __init__(
        self,
        settings: Environment,
        project: Path,
        speed: float,
        screen: Screen,
        *,
        kinds: Sequence[Kind],
        seed: int,
    ) -> None:
        super().__init__(settings, project, speed, screen)
        self._releases = state.folder() / "rehearsal-releases"
        self._kinds = kinds
        self._seed = seed
        self._provider: Any = None

    def up(self) -> None:
        """Starts the cloud and the provider, and writes the releases with its address."""
        self._provider = _provider(self._seed)
        write_project(self._project, self._kinds, f"{self._provider.url}/v1", self._releases)
        self._tell("provider", f"{self._provider.url} · a stand-in, shared by all releases")
        super().up()

    def play(self, kind: Kind) -> Ending:
        """One kind, from its release to the end of its rollout."""
        self._screen.line(f"\n{kind.name}: {kind.line}")
        self._await_quiet()

        def tell(event: Event) -> None:
            self._must_start(event)
            if event.canary:
                spoiler.begin()

        job = self._job(kind.version, tell)
        spoiler = Spoiler(kind.outage, self._provider, self._speed, job)
        try:
            found = self._release(job)
        finally:
            spell = spoiler.end()
        return ending_of(kind, found, spell)

    def _await_quiet(self) -> None:
        """What the kind before left behind must not be held against this one."""
        cloud = self._job("", self._must_start).cloud
        names = cloud.coordinates.alarms
        while "ALARM" in cloud.alarms.states(names).values():
            cloud.clock.wait(self._settings.poll_seconds)

    def back_to_base(self) -> None:
        """Ends a rollout that is still under way, or brings the baseline back at once."""
        job = self._job("", self._must_start)
        if under_way(job.cloud) is None:
            job = replace(job, version=BASE)
        rollback(job, Word("rehearsal", "the next kind is compared with the baseline"))

    def page(self, report: AllReport) -> str:
        """Writes the page that leads to each rollout's; its path."""
        folder = options.evidence_folder()
        page = folder / "rehearsal.html"
        title = f"Rehearsal of {self._settings.service_name}"
        page.write_text(render(report, title=title, folder=folder), encoding="utf-8")
        return str(page)

    def down(self) -> None:
        try:
            super().down()
        finally:
            if self._provider is not None:
                self._provider.stop()


class Spoiler:
    """Makes a provider's outage happen at its time in a rollout, in a thread of its own, and tells
    it to the rollout's journal."""

    def __init__(self, outage: Outage | None, provider: Any, speed: float, job: Job) -> None:
        self._outage, self._provider, self._job = outage, provider, job
        self._minute = 60 / speed
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._began: float | None = None
        self._ended: float | None = None

    def begin(self) -> None:
        """The canary has its first traffic; further calls change nothing."""
        if self._outage is None or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, args=(self._outage,), daemon=True)
        self._thread.start()

    def end(self) -> tuple[float, float] | None:
        """The rollout is over; when the outage began and ended, None if it did not do both."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._began is None or self._ended is None:
            return None
        return self._began, self._ended

    def _run(self, outage: Outage) -> None:
        if self._over.wait(outage.after * self._minute):
            return
        self._began = time.time()
        self._provider.control(failing=outage.failing, slower=outage.slower)
        failing, slower = f"{outage.failing:.0%}", f"{outage.slower:g}"
        self._tell(
            f"an outage: {failing} of its calls fail, the others take {slower} times as long"
        )
        cut_short = self._over.wait(outage.lasts * self._minute)
        self._provider.control()
        if not cut_short:
            self._ended = time.time()
            self._tell("all is well again")

    def _tell(self, text: str) -> None:
        self._job.say("provider", text, Mark.WARNING)


def _provider(seed: int) -> Any:
    try:
        from llmops_localcloud.model_provider import process
    except ImportError as error:
        raise UsageError(
            "The local cloud is not installed.", hint="pip install 'llmops[local]'"
        ) from error
    try:
        return process.ProviderProcess(seed)
    except process.ProviderError as error:
        raise CloudError(str(error)) from error
