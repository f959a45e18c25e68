"""The stand-in's HTTP: `POST /v1/chat/completions`, `GET /v1/models`, and `/_control`.

`POST /_control {"failing": 0.25, "slower": 4}` makes an outage: that share of the calls is
answered 503, the others take that many times as long. `{}` ends it. `GET /_control` shows it, with
the calls counted so far.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from llmops_localcloud.model_provider.models import MODELS, Model

FINGERPRINT = "fp_stand_in_1"
TOKEN = re.compile(r"\w+|[^\w\s]")
OWNER = "llmops_localcloud"


@dataclass(frozen=True)
class Weather:
    """The state of the provider: the share of calls that fail, and how much slower it is."""

    failing: float = 0.0
    slower: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.failing <= 1 and 0 < self.slower <= 1000):
            raise ValueError("failing is a share of 0 to 1, slower a factor above 0")


@dataclass
class Provider:
    """One provider. The same seed draws the same times, in the order of the calls."""

    seed: int = 1
    weather: Weather = Weather()
    calls: int = 0
    failed: int = 0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - reproducible times, not a secret

    def application(self) -> web.Application:
        """The provider as an aiohttp application."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/_control", self.show)
        app.router.add_post("/_control", self.control)
        return app

    async def complete(self, request: web.Request) -> web.Response:
        """One completion: the draft, paced; 503 if the weather is bad enough."""
        asked = await _object(request)
        model = MODELS.get(str(asked.get("model")))
        if model is None:
            known = ", ".join(MODELS)
            return _error(404, f"There is no model {asked.get('model')!r}: use one of {known}.")
        self.calls += 1
        weather = self.weather
        if self._chance.random() < weather.failing:
            self.failed += 1
            return _error(503, "The provider is overloaded: try again shortly.")
        await asyncio.sleep(model.seconds(self._chance) * weather.slower)
        return web.json_response(_completion(asked, model, self.calls))

    async def models(self, _: web.Request) -> web.Response:
        """The models, in OpenAI's shape."""
        listed = [{"id": name, "object": "model", "owned_by": OWNER} for name in MODELS]
        return web.json_response({"object": "list", "data": listed})

    async def show(self, _: web.Request) -> web.Response:
        """The weather and the counts."""
        shown = {**asdict(self.weather), "calls": self.calls, "failed": self.failed}
        return web.json_response(shown)

    async def control(self, request: web.Request) -> web.Response:
        """Changes the weather, from the next call on."""
        try:
            self.weather = Weather(**(await _object(request)))
        except (TypeError, ValueError) as error:
            return _error(400, f"The weather cannot be so: {error}.")
        return await self.show(request)


def _completion(asked: Mapping[str, Any], model: Model, number: int) -> dict[str, Any]:
    texts = [str(message.get("content") or "") for message in asked.get("messages", ())]
    question = texts[-1] if texts else ""
    prediction = asked.get("prediction") or {}
    draft = str(prediction.get("content", question))
    said = model.say(question, draft)
    read, written = sum(map(_tokens, texts)), _tokens(said)
    message = {"role": "assistant", "content": said, "refusal": None}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked["model"],
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "stop" if said == draft else "length",
            }
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def _tokens(text: str) -> int:
    return len(TOKEN.findall(text))


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="The body is not a JSON object.")
    return asked


def _error(status: int, message: str) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return web.json_response({"error": {"message": message, "type": kind}}, status=status)
