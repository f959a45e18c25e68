"""Makes the providers that the settings name."""

from __future__ import annotations

from llm_service.calls import Provider
from llm_service.environ import SettingsError
from llm_service.http import HttpClient
from llm_service.providers.anthropic_messages import AnthropicProvider
from llm_service.providers.openai_compatible import OpenAiProvider
from llm_service.providers.settings import ProviderConfig, ProviderSettings


def build(settings: ProviderSettings, client: HttpClient) -> dict[str, Provider]:
    """Each provider by its name; all of them use the connections of `client`.

    Raises SettingsError for an address that the client cannot use.
    """
    found: dict[str, Provider] = {}
    for config in settings.providers:
        try:
            found[config.name] = _provider(config, client)
        except ValueError:
            raise SettingsError(
                f"The address or the key of the provider {config.name!r} cannot be sent: "
                "check both for characters that do not belong there."
            ) from None
    return found


def _provider(config: ProviderConfig, client: HttpClient) -> Provider:
    if config.kind == "anthropic":
        return AnthropicProvider(
            config.name,
            client,
            config.url,
            config.key,
            max_tokens=config.max_tokens,
            omit=config.omit,
        )
    if config.kind == "bedrock":
        from llm_service.providers.bedrock_converse import BedrockProvider

        return BedrockProvider(config.name, client, config.region, config.url, omit=config.omit)
    return OpenAiProvider(
        config.name,
        client,
        config.url,
        config.key,
        max_tokens_field=config.max_tokens_field,
        omit=config.omit,
        stream_usage=config.stream_usage,
    )
