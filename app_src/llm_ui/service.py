"""The service as the page asks it: OpenAI's own client, for its endpoints and for ours.

    SERVICE_URL      root of the API                       http://127.0.0.1:8000/v1
    SERVICE_FEATURE  feature that answers                  default

and the bearer token, see `llm_ui.token`.

What goes wrong is a `Trouble`, one sentence for whoever looks at the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    OpenAI,
    OpenAIError,
)

from llm_ui.token import Token

TIMEOUT = 60.0
"""Seconds for an answer."""
PASSING = frozenset({502, 503, 504})
"""What a load balancer answers while a task is replaced: asked once more. A 429 is not: OpenAI's
client would wait as long as the service says, up to a minute, and the visitor would see nothing."""

NO_TOKEN = "none"  # noqa: S105
"""What is sent where there is no token: OpenAI's client insists on one."""

Thumb = Literal["up", "down"]
T = TypeVar("T")


class Trouble(Exception):
    """The service did not do it; the message is for the page."""


@dataclass(frozen=True)
class Source:
    """A passage that was read; `text` empty where a search no longer finds it."""

    id: str
    title: str
    text: str = ""


@dataclass
class Answer:
    """An answer as far as it has come."""

    question: str
    text: str = ""
    id: str = ""
    release: str = ""
    model: str = ""
    supported: bool | None = None
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """How good an answer is: `score` 0..1, a word for it, and why."""

    score: float
    verdict: str
    why: str
    metrics: Mapping[str, float]
    judge: Mapping[str, Any] | None


class Client:
    """One connection to the service for all visitors of the page."""

    def __init__(self, url: str, token: Token, feature: str = "default") -> None:
        self._openai = OpenAI(
            base_url=url, api_key=token.value or NO_TOKEN, timeout=TIMEOUT, max_retries=0
        )
        self._token, self._feature = token, feature

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Client:
        """The client that the variables above describe."""
        return cls(
            environ.get("SERVICE_URL") or "http://127.0.0.1:8000/v1",
            Token.from_environ(environ),
            environ.get("SERVICE_FEATURE") or "default",
        )

    def ask(self, answer: Answer, earlier: list[Answer], visitor: str) -> Iterator[str]:
        """Asks `answer.question` after the `earlier` turns and yields the text piece by piece;
        `answer` knows the rest at the end. Raises Trouble."""
        messages = [*_messages(earlier), {"role": "user", "content": answer.question}]
        create = self._openai.chat.completions.create
        try:
            stream = self._known(
                lambda: create(model=self._feature, messages=messages, stream=True, user=visitor)
            )
            for chunk in stream:
                yield from _taken(answer, chunk)
        except OpenAIError as error:
            raise trouble(error) from error

    def passages(self, answer: Answer) -> list[Source]:
        """The sources of `answer` with their text, as a search for the question finds them."""
        body = {"query": answer.question, "top_k": 10}
        found = {row["id"]: row["text"] for row in self._post("/search", body)["results"]}
        return [Source(s.id, s.title, found.get(s.id, "")) for s in answer.sources]

    def thumb(self, response_id: str, thumb: Thumb, comment: str | None) -> None:
        """Says what the visitor thinks of an answer. Raises Trouble."""
        body = {"response_id": response_id, "thumb": thumb}
        self._post("/feedback", body | ({"comment": comment} if comment else {}))

    def evaluate(self, question: str, reference: str, answer: str) -> Evaluation:
        """How good `answer` is beside `reference`. Raises Trouble."""
        body = {"question": question, "reference": reference, "answer": answer}
        row = self._post("/evaluations", body)
        return Evaluation(
            row["score"], row["verdict"], row["why"], row["metrics"], row.get("judge")
        )

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = self._known(lambda: self._openai.post(path, body=body, cast_to=object))
        except OpenAIError as error:
            raise trouble(error) from error
        assert isinstance(found, dict)
        return found

    def _known(self, ask: Callable[[], T]) -> T:
        """What `ask` finds; asked once more where the service was away for a moment, or refused a
        token that has changed."""
        token = self._token.value
        try:
            return ask()
        except AuthenticationError:
            if not self._token.renewed(token):
                raise
        except (APIConnectionError, APIStatusError) as error:
            if (
                isinstance(error, APITimeoutError)
                or getattr(error, "status_code", 502) not in PASSING
            ):
                raise
        self._openai.api_key = self._token.value or NO_TOKEN
        return ask()


def trouble(error: OpenAIError) -> Trouble:
    """What to tell the visitor; the service's own words where it answered with an error."""
    match error:
        case APITimeoutError():
            return Trouble("The service took too long to answer: please ask again.")
        case AuthenticationError():
            return Trouble(
                "The service does not know this page: whoever runs it should set SERVICE_TOKEN."
            )
        case APIConnectionError():
            return Trouble("The service cannot be reached: is it running?")
        case APIStatusError():
            return Trouble(_told(error.body) or f"The service answered {error.status_code}.")
        case _:
            return Trouble(
                _told(getattr(error, "body", None)) or "The answer broke off: ask again."
            )


def _told(body: object) -> str:
    return str(body["message"]) if isinstance(body, dict) and body.get("message") else ""


def _messages(earlier: list[Answer]) -> list[Any]:
    turns = [(("user", one.question), ("assistant", one.text)) for one in earlier]
    return [{"role": role, "content": text} for pair in turns for role, text in pair]


def _taken(answer: Answer, chunk: Any) -> Iterator[str]:
    """The text of one chunk; what else it says goes into `answer`."""
    more = chunk.model_extra or {}
    answer.id, answer.model = chunk.id, chunk.model
    answer.release = chunk.system_fingerprint or answer.release
    answer.supported = more.get("supported", answer.supported)
    rows = more.get("sources") or ()
    answer.sources = [Source(row["id"], row["title"]) for row in rows] or answer.sources
    for choice in chunk.choices:
        if choice.delta.content:
            answer.text += choice.delta.content
            yield choice.delta.content
