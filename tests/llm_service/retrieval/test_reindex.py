"""The corpus is renewed while it is searched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_service.corpus import CorpusError, Document
from llm_service.errors import ApiError
from llm_service.retrieval import Reindexer, Retrieval, Source
from llm_service.retrieval.similar import InMemory
from llm_service.retrieval.stores import FolderStore

DEADLINE = 10.0


def corpus(word: str, count: int = 40) -> list[Document]:
    """A corpus whose every page says the same word."""
    return [Document(f"{word}-{i}", word, f"Page {i} is about {word} here.") for i in range(count)]


def write(path: Path, documents: Sequence[Document]) -> None:
    lines = [json.dumps({"id": d.id, "title": d.title, "text": d.text}) for d in documents]
    path.write_text("\n".join(lines))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0)


def at_once() -> tuple[Callable[[float], Awaitable[None]], list[float]]:
    """A sleep that takes no time and remembers for how long it was asked."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    return sleep, slept


async def test_searches_during_the_change_see_the_old_or_the_new_corpus_never_both(
    bag: Any,
) -> None:
    versions = {"now": "alpha"}
    source = Source(lambda: versions["now"], lambda: [*corpus(versions["now"]), *shared()])
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, source, embedder=bag, shelf=InMemory())
    assert await reindexer.renew()
    seen: set[frozenset[str]] = set()
    changing = True

    async def searching() -> None:
        while changing:
            hits = await retrieval.search("page about here", 20)
            seen.add(frozenset(hit.passage.document.title for hit in hits))
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(searching()) for _ in range(8)]
    for word in ("beta", "gamma", "alpha", "beta"):
        versions["now"] = word
        assert await reindexer.renew()
    changing = False
    await asyncio.gather(*tasks)
    assert len(seen) >= 2
    assert all(len(titles) == 1 for titles in seen)


def shared() -> list[Document]:
    return [Document("other", "Other", "Something else altogether.")]


async def test_a_corpus_that_does_not_parse_leaves_the_old_one_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    write(path, corpus("alpha"))
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source.at(str(path)))
    assert await reindexer.renew()
    path.write_text('{"id": "x", "title": "no text"}')
    assert not await reindexer.renew()
    assert len(await retrieval.search("alpha", 5)) == 5
    assert "corpus.jsonl, line 1" in reindexer.state()["error"]
    assert reindexer.state()["documents"] == 40
    write(path, corpus("beta"))
    assert await reindexer.renew()
    assert reindexer.state()["error"] == ""


async def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    write(path, corpus("alpha", 3))
    sleep, slept = at_once()
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source.at(str(path)), refresh_seconds=30.0, sleep=sleep)
    reindexer.start()
    await until(lambda: retrieval.ready)
    write(path, corpus("beta", 7))
    await until(lambda: retrieval.state()["documents"] == 7)
    await reindexer.stop()
    assert set(slept) == {30.0}


async def test_without_a_change_nothing_is_read(tmp_path: Path) -> None:
    reads = 0

    def read() -> list[Document]:
        nonlocal reads
        reads += 1
        return corpus("alpha", 2)

    sleep, slept = at_once()
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source(lambda: "1", read), refresh_seconds=5.0, sleep=sleep)
    reindexer.start()
    await until(lambda: len(slept) > 20)
    await reindexer.stop()
    assert reads == 1


async def test_a_request_reads_it_again(bag: Any) -> None:
    names = iter(["alpha", "beta"])
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source(lambda: "same", lambda: corpus(next(names), 2)))
    reindexer.start()
    await until(lambda: retrieval.ready)
    reindexer.request()
    await until(lambda: retrieval.library.passages[0].document.title == "beta")
    await reindexer.stop()


async def test_the_first_corpus_is_tried_again_until_it_can_be_read() -> None:
    attempts = 0

    def read() -> list[Document]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise CorpusError("The corpus cannot be read.")
        return corpus("alpha", 1)

    sleep, slept = at_once()
    retrieval = Retrieval()
    with pytest.raises(ApiError, match="still loading"):
        await retrieval.search("alpha", 1)
    reindexer = Reindexer(retrieval, Source(lambda: "1", read), sleep=sleep)
    reindexer.start()
    await until(lambda: retrieval.ready)
    await reindexer.stop()
    assert slept == [2.0, 2.0]


async def test_the_first_corpus_serves_by_bm25_until_its_vectors_are_there(bag: Any) -> None:
    retrieval, methods = Retrieval(), []
    reindexer = Reindexer(
        retrieval, Source(lambda: "1", lambda: corpus("alpha", 4)), embedder=bag, shelf=InMemory()
    )
    embed = bag.embed

    async def watched(texts: Sequence[str]) -> Any:
        methods.append((retrieval.method, reindexer.state()["embedded"]))
        return await embed(texts)

    bag.embed = watched
    assert await reindexer.renew()
    assert methods == [("bm25", done) for done in range(4)]
    assert (retrieval.method, reindexer.state()["embedded"]) == ("hybrid", 4)


async def test_vectors_are_computed_once_and_read_by_the_next(bag: Any, tmp_path: Path) -> None:
    source = Source(lambda: "1", lambda: corpus("alpha", 4))
    for calls in (4, 4):
        retrieval, shelf = Retrieval(), InMemory(FolderStore(tmp_path))
        assert await Reindexer(retrieval, source, embedder=bag, shelf=shelf).renew()
        assert (retrieval.method, bag.calls) == ("hybrid", calls)
    (stored,) = tmp_path.iterdir()
    stored.write_bytes(stored.read_bytes()[:-2])
    assert await Reindexer(Retrieval(), source, embedder=bag, shelf=shelf).renew()
    assert bag.calls == 8


async def test_an_embedder_that_is_down_leaves_bm25_and_is_tried_again(bag: Any) -> None:
    bag.down = True
    sleep, slept = at_once()
    retrieval = Retrieval()
    source = Source(lambda: "1", lambda: corpus("alpha", 2))
    reindexer = Reindexer(retrieval, source, embedder=bag, shelf=InMemory(), sleep=sleep)
    reindexer.start()
    await until(lambda: len(slept) > 1)
    assert retrieval.method == "bm25"
    assert reindexer.state()["error"] == "It is down."
    bag.down = False
    await until(lambda: retrieval.method == "hybrid")
    await reindexer.stop()
    assert set(slept) == {30.0}


async def test_a_corpus_that_was_put_off_is_read_once_however_many_want_it() -> None:
    reads: list[int] = []

    def read() -> list[Document]:
        reads.append(1)
        return corpus("alpha")

    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source(lambda: "1", read))
    reindexer.start(at_once=False)
    assert (reindexer.standing, reads) == ("not needed yet", [])
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(reindexer.wanted() for _ in range(5)))
    assert (reindexer.standing, len(await retrieval.search("alpha", 5))) == ("loaded", 5)
    await reindexer.stop()
    assert reads == [1]


async def test_a_corpus_that_was_put_off_and_cannot_be_read_keeps_nobody_waiting() -> None:
    broken = {"now": True}

    def read() -> list[Document]:
        if broken["now"]:
            raise CorpusError("The bucket is away.")
        return corpus("alpha")

    sleep, slept = at_once()
    retrieval = Retrieval()
    reindexer = Reindexer(retrieval, Source(lambda: "1", read), sleep=sleep)
    reindexer.start(at_once=False)
    async with asyncio.timeout(DEADLINE):
        await reindexer.wanted()
    assert reindexer.standing == "loading"
    with pytest.raises(ApiError, match="still loading"):
        await retrieval.search("alpha", 5)
    broken["now"] = False
    await until(lambda: retrieval.ready)
    await reindexer.stop()
    assert slept
