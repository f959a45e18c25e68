"""What says that a machine wrote the answer: to programs by a header, to people by a sentence.

Article 50 of Regulation (EU) 2024/1689 asks that generated content be marked in a machine-readable
form and that people are told. There is no standard header yet; this is the one of an individual
Internet-Draft (https://datatracker.ietf.org/doc/draft-abaris-aicdh/), harmless where unknown.
"""

from __future__ import annotations

AI_HEADERS = {"ai-disclosure": "mode=ai-originated"}
"""On every answer that holds generated text."""
AI_NOTICE = "Written by AI from the sources shown. It may be wrong: check what matters."
"""Where people read answers."""
