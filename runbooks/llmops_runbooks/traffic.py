"""Real questions, sent at a steady rate, every answer checked.

An open loop: requests leave on schedule however slow the answers are, as users do. A request that
the network or the load balancer failed (no connection, 502, 503, 504) is sent again up to twice,
as the official LLM client libraries do; a 500 is the release's own answer and is not repeated.
What was sent again is counted, so that a loss hidden by a retry can still be seen.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from llmops_runbooks.errors import UsageError

RETRIED_STATUSES = frozenset({502, 503, 504})
RELEASE_HEADER = "x-llmops-release"
SAMPLE = Path("app_src/llm_service/sample")


class Outcome(StrEnum):
    """What became of one request."""

    CORRECT = "correct"
    WRONG = "wrong"
    ERROR = "error"
    """The release itself answered 500."""
    LOST = "lost"
    """No answer of a release at all, or one that no client could use."""


@dataclass(frozen=True)
class Question:
    """A question with the words that a right answer holds."""

    text: str
    answer: str


@dataclass(frozen=True)
class Record:
    """One request: `at` and `done` are seconds since the epoch."""

    at: float
    done: float
    release: str
    outcome: Outcome
    retries: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Load:
    """Where to send, how fast, and until when (None: until told to stop)."""

    url: str
    token: str
    rate: float
    seed: int = 1
    seconds: float | None = None
    timeout_seconds: float = 30.0
    retries: int = 2


@dataclass
class Summary:
    """Counts over the requests of a run; `by_release` says who answered how."""

    sent: int = 0
    lost: int = 0
    retried: int = 0
    by_release: dict[str, Counter[str]] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        self.sent += 1
        self.retried += record.retries > 0
        if record.outcome is Outcome.LOST:
            self.lost += 1
            self.losses[record.detail] += 1
        self.by_release.setdefault(record.release or "none", Counter())[record.outcome] += 1

    def json(self) -> dict[str, Any]:
        """The counts as plain JSON values."""
        return {
            "sent": self.sent,
            "lost": self.lost,
            "retried": self.retried,
            "by_release": {release: dict(counts) for release, counts in self.by_release.items()},
            "losses": dict(self.losses),
        }


def summarise(records: Iterable[Record]) -> Summary:
    """The counts of a run."""
    summary = Summary()
    for record in records:
        summary.add(record)
    return summary


def load_questions(folder: Path) -> tuple[list[Question], list[tuple[str, float]]]:
    """The golden questions and the weighted ways in which users phrase them."""
    try:
        golden = _lines(folder / "golden.jsonl")
        phrasings = _lines(folder / "phrasings.jsonl")
    except OSError as error:
        raise UsageError(f"The questions to send cannot be read: {error}.") from error
    questions = [Question(line["question"], line["answer"]) for line in golden]
    return questions, [(line["template"], float(line["weight"])) for line in phrasings]


def ask(
    questions: Sequence[Question], phrasings: Sequence[tuple[str, float]], seed: int
) -> Callable[[], Question]:
    """A source of phrased questions, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - reproducible traffic, not a secret
    templates, weights = zip(*phrasings, strict=True)

    def one() -> Question:
        question = chance.choice(questions)
        template = chance.choices(templates, weights)[0]
        return Question(template.replace("{question}", question.text), question.answer)

    return one


async def run(
    load: Load,
    source: Callable[[], Question],
    report: Callable[[Record], None],
    stop: asyncio.Event,
) -> None:
    """Sends until `stop` is set or the time is over, then waits for what is in flight."""
    import aiohttp

    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    timeout = aiohttp.ClientTimeout(total=load.timeout_seconds)
    headers = {"Authorization": f"Bearer {load.token}"}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers
    ) as session:
        start = loop.time()
        sent = 0
        while not stop.is_set() and (load.seconds is None or loop.time() - start < load.seconds):
            task = loop.create_task(_one(session, load, source(), report))
            pending.add(task)
            task.add_done_callback(pending.discard)
            sent += 1
            await _wait(stop, start + sent / load.rate - loop.time())
        await asyncio.gather(*pending)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _one(
    session: Any, load: Load, question: Question, report: Callable[[Record], None]
) -> None:
    at = time.time()
    release, outcome, detail = "", Outcome.LOST, ""
    attempt = 0
    for attempt in range(load.retries + 1):
        if attempt:
            await asyncio.sleep(0.1 * 2**attempt)
        release, outcome, detail, again = await _attempt(session, load.url, question)
        if not again:
            break
    report(Record(at, time.time(), release, outcome, attempt, detail))


async def _attempt(session: Any, url: str, question: Question) -> tuple[str, Outcome, str, bool]:
    import aiohttp

    body = {"model": "default", "messages": [{"role": "user", "content": question.text}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            release = response.headers.get(RELEASE_HEADER, "")
            text = await response.text()
            if response.status in RETRIED_STATUSES:
                return release, Outcome.LOST, f"HTTP {response.status}", True
            outcome, detail = judge_answer(response.status, release, text, question.answer)
            return release, outcome, detail, False
    except TimeoutError:
        return "", Outcome.LOST, "timeout", False
    except aiohttp.ClientError as error:
        return "", Outcome.LOST, type(error).__name__, True


def judge_answer(status: int, release: str, text: str, wanted: str) -> tuple[Outcome, str]:
    """What an answer is worth, and why if it is worth nothing."""
    if status == 500 and release:
        return Outcome.ERROR, "HTTP 500"
    if status != 200:
        return Outcome.LOST, f"HTTP {status}"
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return Outcome.LOST, "not an answer"
    if not isinstance(content, str) or not content.strip():
        return Outcome.LOST, "an empty answer"
    return (Outcome.CORRECT if wanted.lower() in content.lower() else Outcome.WRONG), ""


def read_records(file: Path) -> list[Record]:
    """The records that a sending process has written so far."""
    if not file.exists():
        return []
    lines = file.read_text().splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    return [Record(**{**line, "outcome": Outcome(line["outcome"])}) for line in whole]


class Sender:
    """A process of its own that sends, so that nothing else slows the schedule down."""

    def __init__(self, load: Load, folder: Path, out: Path) -> None:
        self._out = out
        self._process = subprocess.Popen(
            [sys.executable, "-m", "llmops_runbooks.traffic", str(folder), str(out)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(json.dumps(asdict(load)).encode())

    def records(self) -> list[Record]:
        """What was sent and answered so far."""
        return read_records(self._out)

    def running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def stop(self) -> list[Record]:
        """Sends no more, waits for the answers in flight, and tells all of them."""
        if self.running():
            self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self.records()


def _lines(file: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def _writer(out: IO[str]) -> Callable[[Record], None]:
    def write(record: Record) -> None:
        out.write(json.dumps(asdict(record)) + "\n")
        out.flush()

    return write


async def _send(load: Load, source: Callable[[], Question], out: IO[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(load, source, _writer(out), stop)


def main() -> None:
    """`python -m llmops_runbooks.traffic FOLDER OUT`: the load as JSON on standard input.

    Standard input keeps the bearer token out of the process list.
    """
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    load = Load(**json.load(sys.stdin))
    source = ask(*load_questions(folder), load.seed)
    with out.open("a") as file:
        asyncio.run(_send(load, source, file))


if __name__ == "__main__":
    main()
