"""What the page's client makes of errors, and what its text makes of an answer; no browser."""

from __future__ import annotations

import pytest
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer

from llm_ui.ask import _literal, _shown
from llm_ui.service import Answer, Client, Trouble
from llm_ui.token import Token

FULL = Behaviour(status=429, headers=(("retry-after", "50"),), message="Try again in 50s.")


def asked(provider: ProviderServer) -> str:
    client = Client(provider.openai_url, Token("token"))
    return "".join(client.ask(Answer("Why?"), [], "visitor"))


def test_a_rate_limit_is_told_at_once_instead_of_waited_for() -> None:
    with ProviderServer(FULL) as provider:
        with pytest.raises(Trouble, match="Try again in 50s"):
            asked(provider)
        assert len(provider.requests) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_service_that_was_away_for_a_moment_is_asked_once_more(status: int) -> None:
    with ProviderServer([Behaviour(status=status), OK]) as provider:
        assert asked(provider).startswith("word0")
        assert len(provider.requests) == 2
        provider.script(Behaviour(status=status))
        with pytest.raises(Trouble):
            asked(provider)
        assert len(provider.requests) == 2


def test_an_error_of_the_service_itself_is_not_asked_again() -> None:
    with ProviderServer(Behaviour(status=500, message="Out of order.")) as provider:
        with pytest.raises(Trouble, match="Out of order"):
            asked(provider)
        assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        ["a ![x](http://h/?q=1) b"],
        ["a !", "[x](http://h/?q=1) b"],
        ["a ", "!", "[", "x](http://h/?q=1) b"],
        ["a ", "", "!", "", "[x](http://h/?q=1) b"],
    ],
)
def test_no_piece_of_an_answer_makes_a_picture(pieces: list[str]) -> None:
    assert "".join(_shown(pieces)) == "a !\\[x](http://h/?q=1) b"


def test_other_text_of_an_answer_comes_as_it_is_but_for_formulas() -> None:
    assert "".join(_shown(["Stop!", " It is *$5*", "!"])) == "Stop! It is *\\$5*!"


def test_a_title_is_shown_as_it_is() -> None:
    assert _literal("A *b*\n[c](d)") == "A \\*b\\* \\[c\\]\\(d\\)"
