"""How many tokens a request will use, before anybody knows.

Four characters are a token of English in OpenAI's tokenizers
(https://help.openai.com/en/articles/4936856), and each message costs about four more
(https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken). What may be written counts
in full where the request caps it, as OpenAI's own limiter counts `max_tokens`; without a cap only
the prompt counts. The estimate is settled with the real usage once the answer is there.
"""

from __future__ import annotations

from collections.abc import Iterable

CHARACTERS = 4
"""Characters in a token."""
MESSAGE = 4
"""Tokens that a message costs beside its text."""


def estimated(texts: Iterable[str], max_tokens: int | None) -> int:
    """Tokens of a request with these messages' texts that may be answered in `max_tokens`."""
    prompt = sum(MESSAGE + len(text) // CHARACTERS for text in texts)
    return prompt + (max_tokens or 0)
