"""Whether a provider takes a key: its list of models is asked for, which costs nothing.

The key is sent in a header, to one address, over TLS or to this machine; a redirect is not
followed, for it could lead the key elsewhere.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from llmops_runbooks.errors import UsageError

LISTS = {
    "openai": "https://api.openai.com/v1/models",
    "anthropic": "https://api.anthropic.com/v1/models",
}
"""Where the providers that the service knows by name list their models."""
SECONDS = 10.0
REFUSALS = (401, 403)


def address(name: str, given: str | None) -> str | None:
    """Where a key is tried: `given`, else the provider's own; None: nowhere. Raises UsageError."""
    url = given or LISTS.get(name)
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and _this_machine(parts.hostname or ""):
        return url
    raise UsageError(f"A key is sent to https:// addresses only, not to {url}.")


def tried(name: str, url: str, key: str) -> str:
    """ "" if the provider takes the key, else why it does not, in one sentence."""
    request = urllib.request.Request(url, headers=dict(_headers(name, key)))  # noqa: S310
    opener = urllib.request.build_opener(_Stay())
    try:
        with opener.open(request, timeout=SECONDS):
            return ""
    except HTTPError as error:
        if error.code in REFUSALS:
            return f"{url} refuses it ({error.code})."
        return f"{url} answers {error.code} instead of its models."
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return f"{url} cannot be reached: {reason}."


def _headers(name: str, key: str) -> Mapping[str, str]:
    if name == "anthropic":
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {key}"}


def _this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like another."""

    def redirect_request(self, *_: object) -> None:
        return None
