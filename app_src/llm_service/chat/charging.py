"""What an answer costs."""

from __future__ import annotations

from functools import lru_cache

from llm_service.chat.state import Chat
from llm_service.prices import Price, price
from llm_service.routing import Target


def cost(chat: Chat, own_price: Price | None) -> float | None:
    """Micro-dollars for the tokens of all calls so far; None where the model has no price.
    `own_price` goes before the table. An answer that was given before costs nothing."""
    if chat.target is None:
        return None
    if chat.cached in ("exact", "semantic"):
        return 0.0
    charged = own_price or _listed(chat.target)
    if charged is None:
        return None
    return charged.of(chat.usage.prompt, chat.usage.completion, chat.usage.cached)


@lru_cache(maxsize=256)
def _listed(target: Target) -> Price | None:
    return price(str(target))
