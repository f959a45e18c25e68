"""Everything that is wrong with a bundle, all at once, and what is likely to disappoint.

The service refuses a bundle at the first error; this is for whoever writes one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from llm_service.bundle import bundle as bundles
from llm_service.bundle import prompt as prompts
from llm_service.bundle.errors import BundleError
from llm_service.bundle.feature import Feature, checks
from llm_service.bundle.prompt import Prompt
from llm_service.prices import price

OVERRIDES = {"ANSWER_PROMPT": "prompt", "ANSWER_SENTENCES": "sentences", "PASSAGES": "passages"}
"""Variables of a release's configuration -> the field of the default feature each replaces."""

LEAST = {"prompt": "any@1.0.0", "models": ["embedded"]}
"""What a feature needs besides its name."""


@dataclass(frozen=True)
class Finding:
    """One thing about one file; `level` is error or warning."""

    level: str
    file: str
    message: str


@dataclass(frozen=True)
class Row:
    """A feature, in a line."""

    name: str
    default: bool
    prompt: str
    models: tuple[str, ...]
    retrieval: str
    cache: str
    experiment: str


@dataclass(frozen=True)
class Report:
    """A bundle as it would be published; `digest` is its SHA-256."""

    digest: str
    features: tuple[Row, ...]
    prompts: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the service would take it."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {"ok": self.ok, **asdict(self)}


def lint(files: Mapping[str, str], configuration: Mapping[str, str] | None = None) -> Report:
    """The bundle in `files` (path -> text). `configuration`: the release's variables, which go
    before what the default feature says."""
    findings: list[Finding] = []
    features: dict[str, Feature] = {}
    texts: dict[str, Prompt] = {}
    for path in sorted(files):
        try:
            if path.startswith("features/"):
                feature = bundles.decode(path, files[path])
                features[feature.name] = feature
            else:
                texts[prompts.reference(path)] = prompts.parse(path, files[path])
        except BundleError as error:
            told = _one_by_one(path, files[path]) or [str(error)]
            findings += [Finding("error", path, each) for each in told]
    broken = {finding.file for finding in findings}
    findings += [Finding("error", *each) for each in _errors(features, texts, broken)]
    findings += [Finding("warning", *each) for each in _warnings(features, texts)]
    findings += [Finding("warning", *each) for each in _hidden(features, configuration or {})]
    rows = tuple(_row(feature) for feature in features.values())
    return Report(bundles.digest(files), rows, tuple(texts), tuple(findings))


def _one_by_one(path: str, text: str) -> list[str]:
    """What is wrong with each field of a feature on its own; empty if it is no object."""
    try:
        given = json.loads(text)
    except ValueError:
        return []
    if not path.startswith("features/") or not isinstance(given, dict):
        return []
    least = {"name": PurePosixPath(path).stem, **LEAST}
    trials = [{**least, key: value} for key, value in given.items()]
    trials += [
        {key: least[key] for key in least if key != missing}
        for missing in sorted(least.keys() - given)
    ]
    return list(dict.fromkeys(filter(None, (_error(path, trial) for trial in trials))))


def _error(path: str, fields: Mapping[str, Any]) -> str:
    try:
        bundles.decode(path, json.dumps(fields))
    except BundleError as error:
        return str(error)
    return ""


def _errors(
    features: Mapping[str, Feature], texts: Mapping[str, Prompt], broken: set[str]
) -> Iterator[tuple[str, str]]:
    """What is wrong between fields and between files."""
    for feature in features.values():
        path = f"features/{feature.name}.json"
        for key, what in checks(feature):
            yield path, f"{path}: '{key}' {what}."
        for wanted in dict.fromkeys(bundles.references(feature)):
            file = "prompts/{}/{}.md".format(*wanted.split("@"))
            if wanted not in texts and file not in broken:
                yield path, f"{path}: {prompts.missing(wanted, texts)}"
    if not any(path.startswith("features/") for path in broken):
        try:
            bundles.default(features)
        except BundleError as error:
            yield "features/", str(error)


def _warnings(
    features: Mapping[str, Feature], texts: Mapping[str, Prompt]
) -> Iterator[tuple[str, str]]:
    used = {wanted for feature in features.values() for wanted in bundles.references(feature)}
    for wanted in sorted(set(texts) - used):
        if not _superseded(wanted, used):
            path = "prompts/{}/{}.md".format(*wanted.split("@"))
            yield path, f"{path} is used by no feature and no variant: no model is told it."
    for feature in features.values():
        path = f"features/{feature.name}.json"
        for what in _doubts(feature):
            yield path, f"{path}: {what}"


def _superseded(prompt: str, used: Collection[str]) -> bool:
    """Whether a later version of it is used: then it is there to go back to."""
    name, _, version = prompt.partition("@")
    later = [each for each in used if each.partition("@")[0] == name]
    return any(_order(each.partition("@")[2]) > _order(version) for each in later)


def _order(version: str) -> tuple[tuple[int, ...], bool]:
    """Sorts versions; one with a pre-release goes before the one without."""
    numbers, _, pre = version.partition("-")
    return tuple(int(part) for part in numbers.split(".")), not pre


def _doubts(feature: Feature) -> Iterator[str]:
    """What about a feature is allowed and probably not meant."""
    for model in dict.fromkeys(_models(feature)):
        if not _priced(model):
            yield (
                f"{model} has no price, so its answers cost nothing in metrics and budgets: add "
                "it to prices.toml, or set PROMPT_PRICE and COMPLETION_PRICE."
            )
    if feature.budget_micro_usd_per_day is None and feature.at_budget != "refuse":
        yield (
            f'at_budget is "{feature.at_budget}" without a budget_micro_usd_per_day, so it never '
            "acts: set the budget."
        )
    if feature.cheaper and feature.at_budget != "cheaper":
        yield f'cheaper is given, but at_budget is "{feature.at_budget}": it is never used.'
    if feature.retrieval == "tool" and all(
        model.startswith("embedded") for model in feature.models
    ):
        yield 'retrieval is "tool", but the embedded answerer calls no tools: it reads passages.'
    if feature.hedge_after_ms is not None and len(feature.models) == 1:
        yield "hedge_after_ms is set, but there is no second model to ask."
    if feature.experiment and sum(each.weight > 0 for each in feature.experiment.variants) < 2:
        yield "its experiment gives everybody one variant, so it can show nothing."


def _hidden(
    features: Mapping[str, Feature], configuration: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Fields of the default feature that the release's configuration replaces by another value."""
    feature = next((each for each in features.values() if each.default), None)
    for variable, key in OVERRIDES.items():
        if feature is None or variable not in configuration:
            continue
        said, own = configuration[variable], str(getattr(feature, key))
        if said not in (own, own.partition("@")[2]):
            yield (
                "release.toml",
                f"configuration.{variable.lower()} is {said} and goes before '{key}' of "
                f"features/{feature.name}.json, which is {own}: say it in one place.",
            )


def _models(feature: Feature) -> list[str]:
    variants = feature.experiment.variants if feature.experiment else ()
    theirs = [model for each in variants for model in (each.changes.models or ())]
    return [*feature.models, *feature.cheaper, *theirs]


def _priced(model: str) -> bool:
    """Whether the table of prices has the model, by its own name or with its provider's."""
    provider, _, name = model.partition("/")
    return provider == "embedded" or price(model) is not None or price(name) is not None


def _row(feature: Feature) -> Row:
    experiment = feature.experiment
    return Row(
        name=feature.name,
        default=feature.default,
        prompt=feature.prompt,
        models=feature.models,
        retrieval=feature.retrieval,
        cache=feature.cache.mode,
        experiment=experiment.name if experiment else "",
    )
