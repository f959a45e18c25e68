"""How good retrieval and refusals are, on questions whose documents are known.

`hits` asks any search (in this process, or a service over HTTP) and says how often the document is
among the first k. `Refusals` counts declined questions as a detector of unanswerable ones would be
judged: precision is the share of refusals that were right, recall the share of unanswerable
questions that were declined.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_service.http import HttpClient
from llm_service.retrieval.index import Index

PLACES = (1, 3, 5, 10)

Search = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a question and a limit to the ids of documents, best first."""


class MeasureError(Exception):
    """One sentence: why it could not be measured."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, the document it is about, and its answers; none if it has no answer."""

    question: str
    document_id: str
    answers: tuple[str, ...]

    @property
    def answerable(self) -> bool:
        """Whether the document answers it."""
        return bool(self.answers)


@dataclass(frozen=True, slots=True)
class Hits:
    """Of `count` questions: the share with their document among the first k (`at`), and the mean
    reciprocal rank among the first ten."""

    count: int
    at: Mapping[int, float]
    mean_reciprocal_rank: float


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many questions were declined, of those without an answer and of those with one."""

    unanswerable: int
    rightly: int
    answerable: int
    wrongly: int

    @property
    def precision(self) -> float:
        """The share of the refusals that were right; 1 if there were none."""
        declined = self.rightly + self.wrongly
        return self.rightly / declined if declined else 1.0

    @property
    def recall(self) -> float:
        """The share of the unanswerable questions that were declined."""
        return self.rightly / self.unanswerable if self.unanswerable else 1.0

    @property
    def false_alarms(self) -> float:
        """The share of the answerable questions that were declined."""
        return self.wrongly / self.answerable if self.answerable else 0.0


def read(path: Path) -> list[Labelled]:
    """Questions in JSON lines: {"question", "document_id"} with "answer", or with "answers" as
    SQuAD has them (empty: no answer). Raises MeasureError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_labelled(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{path} cannot be read as labelled questions: {error!r}.") from error


async def hits(labelled: Iterable[Labelled], search: Search) -> Hits:
    """How `search` does on the questions that have an answer."""
    ranks = [
        _rank(each.document_id, await search(each.question, PLACES[-1]))
        for each in labelled
        if each.answerable
    ]
    if not ranks:
        raise MeasureError("There is no question with an answer: retrieval cannot be measured.")
    found = [rank for rank in ranks if rank]
    at = {place: sum(rank <= place for rank in found) / len(ranks) for place in PLACES}
    return Hits(len(ranks), at, sum(1 / rank for rank in found) / len(ranks))


def refusals(outcomes: Iterable[tuple[bool, bool]]) -> Refusals:
    """The counts of (answerable, declined) pairs."""
    seen = list(outcomes)
    without = [declined for answerable, declined in seen if not answerable]
    having = [declined for answerable, declined in seen if answerable]
    return Refusals(len(without), sum(without), len(having), sum(having))


def of_index(index: Index) -> Search:
    """The search of an index in this process."""

    async def search(question: str, limit: int) -> list[str]:
        return [hit.passage.document.id for hit in await index.search(question, limit)]

    return search


def over_http(client: HttpClient, url: str, token: str = "", seconds: float = 10.0) -> Search:
    """The search of the service at `url` by its POST /v1/search. Raises MeasureError, HttpError."""
    head = {"content-type": "application/json"}
    if token:
        head["authorization"] = f"Bearer {token}"
    endpoint = client.endpoint(f"{url.rstrip('/')}/v1/search", head)

    async def search(question: str, limit: int) -> list[str]:
        body = json.dumps({"query": question, "top_k": limit}).encode()
        reply = await endpoint.post(body, seconds)
        if reply.status != 200:
            raise MeasureError(f"{url} answered a search with {reply.status}.")
        return [str(found["id"]) for found in json.loads(reply.body)["results"]]

    return search


def _labelled(row: Mapping[str, Any]) -> Labelled:
    answers = row["answers"] if "answers" in row else [row["answer"]]
    return Labelled(str(row["question"]), str(row["document_id"]), tuple(map(str, answers)))


def _rank(wanted: str, found: Sequence[str]) -> int:
    """The place of `wanted` in `found`, from 1; 0 if it is not there."""
    return found.index(wanted) + 1 if wanted in found else 0
