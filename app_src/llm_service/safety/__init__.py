"""What is taken out of texts, looked for in them and written on them."""

from llm_service.safety.injections import injection
from llm_service.safety.numbers import warm
from llm_service.safety.redaction import Redacted, redact

__all__ = ["Redacted", "injection", "redact", "warm"]
