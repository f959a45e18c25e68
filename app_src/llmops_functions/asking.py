"""Questions over HTTP: one connection a thread, kept open; what is lost is asked once more."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from llmops_functions.golden import Given, Question, judged

AT_ONCE = 8
"""Questions under way at the same time."""
CONNECT_SECONDS = 3.0
QUESTION_SECONDS = 10.0
"""An answer that takes longer is no answer."""
LARGEST_BODY = 1024 * 1024
PATH = "/v1/chat/completions"
RELEASE_HEADER = "x-llmops-release"
BALANCERS = frozenset({429, 502, 503, 504})
"""The load balancer's or a limiter's answers, not the release's."""
REFUSALS = frozenset({401, 403})


class AskingError(Exception):
    """Nothing can be asked; the message says where and why, and never holds the token."""


class Lost(Exception):
    """A question that no release answered; the text says why."""


class Listener:
    """A release behind a listener. Safe from any thread; use it as a context manager.

    release: who must answer, by the header x-llmops-release if the answer has it: a load balancer
        may send a request the old way for some seconds after its rule was changed.
    """

    def __init__(self, url: str, token: str, release: str) -> None:
        parts = urlsplit(url)
        self.url, self._token, self._release = url, token, release
        self._host, self._port, self._secure = parts.hostname or "", parts.port, parts.scheme
        self._path = parts.path.rstrip("/") + PATH
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._open:
            connection.close()

    def ask(self, question: Question, more: Callable[[], bool]) -> Given:
        """The release's answer with its mark, or in parentheses why there is none, which is wrong.

        more: whether there is time to ask again. Raises Lost if no release answered, and
        AskingError if the token is refused.
        """
        try:
            return self._ask(question)
        except Lost:
            if not more():
                raise
            return self._ask(question)

    def _ask(self, question: Question) -> Given:
        try:
            status, release, body = self._exchange(question.text)
        except TimeoutError:
            self._drop()
            return Given(f"(no answer within {QUESTION_SECONDS:g} seconds)", passed=False)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            why = str(error) or type(error).__name__
            raise Lost(f"{self.url} does not answer: {why}") from error
        self._check(status, release)
        return _given(question, status, body)

    def _check(self, status: int, release: str | None) -> None:
        if status in REFUSALS:
            raise AskingError(f"{self.url} refuses the service's own token (HTTP {status}).")
        if status in BALANCERS:
            raise Lost(f"{self.url} answered HTTP {status}.")
        if release not in (None, self._release):
            raise Lost(f"{self.url} is answered by {release}, not yet by {self._release}.")

    def _exchange(self, question: str) -> tuple[int, str | None, bytes]:
        connection = self._connection()
        messages = [{"role": "user", "content": question}]
        body = json.dumps({"model": "default", "messages": messages, "stream": False})
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        content = response.read(LARGEST_BODY)
        if not response.isclosed():
            self._drop()
        return response.status, response.headers.get(RELEASE_HEADER), content

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection; connecting has a time limit of its own, and is Lost past it."""
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            return kept
        kind = (
            http.client.HTTPSConnection if self._secure == "https" else http.client.HTTPConnection
        )
        made = kind(self._host, self._port, timeout=CONNECT_SECONDS)
        try:
            made.connect()
        except TimeoutError as error:
            raise ConnectionError(f"no connection within {CONNECT_SECONDS:g} seconds") from error
        made.sock.settimeout(QUESTION_SECONDS)
        self._local.connection = made
        self._open.append(made)
        return made

    def _drop(self) -> None:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            self._local.connection = None
            with suppress(OSError):
                kept.close()


def ask_all(
    listener: Listener, questions: Iterable[Question], more: Callable[[], bool]
) -> tuple[dict[str, Given], str]:
    """The answers by question id, and why a question was lost, if one was ("" otherwise).

    more: whether there is time to begin another question; what is not begun has no answer.
    Raises AskingError.
    """
    lost: list[str] = []

    def one(question: Question) -> tuple[str, Given] | None:
        if not more() or len(lost) >= AT_ONCE:
            return None
        try:
            return question.id, listener.ask(question, more)
        except Lost as error:
            lost.append(str(error))
            return None

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="golden") as pool:
        given = dict(each for each in pool.map(one, questions) if each)
    return given, lost[0] if lost else ""


def token_of(secret: str) -> str:
    """The bearer token in the token secret's text. Raises AskingError, which never quotes it."""
    try:
        row: Any = json.loads(secret)
        token = row.get("current") or row.get("previous")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token:
        raise AskingError('The token secret holds no token: it must be {"current": "..."}.')
    return token


def _given(question: Question, status: int, body: bytes) -> Given:
    if status != http.client.OK:
        return Given(f"(HTTP {status})", passed=False)
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return Given("(not an answer)", passed=False)
    return judged(question, content) if isinstance(content, str) else judged(question, "")
