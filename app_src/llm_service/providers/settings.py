"""Which providers there are, from environment variables.

    variable                                what                                    default
    OPENAI_API_KEY                          turns on the provider `openai`          off
    OPENAI_BASE_URL                         its API's root          https://api.openai.com/v1
    ANTHROPIC_API_KEY                       turns on the provider `anthropic`       off
    ANTHROPIC_BASE_URL                      its API's root          https://api.anthropic.com
    BEDROCK_REGION                          turns on the provider `bedrock`         off
    BEDROCK_ENDPOINT_URL                    its address             the region's own
    PROVIDER_URL                            turns on the provider `configured`, of OpenAI's kind
    PROVIDERS                               more of them, as a JSON object          {}

A key that is there and empty, as ECS injects a secret that nobody has filled yet, leaves its
provider out, and a warning says so.

Bedrock's credentials are the AWS SDK's (environment, profile, task role). `PROVIDERS` maps a name
to an object:

    kind           "openai", "anthropic" or "bedrock"
    url            the API's root; for bedrock the endpoint, the region's own if left out
    key            the name of the variable that holds the key, never the key itself
    region         bedrock only
    max_tokens     anthropic only: the most tokens of an answer where a request does not say (4096)
    max_tokens_field   openai only: "max_tokens" or "max_completion_tokens"; by default the second
                   for api.openai.com, which wants it, and the first for all others, which know it
    stream_usage   openai only: false for a server that refuses `stream_options`
    omit           fields that the models refuse, such as ["temperature"]
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from llm_service.environ import Environ, SettingsError
from llm_service.providers.anthropic_wire import MAX_TOKENS

logger = logging.getLogger("llm_service")

ProviderKind = Literal["openai", "anthropic", "bedrock"]

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
RESERVED = frozenset({"embedded", "openai", "anthropic", "bedrock", "configured"})

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider, as the module's docstring words it."""

    name: str
    kind: ProviderKind
    url: str = ""
    key: str = field(default="", repr=False)
    region: str = ""
    max_tokens: int = MAX_TOKENS
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    omit: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The providers, in the order of the module's table."""

    providers: tuple[ProviderConfig, ...] = ()


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry of PROVIDERS."""

    kind: ProviderKind
    url: str = ""
    key: str = ""
    region: str = ""
    max_tokens: int = MAX_TOKENS
    max_tokens_field: Literal["", "max_tokens", "max_completion_tokens"] = ""
    stream_usage: bool = True
    omit: list[str] = []


def from_environ(environ: Environ) -> ProviderSettings:
    """Raises SettingsError."""
    found: list[ProviderConfig] = []
    if key := _own_key(environ, "OPENAI_API_KEY"):
        url = _url(environ.get("OPENAI_BASE_URL") or OPENAI_URL, "OPENAI_BASE_URL")
        found.append(ProviderConfig("openai", "openai", url, key, max_tokens_field=_field(url)))
    if key := _own_key(environ, "ANTHROPIC_API_KEY"):
        url = _url(environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_URL, "ANTHROPIC_BASE_URL")
        found.append(ProviderConfig("anthropic", "anthropic", url, key))
    if region := environ.get("BEDROCK_REGION", "").strip():
        given = environ.get("BEDROCK_ENDPOINT_URL", "")
        url = _url(given, "BEDROCK_ENDPOINT_URL") if given else ""
        region = _region(region, "BEDROCK_REGION")
        found.append(ProviderConfig("bedrock", "bedrock", url, region=region))
    if given := environ.get("PROVIDER_URL", ""):
        url = _url(given, "PROVIDER_URL")
        found.append(ProviderConfig("configured", "openai", url, max_tokens_field=_field(url)))
    entries = _entries(environ.get("PROVIDERS", "").strip() or "{}")
    found.extend(_config(name, entry, environ) for name, entry in entries.items())
    return ProviderSettings(tuple(found))


def _entries(text: str) -> dict[str, _Entry]:
    try:
        return msgspec.json.decode(text, type=dict[str, _Entry])
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"PROVIDERS cannot be used: {error}. See the service's README."
        ) from None
    except (msgspec.DecodeError, UnicodeError):
        raise SettingsError(
            'PROVIDERS is no JSON: set it to {"name": {"kind": ..., "url": ..., "key": ...}}.'
        ) from None


def _config(name: str, entry: _Entry, environ: Environ) -> ProviderConfig:
    where = f"PROVIDERS.{name}"
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise SettingsError(
            f"{where}: a provider's name has lower-case letters, digits, - and _, and is none of "
            f"{', '.join(sorted(RESERVED))}: choose another one."
        )
    if entry.max_tokens < 1:
        raise SettingsError(f"{where}.max_tokens is {entry.max_tokens}: set it to 1 or more.")
    if entry.kind == "bedrock":
        region = _region(entry.region, f"{where}.region")
    elif not entry.url:
        raise SettingsError(f"{where}.url is missing: set it to the API's root.")
    else:
        region = ""
    url = _url(entry.url, f"{where}.url") if entry.url else ""
    return ProviderConfig(
        name,
        entry.kind,
        url,
        _named_key(entry.key, where, environ),
        region,
        entry.max_tokens,
        entry.max_tokens_field or _field(url),
        entry.stream_usage,
        frozenset(entry.omit),
    )


def _own_key(environ: Environ, variable: str) -> str:
    key = _key(environ, variable)
    if variable in environ and not key:
        logger.warning("%s is empty: its provider is left out.", variable)
    return key


def _named_key(variable: str, where: str, environ: Environ) -> str:
    if not variable:
        return ""
    key = _key(environ, variable)
    if not key:
        raise SettingsError(
            f"{where}.key is not the name of a variable that is set: put the key into a variable "
            "and its name here."
        )
    return key


def _key(environ: Mapping[str, Any], variable: str) -> str:
    """The key in `variable`, without the line end that secret stores like to add."""
    key = str(environ.get(variable, "")).strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"{variable} holds characters that no key has: set it to the key alone."
        )
    return key


def _url(text: str, where: str) -> str:
    text = text.strip().rstrip("/")
    try:
        url = urlsplit(text)
        usable = bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if (
        not usable
        or url.scheme not in ("http", "https")
        or url.query
        or url.fragment
        or "@" in text
    ):
        raise SettingsError(
            f"{where} is no address of an API: set it to http(s)://host/path, without ?, # and @."
        )
    return text


def _region(text: str, where: str) -> str:
    if not _REGION.fullmatch(text):
        raise SettingsError(f"{where} is {text!r}: set it to a region such as eu-central-1.")
    return text


def _field(url: str) -> str:
    official = urlsplit(url).hostname == "api.openai.com"
    return "max_completion_tokens" if official else "max_tokens"
