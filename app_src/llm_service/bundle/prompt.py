"""A prompt of a bundle: `prompts/<name>/<version>.md`, TOML between `+++` lines, then the text.

A changed prompt is a new file with a higher version, never an edit: both can then be told apart in
a release, in an experiment and in a conversation that was logged.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from llm_service.bundle.errors import BundleError

FENCE = "+++\n"
NAME = r"[a-z][a-z0-9_-]*"
SEMVER = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?"
"""MAJOR.MINOR.PATCH, and a pre-release after a hyphen (semver.org, 2.0.0, without build data)."""
PATH = re.compile(rf"^prompts/(?P<name>{NAME})/(?P<version>{SEMVER})\.md$")
PLACES = frozenset({"sentences", "title"})
"""What the answer's template may name."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is told, and the two forms its reply may take."""

    version: str
    answer: str
    """Template of an answer; knows `{sentences}` and `{title}`."""
    decline: str
    """The whole reply when no passage answers."""
    system: str
    """The system message for a language model."""


def reference(path: str) -> str:
    """The name by which a feature asks for the prompt in the file `path`: `answer@1.0.0`.

    Raises BundleError for a path that is none of a prompt's.
    """
    found = PATH.match(path)
    if found is None:
        raise BundleError(
            f"{path} is no prompt: name it prompts/<name>/<version>.md, the name in small letters "
            "and the version like 1.0.0."
        )
    return f"{found['name']}@{found['version']}"


def parse(path: str, text: str) -> Prompt:
    """The prompt that the file `path` holds. Raises BundleError."""
    version = reference(path).partition("@")[2]
    parts = text.split(FENCE, 2)
    if len(parts) != 3 or parts[0].strip():
        raise BundleError(f"{path} does not begin with TOML between two lines of +++: add it.")
    try:
        fields = tomllib.loads(parts[1])
    except tomllib.TOMLDecodeError as error:
        raise BundleError(f"{path}: what is between the +++ lines is no TOML: {error}.") from error
    _check(path, version, fields)
    return Prompt(version, fields["answer"], fields["decline"], parts[2].strip())


def missing(wanted: str, known: Collection[str]) -> BundleError:
    """The error for a prompt that the bundle does not hold."""
    name, _, version = wanted.partition("@")
    versions = sorted(each.partition("@")[2] for each in known if each.startswith(f"{name}@"))
    choices = ", ".join(versions) or "none"
    return BundleError(
        f"There is no prompt {name} {version} in the bundle: choose one of {choices}."
    )


def load(name: str, version: str) -> Prompt:
    """The packaged prompt `name` in `version`. Raises BundleError."""
    folder = Path(__file__).parent / "prompts" / name
    path = folder / f"{version}.md"
    if not path.is_file():
        raise missing(f"{name}@{version}", [f"{name}@{each.stem}" for each in folder.glob("*.md")])
    return parse(f"prompts/{name}/{version}.md", path.read_text(encoding="utf-8"))


def _check(path: str, version: str, fields: dict[str, object]) -> None:
    for key in ("version", "answer", "decline"):
        if not isinstance(fields.get(key), str) or not fields[key]:
            raise BundleError(f"{path}: '{key}' is missing or no text: write {key} = \"...\".")
    if fields["version"] != version:
        raise BundleError(
            f"{path}: version is {fields['version']}, the file's name says {version}: make them "
            "the same."
        )
    unknown = sorted(set(fields) - {"version", "answer", "decline"})
    if unknown:
        raise BundleError(
            f"{path}: '{unknown[0]}' is not known: allowed are version, answer and decline."
        )
    _check_template(path, str(fields["answer"]))


def _check_template(path: str, answer: str) -> None:
    try:
        places = {place for _, place, _, _ in string.Formatter().parse(answer) if place is not None}
    except ValueError as error:
        raise BundleError(f"{path}: 'answer' is no template: {error}.") from error
    strange = sorted(places - PLACES)
    if strange or "sentences" not in places:
        found = f"names {{{strange[0]}}}" if strange else "leaves out {sentences}"
        raise BundleError(
            f"{path}: 'answer' {found}: it needs {{sentences}} and may name {{title}}."
        )
