"""What keeps an answer from going out: two checks that cost microseconds and claim no more.

An empty answer is replaced by a sentence that says so, and an answer that recites the instructions
(eight of their words in a row) by the prompt's refusal. Limits on what comes in are the API's.

A streamed answer is checked while it comes. What could be the beginning of a recital is held back
until the next word tells: never more than seven whole words and the one that is being written. As
soon as the eighth is there the stream ends with the refusal, and nothing of the recital is out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, Protocol

from llm_service.provider import Answer

RECITED = 8
"""Words of the instructions in a row that are no chance."""
NOTHING_SAID = "No answer came out of that. Please ask again."
WORD = re.compile(r"\w+")
PLAIN = {code: chr(code).casefold() if WORD.match(chr(code)) else " " for code in range(128)}
"""Makes words in small letters of an ASCII text, apart by spaces: `WORD` at a tenth of its time."""

Reason = Literal["empty", "prompt_leak", "input_limit"]
Run = tuple[str, ...]


class Instructions(Protocol):
    """A prompt, as far as it must not be recited."""

    @property
    def system(self) -> str:
        """The instructions."""
        ...

    @property
    def decline(self) -> str:
        """The sentence of a refusal, which may be said."""
        ...


class Guardrail:
    """Checks answers given under `prompt`."""

    def __init__(self, prompt: Instructions) -> None:
        self._decline = prompt.decline
        self._recital = _Recital(set(_runs(prompt.system)) - set(_runs(prompt.decline)))

    def check(self, answer: Answer) -> tuple[Answer, Reason | None]:
        """The answer as it may go out, and why it is not the one that was given."""
        text, reason = self.text(answer.text)
        if reason is None:
            return answer, None
        sources = () if reason == "prompt_leak" else answer.sources
        return replace(answer, text=text, sources=sources), reason

    def text(self, text: str) -> tuple[str, Reason | None]:
        """The text of an answer as it may go out, and why it is another one."""
        if not text.strip():
            return NOTHING_SAID, "empty"
        if self._recital.within(text):
            return self._decline, "prompt_leak"
        return text, None

    def stream(self) -> StreamGuard:
        """A guard for one streamed answer."""
        return StreamGuard(self._recital, self._decline)


class StreamGuard:
    """One streamed answer on its way out. `stopped` once it recites: nothing that still comes
    goes out, so the provider's stream may be closed."""

    def __init__(self, recital: _Recital, decline: str) -> None:
        self._recital, self._decline = recital, decline
        self._held = ""
        self._run: list[tuple[str, int]] = []
        self._at = 0
        self._inside = self._said = False
        self.stopped = False

    def push(self, text: str) -> str:
        """What may go out now that `text` came."""
        if self.stopped:
            return ""
        if self._said and text and not self._held and self._harmless(text):
            return text
        self._held += text
        if not self._said and not self._held.strip():
            return ""
        return self._release(self._scan())

    def end(self) -> tuple[str, Reason | None]:
        """What may go out last, and why the answer is not the one that was given."""
        last = None if self._inside else WORD.search(self._held, self._at)
        if last and not self.stopped:
            self._take(last[0], last.start())
        if self.stopped:
            return f"\n\n{self._decline}" if self._said else self._decline, "prompt_leak"
        if self._said or self._held.strip():
            return self._release(len(self._held)), None
        return NOTHING_SAID, "empty"

    def _harmless(self, text: str) -> bool:
        """Whether `text` may go out as it is, where nothing is held: none of its words is one of
        the instructions', nor is the last one the beginning of such a word. Most texts are."""
        words, unfinished = _words(text), _in_word(text[-1])
        if self._inside and _in_word(text[0]):
            del words[0]
        if self._recital.touches(words, unfinished):
            return False
        self._inside = unfinished
        return True

    def _scan(self) -> int:
        """Takes the words that are complete; up to where in `_held` nothing is suspicious."""
        held = self._held
        if self._inside:
            self._skip()
        for match in WORD.finditer(held, self._at):
            if match.end() == len(held):
                return self._partial(match)
            self._at = match.end()
            if self._take(match[0], match.start()):
                return 0
        self._at = len(held)
        return self._run[0][1] if self._run else len(held)

    def _partial(self, match: re.Match[str]) -> int:
        """Holds a word that is still being written while it could be one of the instructions."""
        if self._recital.begins(match[0].casefold()):
            self._at = match.start()
            return self._run[0][1] if self._run else match.start()
        self._at, self._inside = match.end(), True
        self._run.clear()
        return match.end()

    def _skip(self) -> None:
        """Goes on to the end of a word whose beginning is out already."""
        rest = WORD.match(self._held, self._at)
        self._at = rest.end() if rest else self._at
        self._inside = self._at == len(self._held)

    def _take(self, word: str, start: int) -> bool:
        """Goes on by a word; whether that makes it a recital."""
        word = word.casefold()
        if not self._run and not self._recital.continues((word,)):
            return False
        self._run.append((word, start))
        while self._run and not self._recital.continues(tuple(word for word, _ in self._run)):
            del self._run[0]
        self.stopped = len(self._run) == RECITED
        return self.stopped

    def _release(self, until: int) -> str:
        out, self._held = self._held[:until], self._held[until:]
        self._at = max(0, self._at - until)
        if self._run:
            self._run = [(word, start - until) for word, start in self._run]
        self._said = self._said or bool(out.strip())
        return out


class _Recital:
    """The runs of RECITED words that must not go out, and everything that one may begin with."""

    def __init__(self, runs: set[Run]) -> None:
        self._runs = runs
        self._beginnings = {run[:length] for run in runs for length in range(1, RECITED + 1)}
        words = {word for run in runs for word in run}
        self._words = words
        self._letters = {word[:length] for word in words for length in range(1, len(word) + 1)}

    def begins(self, letters: str) -> bool:
        """Whether a word may begin with `letters`."""
        return letters in self._letters

    def continues(self, words: Run) -> bool:
        """Whether a run may begin with `words`."""
        return words in self._beginnings

    def touches(self, words: list[str], unfinished: bool) -> bool:
        """Whether one of `words` is in the runs, or the last, which is `unfinished`, may be."""
        if not self._words.isdisjoint(words):
            return True
        return unfinished and bool(words) and words[-1] in self._letters

    def within(self, text: str) -> bool:
        """Whether one of the runs is in `text`.

        Looks at every RECITED-th word only where that is none of the instructions' words: no run
        can then go across it.
        """
        if not self._runs:
            return False
        words, end = _words(text), RECITED - 1
        while end < len(words):
            at = end
            while at > end - RECITED and words[at] in self._words:
                at -= 1
            if at > end - RECITED:
                end = at + RECITED
            elif tuple(words[end + 1 - RECITED : end + 1]) in self._runs:
                return True
            else:
                end += 1
        return False


def _in_word(character: str) -> bool:
    """Whether `WORD` matches it."""
    return character.isalnum() or character == "_"


def _words(text: str) -> list[str]:
    if text.isascii():
        return text.translate(PLAIN).split()
    return [word.casefold() for word in WORD.findall(text)]


def _runs(text: str) -> Iterator[Run]:
    """Every RECITED words of `text` in a row."""
    words = _words(text)
    return zip(*(words[i:] for i in range(RECITED)), strict=False)
