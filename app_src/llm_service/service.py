"""One process of the service: what it is made of, from `start` to `stop`, and whether it is ready.

Requests are answered by `chat.flow`; what is told of them by `chat.recording`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from llm_service import budget, feedback, ledger, safety, telemetry
from llm_service.auth import Principal
from llm_service.bundle import Feature
from llm_service.cache.settings import build as build_cache
from llm_service.cache.warming import Warming
from llm_service.calls import Call, Reply
from llm_service.chat.admitting import EMBEDDED, Admitting, target
from llm_service.chat.answering import Answering, observe
from llm_service.chat.embedded import Embedded
from llm_service.chat.flow import Flow
from llm_service.chat.handler import Handler
from llm_service.chat.prompting import Prompting
from llm_service.chat.recording import Recording
from llm_service.corpus import Document, version
from llm_service.database import Postgres
from llm_service.deadline import Deadline
from llm_service.evaluations.paying import FromBudgets
from llm_service.features import bundle_of
from llm_service.feedback import Feedback
from llm_service.http import HttpClient
from llm_service.jobs import postgres as jobs_table
from llm_service.jobs.job import Endpoint, Job
from llm_service.jobs.jobs import Jobs
from llm_service.judging import Judging
from llm_service.ledger import Ledger
from llm_service.limits import BudgetEvent, spending
from llm_service.limits.settings import build as build_limits
from llm_service.limits.settings import link
from llm_service.live_tokens import LiveTokens
from llm_service.providers import build as build_providers
from llm_service.readiness import readiness
from llm_service.retrieval import Retrieval, Source, build_embedder, grounded
from llm_service.retrieval import build as build_reindexer
from llm_service.rooms import Rooms
from llm_service.rooms import read as read_rooms
from llm_service.routing import Router
from llm_service.scoring import Scoring
from llm_service.settings import Settings
from llm_service.telemetry import Dimensions, Thumb
from llm_service.telemetry import build as build_telemetry

if TYPE_CHECKING:  # with them comes pydantic, which chats do without
    from llm_service.evaluations.evaluator import Evaluator
    from llm_service.jobs.run import Endpoints
    from llm_service.shapes import FeedbackRequest, SearchRequest, SearchResponse

logger = logging.getLogger("llm_service")

TABLES = (
    ledger.CREATE,
    feedback.CREATE,
    budget.CREATE,
    spending.CREATE,
    jobs_table.CREATE,
    *telemetry.TABLES,
)
WARM_LOOK = 0.1
"""Seconds between two looks whether the cache can be warmed."""

LoadCorpus = Callable[[], Sequence[Document]]


class Service:
    """One process of the service, from `start` to `stop`."""

    def __init__(self, settings: Settings, load_corpus: LoadCorpus | None = None) -> None:
        self.settings, rooms = settings, read_rooms(settings.environ)
        self.bundle = bundle_of(settings)
        self.postgres = Postgres(settings.database, TABLES) if settings.database else None
        self.telemetry = build_telemetry(_dimensions(settings), rooms.telemetry, self.postgres)
        self.ledger = Ledger(self.postgres) if self.postgres else None
        self.feedback = Feedback(settings.release, self.ledger, self.postgres)
        self.client = HttpClient()
        self.retrieval = Retrieval()
        self.embedder = build_embedder(rooms.retrieval, self.client)
        self.reindexer = build_reindexer(
            rooms.retrieval,
            self.retrieval,
            settings.corpus,
            embedder=self.embedder,
            database=settings.database,
            source=Source(lambda: version(settings.corpus), load_corpus) if load_corpus else None,
        )
        self.valkey = link(rooms.limits)
        self.limits, self.budgets = build_limits(
            rooms.limits, self.valkey, self.postgres, self._budget_event
        )
        self.cache = build_cache(rooms.cache, self.valkey, self.postgres, self.embedder)
        self.warming = Warming(list(rooms.cache.warm), self._warmed)
        self._embedded = Embedded(self.bundle, self.retrieval, rooms.retrieval.strict)
        self.providers = build_providers(rooms.providers, self.client)
        self.router = Router(
            {**self.providers, EMBEDDED: self._embedded},
            policy=rooms.routing.policy,
            limits=rooms.routing.limits,
            clock=time.perf_counter,
            observe=observe,
        )
        self.scoring = self._scoring()
        self.recording = self._recording(rooms)
        self.flow = self._flow()
        self.handler = Handler(
            settings.release, settings.tokens, self.flow, self.limits, self.recording
        )
        self._evaluations = rooms.evaluations
        self.jobs = Jobs(
            rooms.jobs, dict.fromkeys(get_args(Endpoint), self._perform), self.postgres
        )
        self._gauges()

    def start(self) -> None:
        """Begins to load the corpus, to connect and to write, all in the background."""
        self.reindexer.start(at_once=self.needs_corpus)
        for each in (self.telemetry, self.limits, self.budgets, self.cache):
            each.start()
        if self.ledger:
            self.ledger.start()
        self.scoring.start()
        self.jobs.start()
        self._warm = asyncio.get_running_loop().run_in_executor(None, safety.warm)
        self.warming.start()
        if isinstance(self.settings.tokens, LiveTokens):
            self.settings.tokens.start()

    async def stop(self) -> None:
        """Scores and writes what is queued. Requests have ended before."""
        if isinstance(self.settings.tokens, LiveTokens):
            self.settings.tokens.stop()
        await self.warming.stop()
        await self.jobs.close()
        await self.scoring.close()
        for each in (self.limits, self.budgets, self.cache, self.reindexer):
            await each.stop()
        await self.telemetry.stop()
        if self.ledger:
            await self.ledger.close()
        if self.postgres:
            await self.postgres.close()
        for provider in self.providers.values():
            await provider.close()
        if self.embedder:
            await self.embedder.close()
        if self.valkey:
            await self.valkey.close()
        await self.client.close()

    async def chat(
        self, body: bytes, principal: Principal, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """The answer to a chat that came by another way than HTTP: status and JSON body. Raises
        ApiError."""
        return await self.handler.answer(body, principal, headers)

    @cached_property
    def evaluator(self) -> Evaluator:
        """What answers POST /v1/evaluations; made when it is first asked for."""
        from llm_service.evaluations.evaluator import Evaluator

        asked = self._evaluations
        return Evaluator(
            asked,
            self._judge if self.providers else None,
            self._models_of,
            FromBudgets(self.limits, self.budgets, asked.budget_micro_usd_per_day),
            self.providers,
        )

    @cached_property
    def needs_corpus(self) -> bool:
        """Whether chats are answered, or answers scored, from the corpus; else only searches need
        it, and the first of them has it read."""
        scored = self.settings.quality_sample > 0 or self.settings.scorer is not None
        return scored or any(map(_reads, self.bundle.features.values()))

    @property
    def queued(self) -> int:
        """What is still to be written somewhere."""
        state = self.telemetry.state()
        sinks = (int(each["queued"]) for each in state.values() if isinstance(each, dict))
        return sum(sinks) + (self.ledger.queued if self.ledger else 0)

    async def search(self, asked: SearchRequest) -> SearchResponse:
        """The documents that match the query best, best first. Raises ApiError 503."""
        from llm_service.shapes import SearchResponse, SearchResult

        await self.reindexer.wanted()
        found = await self.retrieval.search(asked.query, asked.top_k)
        return SearchResponse(
            results=[
                SearchResult(
                    id=hit.passage.document.id,
                    title=hit.passage.document.title,
                    text=hit.passage.document.text,
                    score=hit.score,
                )
                for hit in found
            ]
        )

    async def give_feedback(self, given: FeedbackRequest) -> str:
        """Records and, if it is the first on that answer, publishes a thumb; the release that gave
        the answer. Raises ApiError."""
        comment = safety.redact(given.comment).text if given.comment else None
        taken = await self.feedback.give(given.response_id, given.thumb, comment)
        if taken.first:
            drawn = self.recording.drawn(given.response_id)
            thumb = Thumb(
                response_id=given.response_id,
                release=taken.release,
                up=given.thumb == "up",
                comment=comment or "",
                experiment=drawn.experiment,
                variant=drawn.variant,
                subject=drawn.subject,
            )
            self.telemetry.feedback(thumb)
        return taken.release

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests may come, and what a person needs to see why not."""
        return await readiness(self)

    def _gauges(self) -> None:
        """Shows on /metrics what the rooms know of themselves."""
        parts = {"jobs": self.jobs.state, "scoring": self.scoring.state, "cache": self.cache.state}
        telemetry.watch(
            self.telemetry.prometheus,
            breakers=self.router.state,
            connections=lambda: self.client.connections,
            cache=self.cache.state,
            parts=parts,
        )

    def _flow(self) -> Flow:
        prompting = Prompting(self.bundle, self.retrieval.search, self._embedded.answerer)
        return Flow(
            self.settings.release,
            Admitting(self.bundle, self.limits, self.budgets),
            Answering(self.bundle, self.router, prompting, grounded),
            self.cache,
            self.settings.price,
        )

    def _recording(self, rooms: Rooms) -> Recording:
        asked = rooms.telemetry
        return Recording(
            self.settings.release,
            self.telemetry,
            self.limits,
            self.budgets,
            self.cache,
            self.feedback,
            self.ledger,
            lambda: self.retrieval.library,
            own_price=self.settings.price,
            texts=bool(asked.otlp or asked.langfuse or asked.retention_days),
            salt=asked.salt,
            scoring=self.scoring,
        )

    def _scoring(self) -> Scoring:
        asked, judging = self.settings.scorer, None
        if asked:
            cap = budget.budget(self.postgres, self.settings.release, asked.budget)
            judging = Judging(asked, cap)
        return Scoring(
            lambda: self.retrieval.library,
            self.bundle.prompt(self.bundle.feature()).decline,
            self._publish,
            share=self.settings.quality_sample,
            judging=judging,
        )

    def _publish(self, values: dict[str, float], fields: dict[str, Any]) -> None:
        drawn = self.recording.drawn(str(fields.get("response_id")))
        self.telemetry.score(values, fields, **drawn._asdict())

    def _budget_event(self, event: BudgetEvent) -> None:
        self.telemetry.budget({**event._asdict(), "day": event.day.isoformat()})

    async def _warmed(
        self, body: bytes, principal: Principal, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """A question of CACHE_WARM, once there is the corpus that it may need."""
        while self.needs_corpus and not self.retrieval.ready:
            await asyncio.sleep(WARM_LOOK)
        return await self.chat(body, principal, headers)

    @cached_property
    def _endpoints(self) -> Endpoints:
        from llm_service.jobs.endpoints import endpoints

        return endpoints(self.chat, self.search, self.evaluator, self.limits)

    async def _perform(self, job: Job) -> tuple[int, bytes]:
        return await self._endpoints[job.endpoint](job)

    async def _judge(self, models: Sequence[str], call: Call, seconds: float) -> tuple[Reply, str]:
        """Has a model judge for `evaluations`; the reply and who gave it. Raises ProviderError."""
        targets = [target(model) for model in models]
        routed = await self.router.complete(targets, call, Deadline.after(seconds))
        return routed.reply, str(routed.target)

    def _models_of(self, name: str) -> Sequence[str]:
        feature = self.bundle.features.get(name)
        return feature.models if feature else ()


def _reads(feature: Feature) -> bool:
    """Whether the feature, or a variant of it, answers from the corpus."""
    return any(
        each.prediction
        or each.retrieval != "none"
        or any(target(model).provider == EMBEDDED for model in (*each.models, *each.cheaper))
        for each in (feature, *feature.varied.values())
    )


def _dimensions(settings: Settings) -> Dimensions:
    return Dimensions(settings.namespace, settings.service, settings.environment, settings.release)
