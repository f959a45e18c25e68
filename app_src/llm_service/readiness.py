"""What GET /readyz says: whether requests may come, and what a person needs to see why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_service.live_tokens import LiveTokens

if TYPE_CHECKING:
    from llm_service.service import Service

METHODS = {
    "bm25": "bm25 alone: no embedder is configured",
    "hybrid": "hybrid: bm25 and embeddings",
    None: "none yet",
}


async def readiness(service: Service) -> tuple[bool, dict[str, Any]]:
    """Whether the service is ready, and how every part of it stands."""
    database = await _database(service)
    loaded = service.retrieval.ready
    tokens = service.settings.tokens
    known = not isinstance(tokens, LiveTokens) or tokens.ready
    ready = (
        (loaded or not service.needs_corpus) and known and database["state"] in ("none", "ready")
    )
    return ready, {
        "status": "ready" if ready else "not ready",
        "release": service.settings.release,
        "bundle": service.bundle.digest,
        "features": list(service.bundle.features),
        "secrets": _secrets(service),
        "documents": service.retrieval.state()["documents"],
        "corpus": service.reindexer.standing,
        "retrieval": _retrieval(service),
        "providers": {"configured": [*service.providers], "models": service.router.state()},
        "connections": service.client.connections,
        "database": database,
        "cache": service.cache.state(),
        "limits": service.limits.state(),
        "budgets": _budgets(service),
        "telemetry": service.telemetry.state(),
        "scoring": service.scoring.state(),
        "jobs": service.jobs.state(),
    }


def _secrets(service: Service) -> dict[str, str | None]:
    """Which versions are in force; of the database's, where it is read from a secret."""
    tokens = service.settings.tokens
    found = {"tokens": tokens.version if tokens else None}
    if service.postgres and service.postgres.version is not None:
        found["database"] = service.postgres.version
    return found


def _budgets(service: Service) -> dict[str, Any]:
    """Whose budgets these are is nobody's business who may look at this page."""
    report = service.budgets.report()
    return {**report, "used": max(report["used"].values(), default=0.0)}


def _retrieval(service: Service) -> dict[str, Any]:
    state = service.reindexer.state()
    method = METHODS[state["method"]]
    if state["method"] == "bm25" and service.embedder:
        method = "bm25 alone: the passages are still being embedded"
    return {**state, "method": method}


async def _database(service: Service) -> dict[str, Any]:
    if not service.ledger or not service.postgres:
        return {"state": "none"}
    await service.postgres.reachable()
    return {
        "state": service.postgres.state,
        "queued": service.ledger.queued,
        "dropped": service.ledger.dropped,
    }
