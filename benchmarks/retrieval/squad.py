"""How well passages are found, answered from and declined, on SQuAD 2.0.

    python benchmarks/retrieval/squad.py FOLDER                      BM25 alone
    python benchmarks/retrieval/squad.py FOLDER --embedder MODEL     and hybrid
    ... --cache DIR                                                  keeps the vectors for next time

FOLDER holds documents.jsonl and questions.jsonl. What was tuned was tuned on the articles of the
first half (by the SHA-256 of their titles, every other one). No weight or threshold was fitted to
the second half, but its tables were seen while features were chosen: it is held out, not blind.
Precision and recall are of refusals as a detector of unanswerable questions; F1 and containment,
over the answerable ones, are SQuAD's (a refusal of one counts 0).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llm_service import bundle, corpus
from llm_service.calls import Call, Message
from llm_service.embedded import EmbeddedProvider
from llm_service.evaluations import scores
from llm_service.library import Hit, Library
from llm_service.retrieval import Index, LocalEmbedder, Retrieval, grounded, measure
from llm_service.retrieval.measure import Labelled
from llm_service.retrieval.similar import InMemory
from llm_service.retrieval.stores import FolderStore
from llm_service.retrieval.vectors import address

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
SECONDS = 60.0

Halves = Mapping[str, Sequence[Labelled]]


def halves(library: Library, questions: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    """The questions of either half of the articles, and all."""
    article = {p.document.id: p.document.title for p in library.passages}
    tuned = set(sorted(set(article.values()), key=_digest)[::2])
    return {
        "tuned on": [each for each in questions if article[each.document_id] in tuned],
        "held out": [each for each in questions if article[each.document_id] not in tuned],
        "all": list(questions),
    }


def _digest(title: str) -> str:
    return hashlib.sha256(title.encode()).hexdigest()


async def hybrid(library: Library, model: Path, cache: Path | None) -> Index:
    """The index with vectors, computed or from `cache`."""
    embedder = LocalEmbedder(model, remembered=100_000)
    where = address([passage.document for passage in library.passages], embedder)
    shelf = InMemory(FolderStore(cache) if cache else None)
    similar = await shelf.find(where)
    if similar is None:
        similar = await shelf.fill(where, library, embedder, lambda done: None)
    return Index(library, where, embedder, similar)


async def print_hits(parts: Halves, index: Index) -> None:
    """One line per half: hit@1, 3, 5, 10 and mean reciprocal rank."""
    for name, questions in parts.items():
        found = await measure.hits(questions, measure.of_index(index))
        at = "  ".join(f"hit@{place} {share:.3f}" for place, share in found.at.items())
        print(
            f"{index.method:8}{name:10}{found.count:5}  {at}  MRR {found.mean_reciprocal_rank:.3f}"
        )


async def answered(
    provider: EmbeddedProvider, questions: Sequence[Labelled]
) -> list[tuple[str, tuple[Hit, ...]]]:
    """What the answerer says to each question, and from what; nothing where it declines."""
    said = []
    for each in questions:
        call = Call(model="embedded", messages=(Message("user", each.question),))
        reply = await provider.complete(call, SECONDS)
        said.append((reply.text if reply.sources else "", reply.sources))
    return said


async def print_answers(name: str, parts: Halves, provider: EmbeddedProvider) -> None:
    """One line per half: refusals, F1 and containment."""
    for half, questions in parts.items():
        said = [text for text, _ in await answered(provider, questions)]
        declined = measure.refusals(
            (each.answerable, not text) for each, text in zip(questions, said, strict=True)
        )
        pairs = [(e, t) for e, t in zip(questions, said, strict=True) if e.answerable]
        print(
            f"{name:16}{half:10}{len(questions):5}  precision {declined.precision:.3f}  "
            f"recall {declined.recall:.3f}  false alarms {declined.false_alarms:.3f}  "
            f"F1 {_mean(pairs, scores.f1):.3f}  contained {_mean(pairs, scores.contained):.3f}"
        )


def _mean(pairs: Sequence[tuple[Labelled, str]], score: Callable[[str, str], float]) -> float:
    return sum(scores.best(score, text, each.answers) for each, text in pairs) / len(pairs)


async def print_curve(parts: Halves, provider: EmbeddedProvider) -> None:
    """Precision and recall of refusals by the threshold of doubt."""
    for half, questions in parts.items():
        for threshold in THRESHOLDS:
            at = replace(provider, doubted=threshold)
            said = [sources for _, sources in await answered(at, questions)]
            found = measure.refusals(
                (each.answerable, not sources)
                for each, sources in zip(questions, said, strict=True)
            )
            print(
                f"curve   {half:10} doubt >= {threshold:.1f}  precision {found.precision:.3f}  "
                f"recall {found.recall:.3f}  false alarms {found.false_alarms:.3f}"
            )


async def print_grounding(questions: Sequence[Labelled], provider: EmbeddedProvider) -> None:
    """How often `grounded` is wrong on answers of ours, and right on those of another page."""
    given = [(text, hits) for text, hits in await answered(provider, questions) if hits]
    false = sum(not grounded(text, hits[:1]) for text, hits in given) / len(given)
    strange = [
        (text, others[:1])
        for (text, hits), (_, others) in zip(given, [*given[1:], given[0]], strict=True)
        if hits[0].passage is not others[0].passage
    ]
    found = sum(not grounded(text, hits) for text, hits in strange) / len(strange)
    print(f"grounded: {false:.3f} of {len(given)} answers doubted wrongly, ", end="")
    print(f"{found:.3f} of {len(strange)} told from another page's")


async def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embedder", type=Path, help="a folder made by retrieval.export")
    parser.add_argument("--cache", type=Path, help="where vectors are kept")
    parser.add_argument("--curve", action="store_true", help="refusals by the threshold")
    given = parser.parse_args()
    library = Library(corpus.load(str(given.folder / "documents.jsonl")))
    parts = halves(library, measure.read(given.folder / "questions.jsonl"))
    packaged = bundle.load(None)
    prompt = packaged.prompt(packaged.feature())
    indexes = [Index(library, "")]
    if given.embedder:
        indexes.append(await hybrid(library, given.embedder, given.cache))
    for index in indexes:
        await print_hits(parts, index)
        plain = EmbeddedProvider(library, prompt, retrieval=Retrieval(index))
        for name, provider in (("plain", plain), ("strict", replace(plain, strict=True))):
            await print_answers(f"{index.method} {name}", parts, provider)
        if given.curve:
            await print_curve(parts, replace(plain, strict=True))
    await print_grounding(parts["all"], EmbeddedProvider(library, prompt))


if __name__ == "__main__":
    asyncio.run(main())
