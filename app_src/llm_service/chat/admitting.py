"""Who may ask what: from the body of a request to a feature that answers it, within its limits.

    auth -> parse -> feature -> experiment -> limits -> budget

All of it is sums and look-ups in memory; nothing here waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_service.bundle import Bundle, Feature, assign, subject_of
from llm_service.chat import asked
from llm_service.chat.known import Known
from llm_service.chat.state import Chat
from llm_service.chat.wire import MAX_TEXT, ChatRequest, decode, refuse
from llm_service.deadline import Deadline
from llm_service.embedded import MODEL
from llm_service.errors import ApiError
from llm_service.limits import Budgets, Limits, estimated
from llm_service.names import Names
from llm_service.routing import Target

FEATURE = "x-llmops-feature"
CONVERSATION = "x-llmops-conversation"
TIMEOUT = "x-llmops-timeout"
CLIENTS_TIMEOUT = "x-stainless-read-timeout"
"""What OpenAI's own clients send: how long they will wait, in seconds."""
EMBEDDED = "embedded"


def target(text: str) -> Target:
    """The model that a feature lists; `embedded` alone stands for the one there is."""
    found = Target.parse(text)
    return found if found.model else Target(found.provider, MODEL)


@dataclass
class Admitting:
    """Takes requests on behalf of `bundle`."""

    bundle: Bundle
    limits: Limits
    budgets: Budgets
    names: Names = field(default_factory=Names)

    def __post_init__(self) -> None:
        features = self.bundle.features.values()
        listed = [name for each in features for name in (*each.models, *each.cheaper)]
        models = [target(name) for name in listed]
        self._models = {"default", EMBEDDED, MODEL, *listed, *(each.model for each in models)}
        self._targets: dict[str, Target] = {}

    def label(self, headers: Mapping[str, str], request: ChatRequest | None) -> str:
        """What the metrics call the part of a product that asks."""
        given = headers.get(FEATURE) or (request.note("feature") if request else None)
        if given is None and request and request.model in self.bundle.features:
            given = None if request.model == self.bundle.default else request.model
        return self.names.of(given)

    def stranger(self, headers: Mapping[str, str]) -> str:
        """The same for somebody without a token: names that strangers send are not learnt."""
        return self.names.of(headers.get(FEATURE), learn=False)

    def take(self, chat: Chat, body: bytes, known: Known | None = None) -> None:
        """Fills in what is asked, and of which feature; `known` is what the body was read to
        before. Raises ApiError."""
        request = chat.request = decode(body) if known is None else known.request
        chat.label = self.label(chat.headers, request)
        feature = self._feature(chat.headers, request)
        try:
            chat.messages = asked.messages(request) if known is None else known.messages
        except asked.TooLong as error:
            chat.guarded = True
            raise refuse(error.param, f"at most {MAX_TEXT} characters are read.") from None
        assigned = assign(feature, _subject(feature, chat))
        chat.feature = assigned.feature
        chat.experiment, chat.variant = assigned.experiment, assigned.variant
        chat.subject = assigned.subject
        chat.deadline = Deadline.after(_seconds(chat.headers, feature.timeout_seconds))
        self._admit(chat, assigned.feature)

    def _admit(self, chat: Chat, feature: Feature) -> None:
        """Takes the request from the limits, and looks whether there is money for it."""
        assert chat.request is not None
        most, cap = chat.request.limit, feature.max_tokens
        if most is None or (cap is not None and cap < most):
            most = cap
        tokens = estimated((each.content for each in chat.messages), most)
        chat.admission = self.limits.admit(chat.principal, feature.name, tokens)
        action = self.budgets.action(chat.principal, feature)
        if action == "refuse":
            self.limits.settle(chat.admission, 0)
            raise self.budgets.refusal(chat.principal, feature)
        chat.over_budget = action != "ok"
        cheaper = action == "cheaper" and feature.cheaper
        chat.targets = [self._target(name) for name in cheaper or feature.models]

    def _target(self, name: str) -> Target:
        found = self._targets.get(name)
        if found is None:
            found = self._targets[name] = target(name)
        return found

    def _feature(self, headers: Mapping[str, str], request: ChatRequest) -> Feature:
        """The feature that is named, by header, metadata or `model`. Raises ApiError 404."""
        features = self.bundle.features
        for name in (headers.get(FEATURE), request.note("feature"), request.model):
            if isinstance(name, str) and name in features:
                return features[name]
        if request.model and request.model not in self._models:
            known = ", ".join(features)
            raise ApiError(
                404,
                f"There is no model {request.model!r}: use one of {known}, default.",
                code="model_not_found",
                param="model",
            )
        return features[self.bundle.default]


def _subject(feature: Feature, chat: Chat) -> str:
    """Whose the request is, for the feature's experiment; empty for nobody's."""
    assert chat.request is not None
    noted = chat.request.note("conversation_id")
    conversation = chat.headers.get(CONVERSATION) or (noted if isinstance(noted, str) else "")
    user = chat.request.caller
    return subject_of(feature, user=user, conversation=conversation, request=chat.request_id)


def _seconds(headers: Mapping[str, str], most: float) -> float:
    """How long the answer may take: what the client waits, and never more than `most`."""
    given = headers.get(TIMEOUT)
    seconds = _number(given if given is not None else headers.get(CLIENTS_TIMEOUT))
    if seconds is not None and seconds > 0:
        return min(most, seconds)
    if given is not None:
        raise refuse(TIMEOUT, "it is no number of seconds above zero.")
    return most


def _number(text: str | None) -> float | None:
    try:
        found = float(text) if text else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None
