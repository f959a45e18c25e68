"""Golden sets: questions with what a right answer says.

One line of JSON per question. Two shapes are read, alone or mixed:

    {"id", "question", "document_id", "answer"}                   the sample's golden.jsonl
    {"id", "question", "document_id", "answerable", "answers"}    SQuAD's

A question with `answerable: false` has no answer: declining is right. `id` may be missing (the
line's number then stands for it), and so may `document_id` (retrieval is then not scored).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_runbooks.errors import UsageError


@dataclass(frozen=True)
class Question:
    """A question of a golden set; `references` are right answers, none if it has no answer."""

    id: str
    text: str
    answerable: bool
    references: tuple[str, ...]
    document_id: str | None = None


@dataclass(frozen=True)
class Golden:
    """A golden set; `sha256` is the file's."""

    name: str
    sha256: str
    questions: tuple[Question, ...]

    def sample(self, count: int | None, seed: int) -> Golden:
        """`count` of the questions, the same ones for the same seed, in the file's order."""
        if count is None or count >= len(self.questions):
            return self
        chance = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
        chosen = sorted(chance.sample(range(len(self.questions)), count))
        return Golden(self.name, self.sha256, tuple(self.questions[at] for at in chosen))


@dataclass(frozen=True)
class Graded:
    """An answer that a person has scored, from 0 to 1."""

    question: str
    references: tuple[str, ...]
    answer: str
    human: float


def read(file: Path) -> Golden:
    """The golden set of a file. Raises UsageError with the line that is wrong."""
    content = _content(file)
    questions = tuple(_question(file, number, line) for number, line in _lines(file, content))
    if not questions:
        raise UsageError(f"{file} holds no question: give one JSON object per line.")
    (often, times), *_ = Counter(question.id for question in questions).most_common(1)
    if times > 1:
        raise UsageError(f"{file} has the id {often!r} {times} times: give each question its own.")
    return Golden(file.name, hashlib.sha256(content).hexdigest(), questions)


def read_graded(file: Path) -> tuple[Graded, ...]:
    """The calibration set of a file: `question`, `reference` (or a list), `answer` and `score`,
    a number from 0 to 1 or a boolean. Raises UsageError."""
    found = tuple(_graded(file, number, line) for number, line in _lines(file, _content(file)))
    if not found:
        raise UsageError(f"{file} holds no graded answer: give one JSON object per line.")
    return found


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _lines(file: Path, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number} is no JSON object.")
        yield number, row


def _question(file: Path, number: int, row: Mapping[str, Any]) -> Question:
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{file}, line {number} has no `question`.")
    references = _texts(row.get("answers", row.get("answer", row.get("reference"))))
    answerable = row.get("answerable", True)
    if references is None or not isinstance(answerable, bool) or (answerable and not references):
        raise UsageError(
            f"{file}, line {number} does not say what is right.",
            hint='Give "answer": "..." or "answers": [...], or "answerable": false.',
        )
    document = row.get("document_id")
    return Question(
        str(row.get("id", f"line-{number}")),
        text,
        answerable,
        references if answerable else (),
        None if document is None else str(document),
    )


def _graded(file: Path, number: int, row: Mapping[str, Any]) -> Graded:
    references = _texts(row.get("reference", row.get("references")))
    score = row.get("score", row.get("human"))
    texts = row.get("question"), row.get("answer")
    if references is None or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{file}, line {number} needs `question`, `reference` and `answer`.")
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        raise UsageError(f"{file}, line {number}: `score` is a person's, from 0 to 1.")
    return Graded(str(texts[0]), references, str(texts[1]), float(score))


def _texts(given: Any) -> tuple[str, ...] | None:
    """One text or several; None if it is neither."""
    several = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        return None
    return tuple(each for each in several if each.strip())
