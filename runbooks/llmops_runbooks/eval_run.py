"""Scores a release on a golden set: asks every question, scores every answer, writes one result.

Retrieval is asked by itself (`/v1/search`), with the question as it stands. A judging model is the
service's: `/v1/evaluations` sends what is judged to any provider that the service has configured.
Its calibration set is judged first, so that its scores come with how far they agree with people's.

The first question goes alone: a service that is not there, a token it refuses or a judge it does
not know end the run before the rest is asked and paid for. A run that is interrupted keeps what was
answered until then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, TypeVar

from llmops_runbooks import eval_report, eval_score
from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.eval_ask import LATE, Asking, Notice, Said, Target, asking
from llmops_runbooks.eval_calibration import calibration
from llmops_runbooks.eval_golden import Golden, Graded, Question
from llmops_runbooks.eval_schema import Calibration, GoldenSet, Judge, Result, Row

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int, str], None]
"""Told how many of how many are done, and of what."""
HOPELESS = frozenset({0, 401, 403, 404})
"""Statuses of the first request after which the others need not be sent; 0: no connection."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate. judge: `provider/model` or a feature of the service, None: no judge.

    prompt_price, completion_price: micro-dollars of a token, for services that do not tell costs.
    """

    target: Target
    golden: Golden
    name: str
    judge: str | None = None
    calibration: tuple[str, Sequence[Graded]] | None = None
    concurrency: int = 8
    stream: bool = True
    prompt_price: float | None = None
    completion_price: float | None = None
    notice: Notice = field(default=lambda _: None, repr=False)

    def settings(self) -> dict[str, str | int | float | bool | None]:
        """What may make two runs differ, besides the release."""
        return {
            "model": self.target.model,
            "feature": self.target.feature,
            "judge": self.judge,
            "concurrency": self.concurrency,
            "stream": self.stream,
            "timeout_seconds": self.target.seconds,
        }


@dataclass
class Judging:
    """What the judge came to so far."""

    prompt: str | None = None
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The judge's part of an evaluation; None, and counted, if there is none."""
        judge = (found or {}).get("judge")
        if not isinstance(judge, Mapping) or not isinstance(judge.get("score"), int | float):
            self.failed += 1
            return None
        self.prompt = judge.get("prompt") or self.prompt
        self.prompt_tokens += int(judge.get("prompt_tokens") or 0)
        self.completion_tokens += int(judge.get("completion_tokens") or 0)
        return judge


@dataclass
class Run:
    """One evaluation under way."""

    plan: Plan
    asking: Asking
    judging: Judging = field(default_factory=Judging)
    refused: Counter[str] = field(default_factory=Counter)
    hopeless: str | None = None

    async def row(self, question: Question) -> Row:
        """Asks one question and scores what is answered."""
        found, searched = await self._search(question)
        said = await self.asking.chat(question.text, stream=self.plan.stream)
        if said.content is None:
            self.refused[f"question: {said.error}"] += 1
            self._note_hopeless("", said)
        if said.feature and self.plan.target.feature not in (None, said.feature):
            self.refused[f"answered by the feature {said.feature}, not by the one asked for"] += 1
        metrics = {
            **eval_score.of_answer(question, said.content),
            **eval_score.of_search(question, found),
            **self._costs(said),
        }
        judged = await self._judge(question, said.content)
        if judged:
            metrics["judge"] = float(judged["score"])
        return Row(
            id=question.id,
            question=question.text,
            answerable=question.answerable,
            references=list(question.references),
            document_id=question.document_id,
            answer=said.content,
            error=said.error,
            retries=said.retries + searched,
            release=said.release,
            judge_why=str(judged.get("why", "")) if judged else None,
            metrics={name: round(value, 6) for name, value in metrics.items()},
        )

    async def evaluated(self, graded: Graded) -> Mapping[str, Any] | None:
        """The judge's word on an answer that a person has graded."""
        return await self._evaluate(graded.question, graded.references, graded.answer)

    async def _search(self, question: Question) -> tuple[Sequence[str] | None, int]:
        if not question.answerable or question.document_id is None:
            return None, 0
        found, said = await self.asking.search(question.text, max(eval_score.RANKS))
        if found is None:
            self.refused[f"search: {said.error or 'no results'}"] += 1
        return found, said.retries

    async def _judge(self, question: Question, answer: str | None) -> Mapping[str, Any] | None:
        if self.plan.judge is None or answer is None:
            return None
        return await self._evaluate(question.text, question.references, answer)

    async def _evaluate(
        self, question: str, references: Sequence[str], answer: str
    ) -> Mapping[str, Any] | None:
        body = {
            "question": question,
            "reference": list(references),
            "answer": answer,
            "judge": self.plan.judge,
        }
        found, said = await self.asking.evaluate(body)
        if found is None or found.get("judge") is None:
            why = said.error or str((found or {}).get("judge_error") or "no score").rstrip(".")
            self.refused[f"judge: {why}"] += 1
            self._note_hopeless("the judge: ", said)
        return self.judging.add(found)

    def _note_hopeless(self, what: str, said: Said) -> None:
        if said.status in HOPELESS and said.error not in (None, LATE):
            self.hopeless = f"{what}{said.error}"

    def _costs(self, said: Said) -> dict[str, float]:
        """Durations, tokens, cost and support of an answer, as far as they are known."""
        if said.content is None:
            return {}
        found = {"latency_ms": said.latency}
        if said.supported is not None:
            found["supported"] = float(said.supported)
        if said.first_token is not None:
            found["first_token_ms"] = said.first_token
        read, written = (said.usage.get(f"{part}_tokens") for part in ("prompt", "completion"))
        if isinstance(read, int) and isinstance(written, int):
            found |= {"prompt_tokens": float(read), "completion_tokens": float(written)}
            prices = self.plan.prompt_price, self.plan.completion_price
            if said.cost is None and prices[0] is not None and prices[1] is not None:
                found["cost_micro_usd"] = read * prices[0] + written * prices[1]
        if said.cost is not None:
            found["cost_micro_usd"] = said.cost
        return found


def evaluate(plan: Plan, progress: Progress) -> Result:
    """Runs the evaluation. Raises CloudError if the service cannot be asked at all. Interrupted, it
    returns the questions that were answered until then; KeyboardInterrupt if there are none."""
    return asyncio.run(evaluated(plan, progress))


async def evaluated(plan: Plan, progress: Progress) -> Result:
    """Runs the evaluation on this event loop."""
    began, at = perf_counter(), datetime.now(UTC)
    rows, judge = dict[str, Row](), None
    async with asking(plan.target, plan.concurrency, plan.notice) as session:
        run = Run(plan, session)
        try:
            first, *others = plan.golden.questions
            rows[first.id] = await run.row(first)
            _refuse_the_hopeless(run)
            judge = await _judge(run, progress)

            async def ask(question: Question) -> None:
                rows[question.id] = await run.row(question)

            await _bounded(ask, others, plan.concurrency, progress, "questions", done=1)
        except asyncio.CancelledError:
            if not rows:
                raise
    kept = [rows[question.id] for question in plan.golden.questions if question.id in rows]
    if all(row.answer is None for row in kept):
        raise _unanswered(run, kept[0].error)
    return _result(run, kept, judge or _judging(run, None), at, perf_counter() - began)


def calibrate(plan: Plan, progress: Progress) -> Judge:
    """Judges the plan's calibration set and nothing else. Raises CloudError if the judge gives no
    score at all."""
    return asyncio.run(calibrated(plan, progress))


async def calibrated(plan: Plan, progress: Progress) -> Judge:
    """Judges the calibration set on this event loop."""
    async with asking(plan.target, plan.concurrency, plan.notice) as session:
        run = Run(plan, session)
        judge = await _judge(run, progress)
    if judge is None:
        raise UsageError("There is nothing to calibrate without a judge.")
    return judge.model_copy(update=vars(run.judging))


def _refuse_the_hopeless(run: Run) -> None:
    if run.hopeless:
        raise _unanswered(run, run.hopeless)


def _unanswered(run: Run, error: str | None) -> CloudError:
    return CloudError(
        f"No question was answered{' and judged' if run.plan.judge else ''} by "
        f"{run.plan.target.root}: {error}.",
        hint="Check --url, the token's variable, --judge, and whether the service is ready.",
    )


async def _judge(run: Run, progress: Progress) -> Judge | None:
    """The judge with its calibration; what it says of the rows is added to it later."""
    plan = run.plan
    if plan.judge is None or not plan.calibration:
        return _judging(run, None)
    name, graded = plan.calibration
    before = run.judging.failed
    first = await run.evaluated(graded[0])
    _refuse_the_hopeless(run)
    rest = await _bounded(
        run.evaluated, graded[1:], plan.concurrency, progress, "graded answers", done=1
    )
    scores = [None if each is None else float(each["score"]) for each in (first, *rest)]
    if all(score is None for score in scores):
        why, _ = run.refused.most_common(1)[0]
        raise CloudError(
            f"The judge {plan.judge} gave none of {len(graded)} graded answers a score: {why}.",
            hint="Name a configured provider's model as provider/model, and look at /readyz.",
        )
    run.judging.failed = before
    return _judging(run, calibration(name, graded, scores))


def _judging(run: Run, found: Calibration | None) -> Judge | None:
    if run.plan.judge is None:
        return None
    return Judge(
        model=run.plan.judge,
        prompt=None,
        failed=0,
        prompt_tokens=0,
        completion_tokens=0,
        calibration=found,
    )


async def _bounded(
    work: Callable[[T], Awaitable[R]],
    over: Sequence[T],
    concurrency: int,
    progress: Progress,
    what: str,
    *,
    done: int = 0,
) -> list[R]:
    """`work` over all, `concurrency` at once, in their order; `done` of them were done before."""
    places, total = asyncio.Semaphore(concurrency), done + len(over)

    async def one(each: T) -> R:
        nonlocal done
        async with places:
            found = await work(each)
        done += 1
        progress(done, total, what)
        return found

    if not over:
        progress(done, total, what)
    return list(await asyncio.gather(*map(one, over)))


def _result(
    run: Run, rows: Sequence[Row], judge: Judge | None, at: datetime, seconds: float
) -> Result:
    plan, judging = run.plan, run.judging
    if judge:
        judge = judge.model_copy(update=vars(judging))
    return Result(
        name=plan.name,
        source="llmops",
        created_at=at.isoformat(timespec="seconds"),
        target=plan.target.root,
        releases=dict(Counter(row.release for row in rows if row.release)),
        golden=GoldenSet(
            name=plan.golden.name, sha256=plan.golden.sha256, questions=len(plan.golden.questions)
        ),
        settings=plan.settings(),
        seconds=round(seconds, 3),
        asked=len(rows),
        failed=sum(row.answer is None for row in rows),
        retried=sum(row.retries > 0 for row in rows),
        figures=eval_report.figures(rows),
        latency_ms=eval_report.times(rows, "latency_ms"),
        first_token_ms=eval_report.times(rows, "first_token_ms"),
        judge=judge,
        notes=_notes(run, len(rows)),
        rows=list(rows),
    )


def _notes(run: Run, asked: int) -> list[str]:
    """What failed and how often, and what was not asked."""
    failed = [f"{count} times {what}" for what, count in run.refused.most_common()]
    total = len(run.plan.golden.questions)
    left = [f"interrupted: {asked} of {total} questions were asked"] if asked < total else []
    return left + failed
