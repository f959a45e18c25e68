"""What the service tells of its requests, and to whom."""

from llm_service.telemetry.conversations import CREATE, INDEX
from llm_service.telemetry.emf import Dimensions
from llm_service.telemetry.exchange import Attempt, Exchange, Thumb, ToolUse, pseudonym
from llm_service.telemetry.gauges import watch
from llm_service.telemetry.settings import TelemetrySettings, from_environ
from llm_service.telemetry.telemetry import Telemetry, build

TABLES = (CREATE, INDEX)
"""Statements that make the conversation log's table."""

__all__ = [
    "TABLES",
    "Attempt",
    "Dimensions",
    "Exchange",
    "Telemetry",
    "TelemetrySettings",
    "Thumb",
    "ToolUse",
    "build",
    "from_environ",
    "pseudonym",
    "watch",
]
