"""The prompts of the service: `<name>/<version>.md`, TOML between `+++` lines, then the text.

The files are the prompt bundle that a release's digest covers: a changed prompt is a new file
and a new release, never an edit.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
FENCE = "+++\n"


class PromptError(Exception):
    """There is no such prompt, or its file is not in the format above."""


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


def load(name: str, version: str, folder: Path = FOLDER) -> Prompt:
    """The prompt `name` in `version`. Raises PromptError."""
    path = folder / name / f"{version}.md"
    try:
        _, head, system = path.read_text(encoding="utf-8").split(FENCE, 2)
        fields = tomllib.loads(head)
        return Prompt(version, fields["answer"], fields["decline"], system.strip())
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in (folder / name).glob("*.md"))) or "none"
        raise PromptError(
            f"There is no prompt {name} {version} in the bundle: choose one of {known}."
        ) from error
    except (ValueError, KeyError) as error:
        raise PromptError(f"The prompt {path.name} of {name} is malformed: {error!r}.") from error
