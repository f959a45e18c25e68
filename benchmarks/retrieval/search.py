"""How long a hybrid search over 10,000 pages takes, the question's embedding included.

    python benchmarks/retrieval/search.py FOLDER --embedder MODEL [--plain DIR] [--pages 10000]

The pages are made of the sentences of FOLDER/documents.jsonl, drawn at random, under numbered
titles; a page's vectors are those of its sentences (embedded once each) and their mean. What a
search costs does not depend on what they mean. Every question is new to the embedder's memory.
`--plain` names the folder of the original model: the same questions through a plain numpy forward
of it, for comparison in the same run. All of it runs on one core, as a service with one process per
core does.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

from llm_service import corpus
from llm_service.corpus import Document
from llm_service.library import Library
from llm_service.retrieval import Index, LocalEmbedder, measure
from llm_service.retrieval.vectors import Vectors, coarse

WARM = 20


def pages(folder: Path, count: int) -> tuple[list[Document], list[list[int]], list[str]]:
    """Documents, the numbers of the sentences each is made of, and the sentences."""
    chance = random.Random(1)
    library = Library(corpus.load(str(folder / "documents.jsonl")))
    sentences = sorted({s.text for passage in library.passages for s in passage.sentences})
    whole = [text for text in sentences if text[0].isupper() and text[-1] == "."]
    drawn = [chance.sample(range(len(whole)), 5) for _ in range(count)]
    made = [
        Document(str(i), f"Page {i}", " ".join(whole[n] for n in numbers))
        for i, numbers in enumerate(drawn)
    ]
    return made, drawn, whole


async def vectors(
    library: Library, drawn: Sequence[Sequence[int]], whole: Sequence[str], embedder: LocalEmbedder
) -> Vectors:
    """A vector per page and one per sentence; of as many sentences as the library cut."""
    known = await embedder.embed(whole)
    rows, means, starts = [], [], [0]
    for passage, numbers in zip(library.passages, drawn, strict=True):
        mine = known[[numbers[i % len(numbers)] for i in range(len(passage.sentences))]]
        rows.append(coarse(mine))
        mean = mine.mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
        starts.append(starts[-1] + len(mine))
    return Vectors(np.stack(means), np.concatenate(rows), np.array(starts, np.int32))


async def timed(
    name: str, questions: Sequence[str], ask: Callable[[str], Awaitable[object]]
) -> float:
    """Prints p50 and p99 of `ask` and the processor time of one, in milliseconds; gives back the
    latter, which other programs on the machine disturb less."""
    for question in questions[:WARM]:
        await ask(question)
    took, busy = [], time.process_time()
    for question in questions[WARM:]:
        began = time.perf_counter()
        await ask(question)
        took.append((time.perf_counter() - began) * 1e3)
    used = (time.process_time() - busy) * 1e3 / len(took)
    middle, high = np.percentile(took, [50, 99])
    print(f"{name:28} p50 {middle:6.2f} ms  p99 {high:6.2f} ms  CPU {used:6.2f} ms  n {len(took)}")
    return used


def resident() -> float:
    """This process's memory in MB."""
    return float(psutil.Process().memory_info().rss / 1e6)


async def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embedder", type=Path, required=True)
    parser.add_argument("--plain", type=Path)
    parser.add_argument("--pages", type=int, default=10_000)
    given = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    before, began = resident(), time.perf_counter()
    embedder = LocalEmbedder(given.embedder)
    loaded = time.perf_counter() - began
    print(f"embedder loaded in {loaded:.2f} s, {resident() - before:.0f} MB")
    documents, drawn, whole = pages(given.folder, given.pages)
    before, began = resident(), time.perf_counter()
    library = Library(documents)
    built = time.perf_counter() - began
    print(f"{given.pages} pages indexed in {built:.1f} s, {resident() - before:.0f} MB")
    before = resident()
    found = await vectors(library, drawn, whole, embedder)
    print(f"their vectors: {resident() - before:.0f} MB")
    asked = list(dict.fromkeys(q.question for q in measure.read(given.folder / "questions.jsonl")))
    random.Random(2).shuffle(asked)
    await compared(asked, Index(library, "", embedder, found), given.plain)
    print(json.dumps({"load_s": round(loaded, 3), "rss_mb": round(resident())}))


async def compared(asked: Sequence[str], index: Index, plain: Path | None) -> None:
    """The whole search and its parts, each on questions of its own."""
    embedder, library, share = index.embedder, index.library, len(asked) // 4
    assert embedder is not None
    await timed("search, question embedded", asked[:share], lambda q: index.search(q, 5))
    await timed("search, question known", asked[:share][-500:], lambda q: index.search(q, 5))
    alone = await timed("embedding alone", asked[share : 2 * share], lambda q: embedder.embed([q]))
    bm25 = Index(library, "")
    await timed("BM25 alone", asked[:share], lambda q: bm25.search(q, 5))
    if plain:
        from plain_bert import PlainBert

        bert = PlainBert(plain)

        async def forward(question: str) -> object:
            return bert.embed(question)

        slow = await timed("embedding by plain numpy", asked[-120:], forward)
        print(f"the embedder is {slow / alone:.1f} times as fast as plain numpy")


if __name__ == "__main__":
    asyncio.run(main())
