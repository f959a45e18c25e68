"""The golden set at the test listener, in slices that fit an answer to ECS.

    releases/<id>.json                        the candidate's manifest names its golden set
    golden/<sha256>.jsonl                     the questions
    golden/results/<release>/<sha256>.json    a release's last answers to a set
    rollouts/<deployment id>/golden.json      the answers so far, while a rollout's set is asked

The baseline's side is its last answers to the same set. If there are none, it is asked itself, at
the production listener, while it still serves everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops_functions import golden
from llmops_functions.asking import AskingError, Listener, ask_all
from llmops_functions.bucket import Bucket
from llmops_functions.golden import Given, GoldenError, Question, Sheet
from llmops_functions.rollout import Rollout
from llmops_judge.policy import Golden

BASELINE_PATIENCE = 3
"""Slices in a row in which the baseline may not answer: its outage must not block its cure."""

Table = Mapping[str, Any]


class NoExam(Exception):
    """There is nothing to ask; the text is the sentence that says why."""


@dataclass(frozen=True)
class Urls:
    """Where the releases are asked; empty: nowhere."""

    test: str = ""
    service: str = ""


NOWHERE = Urls()


@dataclass(frozen=True)
class Paper:
    """The golden set of a candidate."""

    digest: str
    questions: list[Question]


@dataclass(frozen=True)
class Progress:
    """How far a rollout's golden set is.

    lost: why a question of the last slice was lost, "" if none was; `canary_failures`,
    `baseline_failures`: slices in a row in which one was.
    """

    canary: Sheet
    baseline: Sheet | None
    lost: str = ""
    canary_failures: int = 0
    baseline_failures: int = 0
    unpaired: str = ""

    def told(self, paper: Paper) -> str:
        """One sentence."""
        asked, size = len(self.canary.given), len(paper.questions)
        told = f"{asked} of {size} golden questions are answered on the test listener"
        if asked == size and self.baseline:
            told = f"{len(self.baseline.given)} of {size} golden questions are answered by the "
            told += f"baseline, {self.baseline.release}"
        return f"{told}; {self.lost}" if self.lost else f"{told}."


@dataclass(frozen=True)
class Exam:
    """One rollout's golden set.

    token: gives the bearer token; asked only if a question is. more: whether there is time to
    begin another question.
    """

    bucket: Bucket
    rollout: Rollout
    folder: str
    urls: Urls
    token: Callable[[], str]
    more: Callable[[], bool]

    def paper(self) -> Paper:
        """The candidate's golden set. Raises NoExam, or GoldenError if it cannot be read."""
        release = self.rollout.canary.release
        manifest = self.bucket.table(f"releases/{release}.json")
        if manifest is None:
            raise NoExam(f"{release} has no manifest, so no golden set is asked.")
        digest = manifest.get("golden")
        if not isinstance(digest, str) or not digest:
            raise NoExam(f"{release} has no golden set.")
        if not self.urls.test:
            raise NoExam("No test listener is configured, so the golden set is not asked.")
        key = f"golden/{digest}.jsonl"
        content = self.bucket.get(key)
        if content is None:
            raise GoldenError(f"{release} names the golden set {key}, but the bucket has none.")
        found = golden.questions(content, key)
        if not found:
            raise NoExam(f"The golden set of {release} is empty.")
        return Paper(digest, found)

    def go_on(self, paper: Paper) -> Progress:
        """Ask what is still open, as far as the time allows, and keep it. Raises AskingError."""
        now = self._asked_canary(paper, self._kept(paper))
        if not now.lost and len(now.canary.given) == len(paper.questions):
            now = self._asked_baseline(paper, now)
        self._keep(paper, now)
        return now

    def is_done(self, paper: Paper, now: Progress) -> bool:
        """Whether every question has been answered by all who can answer."""
        sheets = [now.canary, *([now.baseline] if now.baseline else [])]
        return all(len(sheet.given) == len(paper.questions) for sheet in sheets)

    def result(self, paper: Paper, now: Progress, rules: Golden) -> dict[str, Any]:
        """The decision; each side's answers are kept for the rollouts to come."""
        for sheet in (now.canary, now.baseline):
            if sheet:
                self.bucket.put(_key(sheet.release, paper), _results(paper, sheet))
        return golden.result(
            paper.digest, paper.questions, now.canary, now.baseline, rules, unpaired=now.unpaired
        )

    def _asked_canary(self, paper: Paper, now: Progress) -> Progress:
        sheet, lost = self._ask(paper, now.canary, self.urls.test)
        return replace(
            now, canary=sheet, lost=lost, canary_failures=now.canary_failures + 1 if lost else 0
        )

    def _asked_baseline(self, paper: Paper, now: Progress) -> Progress:
        if now.baseline is None or now.unpaired:
            return now
        try:
            sheet, lost = self._ask(paper, now.baseline, self.urls.service)
        except AskingError as error:
            sheet, lost = now.baseline, str(error)
        failures = now.baseline_failures + 1 if lost else 0
        if failures < BASELINE_PATIENCE:
            return replace(now, baseline=sheet, lost=lost, baseline_failures=failures)
        why = f"The baseline could not be asked: {lost}"
        return replace(now, baseline=None, baseline_failures=failures, unpaired=why)

    def _ask(self, paper: Paper, sheet: Sheet, url: str) -> tuple[Sheet, str]:
        open_ = [each for each in paper.questions if each.id not in sheet.given]
        if not open_:
            return sheet, ""
        with Listener(url, self.token(), sheet.release) as listener:
            given, lost = ask_all(listener, open_, self.more)
        return Sheet(sheet.release, {**sheet.given, **given}), lost

    def _kept(self, paper: Paper) -> Progress:
        """What earlier calls of this rollout found out, else what earlier rollouts did."""
        kept = self.bucket.table(f"{self.folder}/golden.json") or {}
        if kept.get("set") != paper.digest:
            baseline, unpaired = self._earlier(paper)
            return Progress(Sheet(self.rollout.canary.release, {}), baseline, unpaired=unpaired)
        return Progress(
            _sheet(kept["canary"]),
            _sheet(kept["baseline"]) if kept["baseline"] else None,
            canary_failures=int(kept.get("canary_failures", 0)),
            baseline_failures=int(kept.get("baseline_failures", 0)),
            unpaired=str(kept.get("unpaired", "")),
        )

    def _earlier(self, paper: Paper) -> tuple[Sheet | None, str]:
        """The baseline's last answers to the set, or an empty sheet if it can be asked."""
        if self.rollout.baseline is None:
            return None, "There is no baseline."
        release = self.rollout.baseline.release
        kept = self.bucket.table(_key(release, paper))
        if kept is not None:
            sheet = _sheet(kept)
            if all(each.id in sheet.given for each in paper.questions):
                return sheet, ""
        if not self.urls.service:
            return None, f"{release} was never asked, and no production listener is configured."
        return Sheet(release, {}), ""

    def _keep(self, paper: Paper, now: Progress) -> None:
        self.bucket.put(
            f"{self.folder}/golden.json",
            {
                "set": paper.digest,
                "canary": _results(paper, now.canary),
                "baseline": _results(paper, now.baseline) if now.baseline else None,
                "canary_failures": now.canary_failures,
                "baseline_failures": now.baseline_failures,
                "unpaired": now.unpaired,
            },
        )


def _key(release: str, paper: Paper) -> str:
    return f"golden/results/{release}/{paper.digest}.json"


def _results(paper: Paper, sheet: Sheet) -> dict[str, Any]:
    return {
        "schema": 1,
        "release": sheet.release,
        "set": paper.digest,
        "passed": sheet.passed,
        "results": {name: each.to_json() for name, each in sheet.given.items()},
    }


def _sheet(table: Table) -> Sheet:
    """Raises LookupError or TypeError for a table that is none."""
    given = {name: Given.from_json(each) for name, each in table["results"].items()}
    return Sheet(str(table["release"]), given)
