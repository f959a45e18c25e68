"""Who shares an answer: never two releases, never two users unless the feature says so."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_service import safety
from llm_service.auth import Principal
from llm_service.bundle.feature import CachePolicy
from llm_service.cache import CacheKey, key_of
from llm_service.cache.key import LONGEST
from llm_service.calls import Call, Message, Tool, ToolCall

Mode = Literal["off", "exact", "semantic"]
Scope = Literal["user", "feature"]
NAMES = st.text(string.ascii_lowercase + '/:|",\\\0 é', max_size=6)


@dataclass(frozen=True)
class Request:
    """Everything that an answer depends on."""

    release: str = "1"
    feature: str = "answer"
    principal: str = "web"
    user: str = "ann"
    model: str = "gpt"
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    more: dict[str, Any] | None = None
    models: tuple[str, ...] = ("openai/gpt",)
    messages: tuple[tuple[str, str], ...] = (("system", "Be brief."), ("user", "How?"))

    def key(self, mode: Mode = "semantic", scope: Scope = "user") -> CacheKey | None:
        call = Call(
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
            more=self.more,
            messages=tuple(Message(role, text) for role, text in self.messages),  # type: ignore[arg-type]
        )
        return key_of(
            call,
            CachePolicy(mode=mode, scope=scope),
            release=self.release,
            feature=self.feature,
            principal=Principal(self.principal),
            user=self.user,
            models=self.models,
        )


CHATS = st.lists(
    st.tuples(st.sampled_from(["system", "user", "assistant"]), NAMES), min_size=1, max_size=4
).map(tuple)
REQUESTS = st.builds(
    Request,
    release=NAMES,
    feature=NAMES,
    principal=NAMES,
    user=NAMES,
    model=NAMES,
    temperature=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    max_tokens=st.none() | st.integers(1, 9),
    seed=st.none() | st.integers(0, 9),
    stop=st.lists(NAMES, max_size=2).map(tuple),
    models=st.lists(NAMES, max_size=2).map(tuple),
    messages=CHATS,
)


def meaning(request: Request, scope: Scope) -> Request:
    """The request with what does not change its answer left out."""
    shown = tuple((role, text.strip()) for role, text in request.messages)
    found = replace(request, messages=shown)
    return found if scope == "user" else replace(found, principal="", user="")


@given(REQUESTS, REQUESTS, st.sampled_from(["user", "feature"]))
def test_two_requests_share_an_answer_only_if_everything_is_the_same(
    one: Request, other: Request, scope: Scope
) -> None:
    first, second = one.key(scope=scope), other.key(scope=scope)
    assume(first and second)
    assert first and second
    same = meaning(one, scope) == meaning(other, scope)
    assert (first.digest == second.digest) == same


@given(REQUESTS, st.data())
def test_a_difference_in_anything_but_the_question_is_another_partition(
    request: Request, data: st.DataObject
) -> None:
    field = data.draw(
        st.sampled_from(
            ["release", "feature", "principal", "user", "model", "seed", "max_tokens", "models",
             "more"]
        )
    )  # fmt: skip
    others: dict[str, Any] = {
        "seed": 77, "max_tokens": 77, "models": ("x/y",), "more": {"verbosity": "low"}
    }  # fmt: skip
    changed = others.get(field, "changed")
    first, second = request.key(), replace(request, **{field: changed}).key()
    assume(first and second)
    assert first and second
    assert first.partition != second.partition
    assert first.digest != second.digest


@given(REQUESTS, NAMES, NAMES)
def test_users_share_only_where_the_feature_says_so(request: Request, a: str, b: str) -> None:
    assume(a != b)
    first, second = replace(request, user=a), replace(request, user=b)
    assume(first.key())
    mine, theirs = first.key(scope="user"), second.key(scope="user")
    assert mine and theirs and mine.partition != theirs.partition
    assert first.key(scope="feature") == second.key(scope="feature")


def test_a_user_of_one_token_is_not_the_same_user_of_another() -> None:
    assert Request(principal="a").key() != Request(principal="b").key()


def test_the_scope_itself_is_part_of_the_key() -> None:
    first, second = Request().key(scope="user"), Request().key(scope="feature")
    assert first and second and first.partition != second.partition


def test_questions_with_the_same_meaning_on_paper_are_the_same() -> None:
    composed = replace(Request(), messages=(("user", " Café? \r\nNow "),))
    decomposed = replace(Request(), messages=(("user", "Cafe\u0301?\nNow"),))
    assert composed.key() == decomposed.key()
    assert composed.key() != replace(Request(), messages=(("user", "café?\nNow"),)).key()


def test_only_the_question_itself_goes_by_likeness() -> None:
    key, exact = Request().key(), Request().key("exact")
    assert key and key.text == "How?"
    assert exact and exact.text == ""


def test_the_last_user_message_is_the_question_wherever_it_stands() -> None:
    late = replace(Request(), messages=(("user", "One"), ("assistant", "Yes"), ("user", "Two")))
    early = replace(Request(), messages=(("user", "Two"), ("assistant", "Yes"), ("user", "One")))
    first, second = late.key(), early.key()
    assert first and second and first.text == "Two" and first.partition != second.partition


BASE = Call(model="m", messages=(Message("user", "How?"),))
POLICY = CachePolicy(mode="exact")
UNKEPT: dict[str, Call] = {
    "tools offered": msgspec.structs.replace(BASE, tools=(Tool("search"),)),
    "a tool's answer": msgspec.structs.replace(
        BASE, messages=(*BASE.messages, Message("tool", "42", tool_call_id="1"))
    ),
    "a tool call": msgspec.structs.replace(
        BASE,
        messages=(*BASE.messages, Message("assistant", tool_calls=(ToolCall("1", "f", "{}"),))),
    ),
    "hot": msgspec.structs.replace(BASE, temperature=1.5),
    "nobody asks": msgspec.structs.replace(BASE, messages=(Message("system", "Be brief."),)),
    "very long": msgspec.structs.replace(BASE, messages=(Message("user", "x" * (LONGEST + 1)),)),
}


@pytest.mark.parametrize("name", UNKEPT)
def test_what_will_not_come_again_has_no_key(name: str) -> None:
    principal = Principal("web")
    assert key_of(BASE, POLICY, release="1", feature="a", principal=principal)
    assert not key_of(UNKEPT[name], POLICY, release="1", feature="a", principal=principal)


def test_off_is_off() -> None:
    assert Request().key("off") is None


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_request_with_personal_data_has_no_key(role: Any) -> None:
    messages = (Message(role, "Write to jane.doe@example.com."), Message("user", "Shall I?"))
    call = msgspec.structs.replace(BASE, messages=messages)

    def key(redact: Any) -> CacheKey | None:
        principal = Principal("web")
        return key_of(call, POLICY, release="1", feature="a", principal=principal, redact=redact)

    assert key(None)
    assert key(lambda text: safety.redact(text).text) is None
