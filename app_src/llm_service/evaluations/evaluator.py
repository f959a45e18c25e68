"""Evaluations: the rules' verdict, and a model's where one is asked for.

A judge's score takes the place of the rules', whose measures stay beside it. A judge that fails
costs nothing but its own score: the rules' stands, and `judge_error` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from llm_service.auth import ANONYMOUS, Principal
from llm_service.errors import ApiError
from llm_service.evaluations import rules
from llm_service.evaluations.judge import Complete, Unjudged, call, judged
from llm_service.evaluations.paying import Nothing, Paying
from llm_service.evaluations.settings import EvaluationSettings
from llm_service.evaluations.shapes import Evaluation, EvaluationRequest, Judged

ModelsOf = Callable[[str], Sequence[str]]
"""The models of the feature of that name in their order; empty if there is no such feature."""


def no_features(_: str) -> Sequence[str]:
    """For a service without features."""
    return ()


class Evaluator:
    """Evaluates answers. `complete` None: no provider is configured, so no model can judge;
    `providers` are the configured ones, None: whatever is named."""

    def __init__(
        self,
        settings: EvaluationSettings,
        complete: Complete | None = None,
        models_of: ModelsOf = no_features,
        paying: Paying | None = None,
        providers: Collection[str] | None = None,
    ) -> None:
        self._settings, self._complete, self._models_of = settings, complete, models_of
        self._providers = providers
        self._paying: Paying = paying or Nothing()

    async def evaluate(
        self, asked: EvaluationRequest, principal: Principal = ANONYMOUS
    ) -> Evaluation:
        """The verdict. Raises ApiError: 404 for a judge that there is not, 429 where the
        principal's limits, or for a judge its budgets, do not let it ask."""
        if asked.judge is None:
            self._paying.count(principal)
        ruling = rules.ruling(asked.answer, asked.references, asked.contexts)
        found = Evaluation(
            score=ruling.score, verdict=ruling.verdict, why=ruling.why, metrics=ruling.metrics
        )
        if asked.judge is None:
            return found
        try:
            return _with(found, await self._judged(asked, self._models(asked.judge), principal))
        except Unjudged as failure:
            return found.model_copy(update={"judge_error": str(failure)})

    async def _judged(
        self, asked: EvaluationRequest, models: Sequence[str], principal: Principal
    ) -> Judged:
        if self._complete is None:
            raise _unknown("there is no provider configured")
        asking = call(asked)
        book = self._paying.admit(principal, asking)
        return await judged(self._complete, models, asking, self._settings.seconds, book)

    def _models(self, name: str) -> Sequence[str]:
        models = tuple(model for model in self._models_of(name) if not _embedded(model))
        if not models and "/" in name.strip("/") and not _embedded(name):
            models = (name,)
        allowed = [model for model in models if self._may_judge(model)]
        if not allowed:
            raise _unknown(f"{name!r} names no model that may judge")
        return allowed

    def _may_judge(self, model: str) -> bool:
        provider = model.partition("/")[0]
        if self._providers is not None and provider not in self._providers:
            return False
        return not self._settings.judges or model in self._settings.judges


def _embedded(model: str) -> bool:
    """The embedded answerer finds passages; it cannot judge."""
    return model.partition("/")[0] == "embedded"


def _with(found: Evaluation, judge: Judged) -> Evaluation:
    declined = found.verdict == "declined"
    verdict = "declined" if declined else rules.word(judge.score)
    return found.model_copy(
        update={"score": judge.score, "verdict": verdict, "why": judge.why, "judge": judge}
    )


def _unknown(reason: str) -> ApiError:
    return ApiError(
        404,
        f"judge: {reason}; name a configured provider's model as provider/model, or a feature.",
        code="judge_not_found",
        param="judge",
    )
