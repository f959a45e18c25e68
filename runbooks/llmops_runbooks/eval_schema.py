"""The result of an evaluation: what `llmops eval` writes, and what it reads to compare.

`eval_result.schema.json` is made from these classes: `python -m llmops_runbooks.eval_schema`.
Metrics of a question, those that mean something for it, each a number:

    correct                          1 or 0: what runs are compared by unless asked otherwise
    f1, exact, contained             the answer beside its references, 0 to 1
    declined                         1 if the answer declines
    supported                        1 if the service says that passages hold the answer
    hit_at_1, hit_at_3, hit_at_5     1 if the right document is among the first found
    judge                            a model's score, 0 to 1
    latency_ms, first_token_ms       until the answer, and until its first words
    prompt_tokens, completion_tokens
    cost_micro_usd                   micro-dollars

An import may bring metrics of its own. Figures are those metrics' means over the questions that
have them, each with a 95 % interval, and besides them

    refusal_rate         share of all answers that decline
    refusal_precision    share of the refusals that are right: the question has no answer
    refusal_recall       share of the questions without an answer that are declined
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmops_runbooks.errors import UsageError

FILE = Path(__file__).with_name("eval_result.schema.json")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "llmops-eval/1"


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Table):
    """A mean or share over `n` questions with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class Times(Table):
    """Percentiles of a duration in milliseconds."""

    p50: float
    p95: float
    p99: float


class GoldenSet(Table):
    """The questions that were asked: the file, its SHA-256, how many of it."""

    name: str
    sha256: str
    questions: int


class Agreement(Table):
    """A measure of agreement with its 95 % interval (the bootstrap's, unless told otherwise); null
    where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Category(Table):
    """Graded answers of one kind: how many, how many of them people and the judge call right, on
    how many they agree, and how many the judge gave no score for. `n` counts those too."""

    n: int
    people: int
    judge: int
    agreed: int
    failed: int


class Baseline(Table):
    """How a score that asks no model agrees with people on the same answers. `gain`: the judge's
    accuracy less this one's, paired (Tango's interval); above zero, the judge is surely better."""

    accuracy: Agreement
    kappa: Agreement
    gain: Agreement | None = None


class Calibration(Table):
    """How a judging model agrees with people. Of both scores, from `cut` on an answer counts as
    right: accuracy (Wilson's interval) is the share of answers on which the words agree, kappa is
    Cohen's. spearman: of the scores. difference: the judge's mean score less the people's.
    baselines: `correct` and `f1` (from `cut` on), as the kit scores answers without a model."""

    name: str
    n: int
    failed: int
    cut: float
    accuracy: Agreement | None = None
    kappa: Agreement
    spearman: Agreement
    difference: float | None
    categories: dict[str, Category] = {}
    baselines: dict[str, Baseline] = {}


class Judge(Table):
    """The judging model; `prompt` is the version of its instructions, `failed` counts the answers
    it gave no score for. The tokens include those of the calibration."""

    model: str
    prompt: str | None
    failed: int
    prompt_tokens: int
    completion_tokens: int
    calibration: Calibration | None


class Row(Table):
    """One question. `answer` is null if the request failed, `error` then says how."""

    id: str
    question: str
    answerable: bool
    references: list[str]
    document_id: str | None = None
    answer: str | None
    error: str | None = None
    retries: int = 0
    release: str = ""
    judge_why: str | None = None
    metrics: dict[str, float]


class Result(Table):
    """One run of an evaluation, or an import of one."""

    schema_: Annotated[Literal["llmops-eval/1"], Field(alias="schema")] = "llmops-eval/1"
    name: str
    source: Literal["llmops", "promptfoo", "junit"]
    created_at: str
    target: str
    releases: dict[str, int]
    golden: GoldenSet | None
    settings: dict[str, str | int | float | bool | None]
    seconds: float
    asked: int
    failed: int
    retried: int
    figures: dict[str, Figure]
    latency_ms: Times | None
    first_token_ms: Times | None
    judge: Judge | None
    notes: list[str]
    rows: list[Row]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def interrupted(self) -> bool:
        """Whether not all questions of the golden set were asked."""
        return self.golden is not None and self.asked < self.golden.questions

    def text(self) -> str:
        """The result as its file has it."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema, draft 2020-12."""
    return {"$schema": DRAFT, **Result.model_json_schema(by_alias=True, mode="serialization")}


def text() -> str:
    """The schema as its file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def load(file: Path) -> Result:
    """The result in a file. Raises UsageError."""
    try:
        return Result.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise UsageError(
            f"{file} is no result of an evaluation: {where}: {first['msg']}.",
            hint="Make one with llmops eval run, or llmops eval import.",
        ) from error


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
