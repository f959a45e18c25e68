"""A feature: how one kind of question is answered. One file each, `features/<name>.json`.

The fields' ranges and descriptions are in their types, so that decoding, the published JSON Schema
and the documentation cannot say different things. What spans several fields is in `checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from llm_service.bundle.prompt import NAME, SEMVER

Name = Annotated[str, Meta(pattern=rf"^{NAME}$", max_length=64)]
PromptName = Annotated[
    str, Meta(pattern=rf"^{NAME}@{SEMVER}$", description="A prompt of the bundle, name@version.")
]
TARGET = r"^(?:embedded|[a-z][a-z0-9_-]*/\S+)$"
Model = Annotated[
    str,
    Meta(pattern=TARGET, description="provider/model, or `embedded` for the built-in answerer."),
]
Models = Annotated[
    tuple[Model, ...],
    Meta(min_length=1, description="Models in the order they are asked; the next if one fails."),
]
Retrieval = Annotated[
    Literal["context", "tool", "none"],
    Meta(
        description="context: passages are put into the prompt. tool: the model may ask for them "
        "with search_corpus, at most four times. none: it answers without."
    ),
]
Passages = Annotated[int, Meta(ge=1, le=20, description="Passages read for one question.")]
Sentences = Annotated[
    int, Meta(ge=1, le=10, description="Sentences that the embedded answerer quotes.")
]
Temperature = Annotated[
    Annotated[float, Meta(ge=0, le=2)] | None,
    Meta(description="Sampling temperature, 0 to 2; null: the provider's own."),
]
MaxTokens = Annotated[
    Annotated[int, Meta(ge=1, le=1_000_000)] | None,
    Meta(description="Most tokens of an answer; null: the provider's own."),
]


class CachePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which answers may be given again."""

    mode: Annotated[
        Literal["off", "exact", "semantic"],
        Meta(description="exact: the same question. semantic: one that means the same."),
    ] = "off"
    scope: Annotated[
        Literal["user", "feature"],
        Meta(description="Who may be given an answer again: the same user, or anyone."),
    ] = "user"
    ttl_seconds: Annotated[
        float, Meta(gt=0, le=2_592_000, description="Seconds an answer is kept, at most 30 days.")
    ] = 3600.0
    threshold: Annotated[
        float,
        Meta(gt=0, le=1, description="Least cosine similarity of two questions, for semantic."),
    ] = 0.94


class Changes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a variant does otherwise than its feature; what is left out stays."""

    prompt: PromptName | UnsetType = UNSET
    models: Models | UnsetType = UNSET
    retrieval: Retrieval | UnsetType = UNSET
    passages: Passages | UnsetType = UNSET
    sentences: Sentences | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    max_tokens: MaxTokens | UnsetType = UNSET


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arm of an experiment."""

    name: Annotated[Name, Meta(description="Its name, as in the metrics.")]
    weight: Annotated[float, Meta(ge=0, le=1, description="Its share of the subjects, 0 to 1.")]
    changes: Annotated[Changes, Meta(description="What it does otherwise than the feature.")] = (
        Changes()
    )


class Experiment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Variants of a feature, each for a share of the subjects. The first variant is the control."""

    name: Annotated[
        Name,
        Meta(description="Its name; it salts the draw, so a new name draws everyone anew."),
    ]
    variants: Annotated[
        tuple[Variant, ...],
        Meta(min_length=2, description="The arms; weights sum to 1. The first is the control."),
    ]
    unit: Annotated[
        Literal["user", "conversation", "request"],
        Meta(description="What is drawn and keeps its variant; each request for itself: request."),
    ] = "user"
    metric: Annotated[
        Literal["quality", "feedback", "cost", "latency", "errors"],
        Meta(description="What decides the experiment."),
    ] = "quality"
    started: Annotated[
        str,
        Meta(
            pattern=r"^(?:\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}Z)?)?$",
            description="When it began, 2026-03-01 or 2026-03-01T09:00:00Z; reports count from it.",
        ),
    ] = ""


class Feature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """How one kind of question is answered."""

    name: Annotated[Name, Meta(description="Its name; the file is features/<name>.json.")]
    prompt: PromptName
    models: Models
    default: Annotated[
        bool, Meta(description="Whether it answers requests that name no feature; exactly one.")
    ] = False
    cheaper: Annotated[
        tuple[Model, ...],
        Meta(description="Models asked instead once the budget is spent, for at_budget cheaper."),
    ] = ()
    retrieval: Retrieval = "context"
    passages: Passages = 4
    sentences: Sentences = 2
    temperature: Temperature = None
    max_tokens: MaxTokens = None
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=600, description="Seconds for the whole answer.")
    ] = 30.0
    hedge_after_ms: Annotated[
        Annotated[float, Meta(ge=1, le=600_000)] | None,
        Meta(
            description="Milliseconds without a first token after which the next model is asked as "
            "well; null: never."
        ),
    ] = None
    cache: Annotated[CachePolicy, Meta(description="Which answers may be given again.")] = (
        CachePolicy()
    )
    budget_micro_usd_per_day: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="What its answers may cost in a day (UTC), micro-dollars; null: no cap."),
    ] = None
    at_budget: Annotated[
        Literal["refuse", "cheaper", "warn"],
        Meta(description="What happens beyond the budget: status 429, cheaper models, or a line."),
    ] = "refuse"
    redact_for_provider: Annotated[
        bool, Meta(description="Whether personal data is masked before a provider sees it.")
    ] = False
    log_conversations: Annotated[
        bool, Meta(description="Whether its conversations are kept, where the service keeps any.")
    ] = True
    prediction: Annotated[
        bool,
        Meta(description="Whether the embedded answer is sent along as a draft (OpenAI's field)."),
    ] = False
    experiment: Annotated[
        Experiment | None, Meta(description="Variants of it that are compared; null: none.")
    ] = None
    schema: Annotated[str, Meta(description="Where this schema is; for editors.")] = msgspec.field(
        default="", name="$schema"
    )

    @cached_property
    def varied(self) -> Mapping[str, Feature]:
        """The feature as each variant of its experiment has it, by the variant's name. Made once,
        so that what is remembered of a feature is found again by its identity."""
        variants = self.experiment.variants if self.experiment else ()
        return {variant.name: _changed(self, variant.changes) for variant in variants}


def _changed(feature: Feature, changes: Changes) -> Feature:
    given = {
        name: value
        for name in Changes.__struct_fields__
        if (value := getattr(changes, name)) is not UNSET
    }
    return msgspec.structs.replace(feature, **given) if given else feature


def checks(feature: Feature) -> Iterator[tuple[str, str]]:
    """Key and sentence of everything about the feature that no single field's type can say."""
    if feature.at_budget == "cheaper" and not feature.cheaper:
        yield "cheaper", 'is empty, but at_budget is "cheaper": name the models to fall back on'
    if feature.experiment is not None:
        yield from _experiment(feature.experiment)


def _experiment(experiment: Experiment) -> Iterator[tuple[str, str]]:
    names = [variant.name for variant in experiment.variants]
    total = sum(variant.weight for variant in experiment.variants)
    if len(set(names)) < len(names):
        yield "experiment.variants", "have two of the same name: make the names differ"
    if abs(total - 1) > 1e-6:
        yield "experiment.variants", f"have weights that sum to {total:g}: make the sum 1"
