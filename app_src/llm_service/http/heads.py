"""Addresses and the head of a request, as bytes.

An endpoint's head is rendered once and checked once; a request adds its length and its body. What
could make a server see two requests where one was meant (a line break in a header's value, a second
length) is refused with ValueError before anything is sent (RFC 9112, section 11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # `token` of RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # `field-value` of RFC 9110, section 5.5
_TARGET = re.compile(r"[\x21-\x7e]+")
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade"}
)
"""Headers that say how the message travels: this client alone sets them."""


class Origin(NamedTuple):
    """Where connections go to; all requests to one origin share its connections."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port` as the Host header has it: no default port, brackets around IPv6."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def address(url: str) -> tuple[Origin, str]:
    """The origin of `url` and the target of a request to it (path and query, percent-encoded).

    Raises ValueError for anything but a plain http or https address; the sentence does not repeat
    the address, which may hold a password.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in PORTS or not host or not host.isascii():
        raise ValueError("The address is no http:// or https:// URL with an ASCII host name.")
    if parts.username is not None or parts.fragment:
        raise ValueError("The address holds a user name or a fragment: write it without.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if _TARGET.fullmatch(url) is None or _TARGET.fullmatch(target) is None:
        raise ValueError("The address holds a character that must be percent-encoded.")
    return Origin(parts.scheme, host, parts.port or PORTS[parts.scheme]), target


def fields(headers: Mapping[str, str]) -> bytes:
    """`headers` as lines. Raises ValueError, without the value, for what must not be sent."""
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None:
            raise ValueError("A header's name holds a character that no name may hold.")
        if name.lower() in _OURS:
            raise ValueError(f"The header {name!r} is set by the HTTP client alone: leave it out.")
        if _VALUE.fullmatch(value) is None:
            raise ValueError(
                f"The header {name!r} holds a line break or another control character."
            )
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


def head(method: str, origin: Origin, target: str, headers: Mapping[str, str]) -> bytes:
    """The request's head up to where its length, further headers and the empty line follow.

    The answer is asked for as it is (`identity`): this client does not decompress.
    """
    present = {name.lower() for name in headers}
    defaults = {"accept-encoding": "identity", "accept": "*/*", "user-agent": "llm-service"}
    added = {name: value for name, value in defaults.items() if name not in present}
    first = f"{method} {target} HTTP/1.1\r\nhost: {origin.authority}\r\n".encode("ascii")
    return first + fields(added) + fields(headers)
