"""The sample handbook: documents, the golden set, and the ways people phrase a question.

`documents.jsonl` is the corpus, `golden.jsonl` asks for one fact each, and `phrasings.jsonl` are
the wrappings (greetings, reasons, asides) such questions arrive in, weighted by how common they
are. Golden questions drawn with phrasings make traffic that resembles users.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Golden:
    """A question, the document that answers it, and the words its answer must contain."""

    id: str
    question: str
    document_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A message with `{question}` in it; weights of a set add up to 1."""

    id: str
    template: str
    weight: float

    def phrase(self, question: str) -> str:
        """The message a user sends who asks `question` this way."""
        return self.template.replace("{question}", question)


def load_golden(path: Path = FOLDER / "golden.jsonl") -> list[Golden]:
    """The golden set, in the order of the file."""
    return [Golden(**row) for row in _rows(path)]


def load_phrasings(path: Path = FOLDER / "phrasings.jsonl") -> list[Phrasing]:
    """The phrasings, in the order of the file."""
    return [Phrasing(**row) for row in _rows(path)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)
