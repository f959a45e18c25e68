"""Answers on their way to the judging model: a bounded queue, a few calls at once, a budget.

Each call is published with what it cost (`ScoringSpend`), and with `Quality` if its reply was well
formed. A reply that was not, a call that failed and one for which there was no room are counted.
Once a release's budget of a day is spent, that is logged once and no further call is made that day.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from llm_service import scorer
from llm_service.budget import Budget
from llm_service.database import Away
from llm_service.library import Library, Passage
from llm_service.settings import Scorer

logger = logging.getLogger("llm_service")

CALLS = 4
"""Calls at once."""
CAPACITY = 100
PASSAGES = 3
"""Passages the judge is shown beside the answer's own source."""
GRACE = 1.0
"""Seconds beyond its own time-out that a call is waited for."""


class Case(NamedTuple):
    """An answer to judge."""

    response_id: str
    question: str
    text: str
    source: Passage | None


class Judging:
    """Has answers judged by the model that `settings` name, as long as `budget` lasts."""

    def __init__(self, settings: Scorer, budget: Budget, capacity: int = CAPACITY) -> None:
        self._settings, self._budget = settings, budget
        self._queue: asyncio.Queue[Case] = asyncio.Queue(capacity)
        self._tasks: list[asyncio.Task[None]] = []
        self.share = settings.share
        self._spent_on: date | None = None
        self.counts = dict.fromkeys(("judged", "malformed", "failed", "dropped"), 0)

    def start(
        self,
        library: Callable[[], Library],
        publish: Callable[[dict[str, float], dict[str, Any]], None],
    ) -> None:
        """Begins to judge by the corpus of now."""
        self._library, self._publish = library, publish
        self._tasks = [asyncio.create_task(self._run(), name=f"judge-{n}") for n in range(CALLS)]

    def offer(self, response_id: str, question: str, text: str, source: Passage | None) -> None:
        """Takes the answer if there is room and money."""
        if self.spent_up:
            return
        try:
            self._queue.put_nowait(Case(response_id, question, text, source))
        except asyncio.QueueFull:
            self.counts["dropped"] += 1

    @property
    def spent_up(self) -> bool:
        """Whether today's budget is spent."""
        return self._spent_on == self._budget.today()

    async def idle(self) -> None:
        """Returns once everything taken is judged."""
        await self._queue.join()

    def stop(self) -> None:
        """Ends; nobody waits for calls under way."""
        for task in self._tasks:
            task.cancel()

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {**self.counts, "budget": "spent" if self.spent_up else "open"}

    async def _run(self) -> None:
        while True:
            case = await self._queue.get()
            try:
                if not self.spent_up:
                    await self._judge(case)
            except Away:
                self.counts["failed"] += 1  # nobody knows what is spent: no call
            except Exception:
                self.counts["failed"] += 1
                logger.exception("answer %s could not be judged", case.response_id)
            finally:
                self._queue.task_done()

    async def _judge(self, case: Case) -> None:
        body = scorer.request(self._settings, self._material(case))
        aside = scorer.most(self._settings, body)
        day = await self._budget.reserve(aside)
        if day is None:
            self._stop_spending()
            return
        outcome, reply = await self._call(body, aside)
        self.counts[outcome] += 1
        self._publish_reply(case, reply)
        await self._budget.correct(day, reply.cost - aside)

    async def _call(self, body: str, aside: float) -> tuple[str, scorer.Reply]:
        """How the call went; one that did not come back may have cost what was set aside."""
        try:
            async with asyncio.timeout(self._settings.timeout + GRACE):
                reply = await _in_thread(lambda: scorer.call(self._settings, body))
        except scorer.Refused as error:
            logger.warning("the judging model refused a call: %s", error)
            return "failed", scorer.Reply(None, 0.0)
        except (scorer.TimedOut, TimeoutError):
            logger.warning("the judging model did not answer in time")
            return "failed", scorer.Reply(None, aside)
        return "malformed" if reply.score is None else "judged", reply

    def _publish_reply(self, case: Case, reply: scorer.Reply) -> None:
        values = {"ScoringSpend": reply.cost} if reply.cost else {}
        if reply.score is not None:
            values["Quality"] = reply.score
        if values:
            self._publish(values, {"response_id": case.response_id, "judge": self._settings.model})

    def _material(self, case: Case) -> scorer.Material:
        """The answer with the passages that the user's own words find, and its own source."""
        found = [hit.passage for hit in self._library().search(case.question, PASSAGES)]
        if case.source and case.source not in found:
            found.append(case.source)
        texts = [f"{passage.document.title}: {passage.document.text}" for passage in found]
        return scorer.Material(case.question, case.text, texts)

    def _stop_spending(self) -> None:
        if not self.spent_up:
            self._spent_on = self._budget.today()
            logger.warning(
                "the scoring budget of %g micro-dollars is spent: no further answer of this "
                "release is judged by a model today",
                self._settings.budget,
            )


async def _in_thread(call: Callable[[], scorer.Reply]) -> scorer.Reply:
    """`call` in a daemon thread: unlike an executor's, one that hangs delays no exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[scorer.Reply] = loop.create_future()

    def settle(reply: scorer.Reply | None, error: Exception | None) -> None:
        if done.done():
            return
        if error:
            done.set_exception(error)
        elif reply:
            done.set_result(reply)

    def run() -> None:
        reply, error = None, None
        try:
            reply = call()
        except Exception as caught:  # noqa: BLE001 - raised again where it is awaited
            error = caught
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(settle, reply, error)

    threading.Thread(target=run, name="judge", daemon=True).start()
    return await done
