"""A gate whose verdicts are written beforehand; it keeps the record that the real one keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryClock

HOOK_STATUS = {
    "promote": "SUCCEEDED",
    "rollback": "FAILED",
    "wait": "IN_PROGRESS",
    "inconclusive": "FAILED",
}


def verdict(decision: str, *, baseline: int = 900, canary: int = 100) -> dict[str, Any]:
    """A verdict of the judge, with the fields that its readers rely on."""
    metric = {
        "metric": "errors",
        "decision": decision,
        "baseline": {"n": baseline, "value": 0.004},
        "canary": {"n": canary, "value": 0.06 if decision == "rollback" else 0.004},
        "against": {"value": 120.0 if decision == "rollback" else 0.2, "bound": 100.0},
        "for": {"value": 25.0 if decision == "promote" else 1.0, "bound": 20.0},
        "needs_requests": 600 if decision == "wait" else None,
        "needs_minutes": 1.2 if decision == "wait" else None,
    }
    return {
        "decision": decision,
        "reason": f"errors {metric['canary']['value']:.1%} against 0.4%",  # type: ignore[index]
        "requests": {"baseline": baseline, "canary": canary},
        "metrics": [metric],
    }


@dataclass
class ScriptedGate:
    """Answers the second step with `words` in turn, the last for ever; the first step passes."""

    clock: MemoryClock
    artifacts: MemoryArtifacts
    words: Sequence[str] = ("wait", "promote")
    asked: dict[str, int] = field(default_factory=dict)

    def ask(self, rollout: str, canary_weight: float) -> str:
        """The `hookStatus` for one call of the hook."""
        if canary_weight == 0:
            return self._answer(rollout, canary_weight, None, "SUCCEEDED", None)
        said = self.artifacts.get(f"rollouts/{rollout}/decision.json")
        if said:
            status = HOOK_STATUS[json.loads(said)["decision"]]
            return self._answer(rollout, canary_weight, verdict("wait"), status, "operator")
        turn = self.asked.get(rollout, 0)
        self.asked[rollout] = turn + 1
        word = self.words[min(turn, len(self.words) - 1)]
        status = HOOK_STATUS[word]
        found = verdict(word, canary=100 * (turn + 1))
        decided_by = None if status == "IN_PROGRESS" else "gate"
        return self._answer(rollout, canary_weight, found, status, decided_by)

    def _answer(
        self,
        rollout: str,
        canary_weight: float,
        found: dict[str, Any] | None,
        status: str,
        decided_by: str | None,
    ) -> str:
        key = f"rollouts/{rollout}/gate.json"
        old = self.artifacts.get(key)
        record: dict[str, Any] = {"schema": 1, "rollout": rollout, "calls": [], "intervals": []}
        record |= json.loads(old) if old else {}
        call = {
            "at": self.clock.now().isoformat(),
            "stage": "PRE_PRODUCTION_TRAFFIC_SHIFT",
            "weights": {"baseline": 100 - canary_weight, "canary": canary_weight},
            "hook_status": status,
            "verdict": found,
        }
        record["calls"].append(call)
        record["decided_by"] = decided_by
        self.artifacts.put(key, json.dumps(record).encode())
        return status
