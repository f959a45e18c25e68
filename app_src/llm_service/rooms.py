"""What the rooms of the service read from the environment, each its own variables."""

from __future__ import annotations

from dataclasses import dataclass

from llm_service import providers, retrieval, routing, telemetry
from llm_service.cache import settings as cache
from llm_service.cache.settings import CacheSettings
from llm_service.environ import Environ
from llm_service.evaluations import settings as evaluations
from llm_service.evaluations.settings import EvaluationSettings
from llm_service.jobs import settings as jobs
from llm_service.jobs.settings import JobsSettings
from llm_service.limits import settings as limits
from llm_service.limits.settings import LimitSettings
from llm_service.providers import ProviderSettings
from llm_service.retrieval import RetrievalSettings
from llm_service.routing import RoutingSettings
from llm_service.telemetry import TelemetrySettings


@dataclass(frozen=True, slots=True)
class Rooms:
    """The settings of the rooms."""

    providers: ProviderSettings
    routing: RoutingSettings
    retrieval: RetrievalSettings
    limits: LimitSettings
    cache: CacheSettings
    telemetry: TelemetrySettings
    jobs: JobsSettings
    evaluations: EvaluationSettings


def read(environ: Environ) -> Rooms:
    """The rooms' settings in `environ`. Raises SettingsError."""
    return Rooms(
        providers=providers.from_environ(environ),
        routing=routing.from_environ(environ),
        retrieval=retrieval.from_environ(environ),
        limits=limits.from_environ(environ),
        cache=cache.from_environ(environ),
        telemetry=telemetry.from_environ(environ),
        jobs=jobs.from_environ(environ),
        evaluations=evaluations.from_environ(environ),
    )
