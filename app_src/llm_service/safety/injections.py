"""Signs that a text tries to give the model orders: counted, never acted on.

The phrases are those of published attacks. Who means harm words it differently, and who writes
about the subject is counted too: a rise of the metric is worth a look, a single hit means nothing.
What protects is elsewhere: instructions that hold no secret, tools that only read, an output guard.
https://owasp.org/www-project-top-10-for-large-language-model-applications/ (LLM01)
"""

from __future__ import annotations

import re2

LONGEST = 32_768
"""Characters that are looked at."""
SIGNS = re2.compile(
    r"(?i)\b(?:ignore|disregard|forget|override|bypass)\s+(?:\S+\s+){0,4}?"
    r"(?:previous|prior|above|earlier|system|all|your|these|initial)\s+(?:\S+\s+){0,2}?"
    r"(?:instruction|prompt|rule|direction|guideline|message|restriction|command)"
    r"|\b(?:reveal|show|print|repeat|output|display|leak|tell me|what (?:is|are)|give me)\s+"
    r"(?:\S+\s+){0,4}?(?:system|initial|hidden|secret|original)\s+(?:prompt|instruction|message)"
    r"|\byou are now\s+(?:\S+\s+){0,3}?(?:dan|jailbroken|unrestricted|unfiltered|evil)\b"
    r"|\b(?:developer|god|dan|jailbreak|debug)\s+mode\b"
    r"|\bdo anything now\b"
    r"|\bpretend\s+(?:\S+\s+){0,3}?(?:no|without)\s+(?:\S+\s+)?"
    r"(?:rule|restriction|limit|filter|guideline)"
    r"|<\|(?:im_start|im_end|system|endoftext|start_header_id)\|>|\[/?INST\]|<</?SYS>>"
    r"|\brepeat\s+(?:everything|all|the words|the text)\s+(?:\S+\s+)?above\b"
    r"|\b(?:ignorier|vergiss)e?\S*\s+(?:\S+\s+){0,3}?(?:anweisung|regel|vorgabe)"
    r"|\bignor(?:ez|a|e)\s+(?:\S+\s+){0,4}?(?:instructions|instrucciones|consignes|istruzioni)"
)


def injection(text: str) -> bool:
    """Whether `text` has a sign of an injected order."""
    return SIGNS.search(text[:LONGEST]) is not None
