"""Scores a release on a golden set: asks every question, scores every answer, writes one result.

Retrieval is asked by itself (`/v1/search`), with the question as it stands. A judging model is the
service's: `/v1/evaluations` sends what is judged to any provider that the service has configured.
Its calibration set is judged first, so that its scores come with how far they agree with people's.
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
from llmops_runbooks.errors import CloudError
from llmops_runbooks.eval_ask import Asking, Said, Target, asking
from llmops_runbooks.eval_calibration import calibration
from llmops_runbooks.eval_golden import Golden, Graded, Question
from llmops_runbooks.eval_schema import GoldenSet, Judge, Result, Row

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Told how many questions of how many are done."""


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

    async def row(self, question: Question) -> Row:
        """Asks one question and scores what is answered."""
        found, searched = await self._search(question)
        said = await self.asking.chat(question.text, stream=self.plan.stream)
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
            self.refused[f"judge: {said.error or (found or {}).get('judge_error')}"] += 1
        return self.judging.add(found)

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
    """Runs the evaluation. Raises CloudError if no request at all was answered."""
    return asyncio.run(evaluated(plan, progress))


async def evaluated(plan: Plan, progress: Progress) -> Result:
    """Runs the evaluation on this event loop."""
    began, at = perf_counter(), datetime.now(UTC)
    async with asking(plan.target, plan.concurrency) as session:
        run = Run(plan, session)
        judge = await _judge(run)
        rows = await _bounded(run.row, plan.golden.questions, plan.concurrency, progress)
    if all(row.answer is None for row in rows):
        raise CloudError(
            f"No question was answered by {plan.target.root}: {rows[0].error}.",
            hint="Check --url, the token's variable, and whether the service is ready.",
        )
    return _result(run, rows, judge, at, perf_counter() - began)


async def _judge(run: Run) -> Judge | None:
    """The judge with its calibration; what it says of the rows is added to it later."""
    plan = run.plan
    if plan.judge is None:
        return None
    found = None
    if plan.calibration:
        name, graded = plan.calibration
        judged = await _bounded(run.evaluated, graded, plan.concurrency, lambda *_: None)
        scores = [None if each is None else float(each["score"]) for each in judged]
        found = calibration(name, [each.human for each in graded], scores)
        run.judging.failed = 0
    return Judge(
        model=plan.judge,
        prompt=None,
        failed=0,
        prompt_tokens=0,
        completion_tokens=0,
        calibration=found,
    )


async def _bounded(
    work: Callable[[T], Awaitable[R]], over: Sequence[T], concurrency: int, progress: Progress
) -> list[R]:
    """`work` over all, `concurrency` at once, in their order."""
    places, done = asyncio.Semaphore(concurrency), 0

    async def one(each: T) -> R:
        nonlocal done
        async with places:
            found = await work(each)
        done += 1
        progress(done, len(over))
        return found

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
        notes=[f"{count} times {what}" for what, count in run.refused.most_common()],
        rows=list(rows),
    )
