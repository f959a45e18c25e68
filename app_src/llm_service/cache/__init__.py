"""Answers that may be given again: to the same question, or to one that means the same."""

from llm_service.cache.cache import Cache
from llm_service.cache.key import CacheKey, key_of
from llm_service.cache.values import Cached, SourceRow

__all__ = ["Cache", "CacheKey", "Cached", "SourceRow", "key_of"]
