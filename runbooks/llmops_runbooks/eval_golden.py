"""Golden sets: questions with what a right answer says.

One line of JSON per question. Two shapes are read, alone or mixed:

    {"id", "question", "document_id", "answer"}                   the sample's golden.jsonl
    {"id", "question", "document_id", "answerable", "answers"}    SQuAD's

A question with `answerable: false` has no answer: declining is right. `id` may be missing (the
line's number then stands for it), and so may `document_id` (retrieval is then not scored).

Calibration sets: answers that a person has read and labelled, for a judge to be held against.

    {"id", "question", "reference", "answer", "label", "category", "reason", "document_id"}

`reference` is a text or a list, empty if the question has no answer. `label` is "correct" or
"incorrect"; a `score` from 0 to 1 may stand in its place. The rest may be missing: `category` is
what the agreement is told by, `reason` and `document_id` are for readers.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_runbooks.errors import UsageError

CALIBRATION = "calibration.jsonl"
"""What a calibration set is called that is used without being named."""
LABELS = {"correct": 1.0, "incorrect": 0.0}


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
    """An answer that a person has scored, from 0 to 1; `category`: what kind of answer it is."""

    question: str
    references: tuple[str, ...]
    answer: str
    human: float
    category: str = ""


def read(file: Path) -> Golden:
    """The golden set of a file. Raises UsageError with the line that is wrong."""
    content = _content(file)
    questions = tuple(_question(file, number, line) for number, line in _lines(file, content))
    if not questions:
        raise UsageError(f"{file} holds no question: give one JSON object per line.")
    _refuse_twice(file, [question.id for question in questions])
    return Golden(file.name, hashlib.sha256(content).hexdigest(), questions)


def read_graded(file: Path) -> tuple[Graded, ...]:
    """The calibration set of a file. Raises UsageError with the line that is wrong."""
    rows = list(_lines(file, _content(file)))
    found = tuple(_graded(file, number, row) for number, row in rows)
    if not found:
        raise UsageError(f"{file} holds no graded answer: give one JSON object per line.")
    _refuse_twice(file, [str(row["id"]) for _, row in rows if "id" in row])
    return found


def beside(golden: Path, *others: Path) -> Path | None:
    """The calibration set in the golden set's folder, or the first that exists of the others."""
    places = (golden.with_name(CALIBRATION), *others)
    return next((place for place in places if place.is_file()), None)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _lines(file: Path, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects with the numbers of their lines; only a line feed ends a line, for JSON's texts
    may hold the other separators as they are."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {wrong} is not UTF-8: save the file as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number} is no JSON object.")
        yield number, row


def _refuse_twice(file: Path, ids: Sequence[str]) -> None:
    counted = Counter(ids).most_common(1)
    if counted and counted[0][1] > 1:
        often, times = counted[0]
        raise UsageError(f"{file} has the id {often!r} {times} times: give each line its own.")


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
    given = row.get("reference", row.get("references"))
    references = None if given is None else _texts(given)
    texts = row.get("question"), row.get("answer")
    if references is None or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{file}, line {number} needs `question`, `reference` and `answer`.")
    score = LABELS.get(str(row["label"])) if "label" in row else row.get("score", row.get("human"))
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        raise UsageError(
            f"{file}, line {number} does not say how good a person found the answer.",
            hint='Give "label": "correct" or "incorrect", or a "score" from 0 to 1.',
        )
    category = str(row.get("category", ""))
    return Graded(str(texts[0]), references, str(texts[1]), float(score), category)


def _texts(given: Any) -> tuple[str, ...] | None:
    """One text or several; None if it is neither."""
    several = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        return None
    return tuple(each for each in several if each.strip())
