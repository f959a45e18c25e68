"""Words that contradict each other: pairs of opposites, and what `un-` and its like make of a word.

A question that asks for the last where the page tells of the first is not answered by it, though
all other words agree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from llm_service.text import stem

PAIRS = """
    accept reject; add remove; admit deny; advantage disadvantage; after before; agree disagree;
    allow forbid; allow prevent; allow prohibit; ally enemy; ancient modern; appear disappear;
    approximate exact; arrive leave; ascend descend; attack defend; attacker defender; begin end;
    best worst; better worse; big small; biggest smallest; birth death; born died; born killed;
    bottom top; brother sister; build destroy; buy sell; buyer seller; cause prevent; cease
    continue; central local; cheap expensive; child parent; civilian military; close open; cold
    hot; cold warm; collective individual; common rare; complete partial; complex simple; compulsory
    voluntary; connect disconnect; continue stop; create destroy; daughter mother; decline grow;
    decline rise; decrease increase; defeat victory; difficult easy; direct indirect; discourage
    encourage; domestic foreign; dry wet; early late; earliest latest; east west; eastern western;
    easy hard; employee employer; end start; enemy friend; enter leave; even odd; exclude include;
    expand reduce; expand shrink; export import; external internal; fail succeed; failure success;
    fall rise; false true; fast slow; father son; female male; few many; fewer more; fewest most;
    figurative literal; finish start; first last; forbid permit; foreign native; forget remember;
    former latter; formal informal; forward backward; gain lose; give take; group individual; harm
    protect; hate love; heavy light; hide show; high low; higher lower; highest lowest; horizontal
    vertical; husband wife; illegal legal; impossible possible; increase reduce; inferior superior;
    inner outer; input output; inside outside; join leave; king queen; large small; largest
    smallest; least most; left right; less more; long short; longest shortest; lose win; loss
    victory; lost won; lower upper; loyal rebel; major minor; majority minority; man woman;
    mandatory optional; maximum minimum; men women; narrow wide; negative positive; nephew uncle;
    new old; newest oldest; north south; northern southern; offense defense; old young; oldest
    youngest; opponent supporter; oppose support; optional required; passive active; peace war; poor
    rich; popular unpopular; practical theoretical; private public; pull push; receive send;
    receiver sender; refuse accept; religious secular; resist support; right wrong; rural urban;
    safe dangerous; same different; separate unite; short tall; similar different; strengthen
    weaken; strong weak; stronger weaker; student teacher; summer winter; survive die; temporary
    permanent; thick thin; visible invisible
"""
PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "anti")
WORD = re.compile(r"[a-z]+")


def _opposites(pairs: str) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for pair in pairs.split(";"):
        one, other = map(stem, pair.split())
        found[one] = found.get(one, frozenset()) | {other}
        found[other] = found.get(other, frozenset()) | {one}
    return found


OPPOSITES = _opposites(PAIRS)


def contradicts(question: str, said: str) -> bool:
    """Whether `said` has the opposite of a word of `question`, and not the word itself."""
    asked, there = _stems(question), _stems(said)
    return any(
        OPPOSITES.get(word, frozenset()) & there or _negated(word, there) for word in asked - there
    )


def _negated(word: str, there: Collection[str]) -> bool:
    """Whether `there` holds `word` with a negating prefix, or without the one it has."""
    if len(word) <= 4:
        return False
    return any(
        prefix + word in there
        or (
            word.startswith(prefix) and len(word) > len(prefix) + 3 and word[len(prefix) :] in there
        )
        for prefix in PREFIXES
    )


def _stems(text: str) -> set[str]:
    return {stem(word) for word in WORD.findall(text.lower())}
