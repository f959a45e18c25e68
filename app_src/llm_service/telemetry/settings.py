"""What telemetry reads from the environment.

    OTEL_EXPORTER_OTLP_ENDPOINT       where traces go, e.g. http://localhost:4318       none
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT  the whole address instead                       none
    OTEL_EXPORTER_OTLP_HEADERS        name=value,... sent along                         none
    OTEL_SERVICE_NAME                 the service's name on spans                       SERVICE_NAME
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT  redacted texts on spans         false
    LANGFUSE_HOST                     e.g. https://cloud.langfuse.com                   none
    LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY  its credentials           required with LANGFUSE_HOST
    LANGFUSE_CAPTURE_CONTENT          redacted texts to Langfuse                        true
    CONVERSATION_LOG                  redacted conversations in PostgreSQL              false
    CONVERSATION_RETENTION_DAYS       after which they are deleted                      30
    PSEUDONYM_SALT                    keys the hashes of users and conversations        none
    AWS_LAMBDA_FUNCTION_NAME          set by Lambda: lines are written at once

Langfuse's keys may be there and empty, as ECS injects secrets that nobody has filled yet: Langfuse
is then off, and a warning says why.

OTEL_SDK_DISABLED=true switches traces off. Variables of OpenTelemetry mean what its specification
says: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from llm_service.environ import Environ, SettingsError, switch, whole

logger = logging.getLogger("llm_service")

KEYS = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
LONGEST = 3650
"""Days of retention; ten years are a mistake."""


@dataclass(frozen=True, slots=True)
class Otlp:
    """An endpoint that takes spans: its whole address, and whether texts go along."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    content: bool = False


@dataclass(frozen=True, slots=True)
class LangfuseSettings:
    """A Langfuse project: the host's address and the project's keys."""

    host: str
    public_key: str
    secret_key: str = field(repr=False)
    content: bool = True


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Which sinks there are; `retention_days` None means no conversation log."""

    service_name: str | None = None
    otlp: Otlp | None = None
    langfuse: LangfuseSettings | None = None
    retention_days: int | None = None
    salt: str = field(default="", repr=False)
    at_once: bool = False

    @property
    def texts(self) -> bool:
        """Whether some sink wants what was said."""
        traced = self.otlp is not None and self.otlp.content
        shown = self.langfuse is not None and self.langfuse.content
        return traced or shown or self.retention_days is not None


def from_environ(environ: Environ) -> TelemetrySettings:
    """The settings that the variables above ask for. Raises SettingsError."""
    logged = switch(environ, "CONVERSATION_LOG", False)
    days = whole(environ, "CONVERSATION_RETENTION_DAYS", 30, 1, LONGEST)
    return TelemetrySettings(
        service_name=environ.get("OTEL_SERVICE_NAME") or None,
        otlp=_otlp(environ),
        langfuse=_langfuse(environ),
        retention_days=days if logged else None,
        salt=environ.get("PSEUDONYM_SALT", ""),
        at_once=bool(environ.get("AWS_LAMBDA_FUNCTION_NAME")),
    )


def _otlp(environ: Environ) -> Otlp | None:
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    url = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (base and f"{base}/v1/traces")
    if not url or switch(environ, "OTEL_SDK_DISABLED", False):
        return None
    _address(url, "OTEL_EXPORTER_OTLP_ENDPOINT")
    content = switch(environ, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", False)
    return Otlp(url, _headers(environ), content)


def _headers(environ: Environ) -> dict[str, str]:
    text = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise SettingsError("OTEL_EXPORTER_OTLP_HEADERS is no list: set it to name=value,...")
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _langfuse(environ: Environ) -> LangfuseSettings | None:
    host = environ.get("LANGFUSE_HOST", "").rstrip("/")
    if not host:
        return None
    _address(host, "LANGFUSE_HOST")
    missing = [key for key in KEYS if key not in environ]
    if missing:
        raise SettingsError(f"LANGFUSE_HOST is set without {' and '.join(missing)}: set them too.")
    public, secret = (environ[key].strip() for key in KEYS)
    if not public or not secret:
        empty = [key for key in KEYS if not environ[key].strip()]
        logger.warning("Langfuse is off: %s is empty.", " and ".join(empty))
        return None
    return LangfuseSettings(
        host,
        public,
        secret,
        switch(environ, "LANGFUSE_CAPTURE_CONTENT", True),
    )


def _address(url: str, key: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{key} is no http(s) address: set it to https://HOST.")
