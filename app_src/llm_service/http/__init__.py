"""The HTTP/1.1 client of the service: small, fast, with its own conformance suite."""

from llm_service.http.client import Endpoint, HttpClient, HttpStream
from llm_service.http.connection import HttpReply
from llm_service.http.errors import Broken, HttpError, TimedOut, Unreachable

__all__ = [
    "Broken",
    "Endpoint",
    "HttpClient",
    "HttpError",
    "HttpReply",
    "HttpStream",
    "TimedOut",
    "Unreachable",
]
