"""The language models that chats are answered with: OpenAI-compatible, Anthropic, Bedrock.

Each is a wire format (`*_wire.py`, pure functions of bytes) over the service's HTTP client
(`over_http.py`); `settings.py` says which there are and `building.py` makes them. What goes wrong
at a provider is told in this service's own words (`failures.py`).
"""

from llm_service.providers.building import build
from llm_service.providers.settings import ProviderSettings, from_environ

__all__ = ["ProviderSettings", "build", "from_environ"]
