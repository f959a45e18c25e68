"""A bundle: every feature of a release and every prompt they use, known by one digest.

A bundle is files: `features/<name>.json` and `prompts/<name>/<version>.md`. Its digest is the
SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of path -> text, which is also how a
bundle is stored: `bundles/<digest>.json`. So whoever holds the digest can tell whether what was
fetched is what was released.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

import msgspec

from llm_service.bundle import prompt as prompts
from llm_service.bundle.errors import BundleError
from llm_service.bundle.feature import (
    CachePolicy,
    Changes,
    Experiment,
    Feature,
    Variant,
    checks,
)
from llm_service.bundle.prompt import Prompt

FEATURE = re.compile(rf"^features/(?P<name>{prompts.NAME})\.json$")
AT = re.compile(r"^(?P<what>.*?) - at `(?P<key>[^`]+)`$", re.DOTALL)
OBJECTS: Mapping[str, type[msgspec.Struct]] = {
    "cache": CachePolicy,
    "variants": Variant,
    "experiment": Experiment,
    "": Feature,
}
"""The end of a key -> what stands there."""
UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Features by name, prompts by `name@version`; `default` names the feature that answers
    requests which name none."""

    features: Mapping[str, Feature]
    prompts: Mapping[str, Prompt]
    default: str
    digest: str

    def feature(self, name: str = "") -> Feature:
        """The feature called `name`; the default one where there is none of that name."""
        return self.features.get(name) or self.features[self.default]

    def prompt(self, feature: Feature) -> Prompt:
        """What the models of the feature, with a variant applied or not, are told."""
        return self.prompts[feature.prompt]

    def overridden(
        self,
        *,
        prompt: str | None = None,
        passages: int | None = None,
        sentences: int | None = None,
        models: tuple[str, ...] | None = None,
    ) -> Bundle:
        """The bundle with what a release's configuration says of the default feature laid over it.

        `prompt` is `name@version`, or a version of the prompt that the feature has. Raises
        BundleError if there is no such prompt.
        """
        feature = self.features[self.default]
        if prompt is not None and "@" not in prompt:
            prompt = f"{feature.prompt.partition('@')[0]}@{prompt}"
        if prompt is not None and prompt not in self.prompts:
            raise prompts.missing(prompt, self.prompts)
        given = {"prompt": prompt, "passages": passages, "sentences": sentences, "models": models}
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        changed = msgspec.structs.replace(feature, **changes)
        return replace(self, features={**self.features, self.default: changed})


def parse(files: Mapping[str, str]) -> Bundle:
    """The bundle in `files` (path -> text). Raises BundleError for the first thing wrong in it."""
    found: dict[str, Feature] = {}
    texts: dict[str, Prompt] = {}
    for path in sorted(files):
        if path.startswith("features/"):
            feature = decode(path, files[path])
            found[feature.name] = feature
        else:
            texts[prompts.reference(path)] = prompts.parse(path, files[path])
    for feature in found.values():
        check(feature, texts)
    return Bundle(found, texts, default(found), digest(files))


def decode(path: str, text: str) -> Feature:
    """The feature that the file `path` holds. Raises BundleError."""
    named = FEATURE.match(path)
    if named is None:
        raise BundleError(f"{path} is no feature: name it features/<name>.json, in small letters.")
    try:
        feature = msgspec.json.decode(text, type=Feature)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path}: {_sentence(str(error))}") from error
    except msgspec.DecodeError as error:
        raise BundleError(f"{path} is no JSON: {error}.") from error
    if feature.name != named["name"]:
        raise BundleError(
            f"{path}: name is {feature.name}, the file's name says {named['name']}: make them the "
            "same."
        )
    return feature


def check(feature: Feature, known: Mapping[str, Prompt]) -> None:
    """Raises BundleError for what no single field can say, and for a prompt that is not there."""
    path = f"features/{feature.name}.json"
    for key, what in checks(feature):
        raise BundleError(f"{path}: '{key}' {what}.")
    for wanted in references(feature):
        if wanted not in known:
            raise BundleError(f"{path}: {prompts.missing(wanted, known)}")


def references(feature: Feature) -> list[str]:
    """The prompts that the feature and its variants ask for."""
    variants = feature.experiment.variants if feature.experiment else ()
    theirs = [each.changes.prompt for each in variants if isinstance(each.changes.prompt, str)]
    return [feature.prompt, *theirs]


def digest(files: Mapping[str, str]) -> str:
    """The SHA-256 of the bundle's canonical JSON."""
    return hashlib.sha256(canonical(files)).hexdigest()


def canonical(files: Mapping[str, str]) -> bytes:
    """The bundle as it is hashed and stored."""
    return json.dumps(
        dict(files), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def default(features: Mapping[str, Feature]) -> str:
    """The name of the one default feature. Raises BundleError unless there is exactly one."""
    names = [name for name, feature in features.items() if feature.default]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise BundleError(
            f'The bundle needs one feature with "default": true, and has {found}: set it in one '
            "file of features/."
        )
    return names[0]


def _sentence(told: str) -> str:
    """What msgspec says of a value, with the key as a person writes it and what is allowed."""
    at = AT.match(told)
    what, place = (at["what"], at["key"]) if at else (told, "$")
    key = place.removeprefix("$").removeprefix(".")
    unknown = UNKNOWN.match(what)
    if unknown:
        allowed = _object(key).__struct_encode_fields__
        name = f"{key}.{unknown['field']}".removeprefix(".")
        near = difflib.get_close_matches(unknown["field"], allowed, 1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        return f"'{name}' is not known{meant}: allowed are {', '.join(allowed)}."
    last = key.rpartition(".")[2].partition("[")[0]
    if what.startswith("Invalid enum value"):
        return f"'{key}': {what}: allowed are {', '.join(_choices(key, last))}."
    if "matching regex" in what and last in FORMS:
        return f"'{key}' is not in its form: write {FORMS[last]}."
    return f"'{key}': {what}." if key else f"{what}."


def _object(key: str) -> type[msgspec.Struct]:
    """What stands at `key`."""
    plain = key.partition("[")[0]
    if key.endswith("changes"):
        return Changes
    return next(found for end, found in OBJECTS.items() if plain.endswith(end))


def _choices(key: str, last: str) -> tuple[str, ...]:
    """The words that may stand at `key`."""
    fields = msgspec.structs.fields(_object(key.rpartition(".")[0]))
    kind = next(field.type for field in fields if field.name == last)
    kinds: list[Any] = [kind, *get_args(kind)]
    while kinds and get_origin(kinds[0]) is not Literal:
        kinds = [*kinds[1:], *get_args(kinds[0])]
    return get_args(kinds[0])


MODELS = '<provider>/<model>, as in "openai/gpt-4o-mini", or "embedded"'
NAMES = "small letters, digits, - and _, a letter first"
FORMS: Mapping[str, str] = {
    "models": MODELS,
    "cheaper": MODELS,
    "prompt": '<name>@<version>, as in "answer@1.0.0"',
    "name": NAMES,
    "started": "a day, as in 2026-03-01, or a time, as in 2026-03-01T09:00:00Z",
}
"""What a text that must match a pattern looks like, in words."""
