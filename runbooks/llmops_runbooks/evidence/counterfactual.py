"""What other tools' rules would have decided on the same minutes, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from llmops_judge.peers import counterfactual
from llmops_judge.replay import history_of, minutes_of
from llmops_runbooks.evidence.series import policy_of
from llmops_runbooks.moments import iso, parse

Json = Mapping[str, Any]


def peers(known: Json) -> list[dict[str, Any]]:
    """Each peer's verdict, with the moment `at`; empty if no minute was judged.

    As on the judge, no look is charged for delay: a peer is taken to see a minute as it ends.
    """
    policy, minutes = policy_of(known), minutes_of(known)
    if policy is None or not minutes:
        return []
    begin = parse(known["begin"])
    found = counterfactual(policy, minutes, history_of(known))
    return [
        {
            **peer.to_json(),
            "at": iso(begin + timedelta(minutes=peer.minute)) if peer.minute else None,
        }
        for peer in found
    ]
