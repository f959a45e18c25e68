"""Headers on their way through: what is dropped, what is added, and the answers of our own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that concern one connection only (RFC 9110, 7.6.1)."""

SERVER = "awselb/2.0"


def end_to_end(headers: Mapping[str, str], also: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """A copy without hop-by-hop headers, those that `Connection` names, and `also`."""
    dropped = HOP_BY_HOP | also
    nominated = headers.get("Connection")
    if nominated and nominated.lower() not in ("keep-alive", "close"):
        dropped = dropped | {name.strip().lower() for name in nominated.split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in dropped)


def forwarded(headers: Mapping[str, str], peer: str, port: int) -> CIMultiDict[str]:
    """The request's headers as the target gets them."""
    sent = end_to_end(headers, frozenset(("expect",)))
    before = sent.get("X-Forwarded-For")
    sent["X-Forwarded-For"] = f"{before}, {peer}" if before else peer
    sent["X-Forwarded-Proto"] = "http"
    sent["X-Forwarded-Port"] = str(port)
    sent["X-Amzn-Trace-Id"] = trace_id(sent.get("X-Amzn-Trace-Id"))
    return sent


def trace_id(given: str | None) -> str:
    """A new `Root`, or the caller's with our `Self` in front (as ALB's request tracing does)."""
    own = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    if not given:
        return f"Root={own}"
    rest = ";".join(part for part in given.split(";") if not part.startswith("Self="))
    return f"Self={own};{rest}"


def own_answer(status: int) -> web.Response:
    """An error the load balancer answers itself, worded as ALB words it."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>"
    page += "</center>\r\n</body>\r\n</html>\r\n"
    return web.Response(
        status=status, text=page, content_type="text/html", headers={"Server": SERVER}
    )
