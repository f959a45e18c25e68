"""What an evaluation is asked with, and what it says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MOST_TEXT = 32_768
"""Characters of a question, a reference or an answer."""

Text = Annotated[str, StringConstraints(max_length=MOST_TEXT)]
Share = Annotated[float, Field(ge=0, le=1)]
Verdict = Literal["correct", "partly", "wrong", "declined"]


class EvaluationRequest(BaseModel):
    """`reference` is what the answer should have said, or several ways to say it; an empty list
    says that the question cannot be answered. `judge` is `provider/model` or a feature's name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "How long may a cup stand?",
                    "reference": "20 minutes",
                    "answer": "It may stand for 20 minutes.",
                }
            ]
        }
    )

    question: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]
    reference: Text | Annotated[list[Text], Field(max_length=32)]
    answer: Text
    contexts: Annotated[list[Text], Field(max_length=32)] | None = None
    judge: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @property
    def references(self) -> list[str]:
        """The references that say something."""
        given = [self.reference] if isinstance(self.reference, str) else self.reference
        return [reference for reference in given if reference.strip()]


class Judged(BaseModel):
    """What a model says. `prompt` is the version of its instructions."""

    score: Share
    why: str
    model: str
    prompt: str
    prompt_tokens: int
    completion_tokens: int


class Evaluation(BaseModel):
    """`metrics` are the rules' measures, 0 to 1: those that mean something here. `score` is the
    judge's where there is one. `judge_error` says why a judge that was asked gave no score."""

    object: Literal["evaluation"] = "evaluation"
    score: Share
    verdict: Verdict
    why: str
    metrics: dict[str, float]
    judge: Judged | None = None
    judge_error: str | None = None
