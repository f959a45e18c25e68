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
    "hold": "IN_PROGRESS",
}
"""What the gate answers to ECS; `hold` is an inconclusive verdict that the policy holds."""
GOLDEN = {
    "SUCCEEDED": "118 of 120 golden questions pass on the test listener (baseline 117).",
    "FAILED": "80 of 120 golden questions pass on the test listener (baseline 117).",
    "IN_PROGRESS": "64 of 120 golden questions are answered on the test listener.",
}


def verdict(decision: str, *, baseline: int = 900, canary: int = 100) -> dict[str, Any]:
    """A verdict of the judge, as its `to_json` gives it."""
    bad = 0.06 if decision == "rollback" else 0.004
    against = {"value": 120.0 if decision == "rollback" else 0.2, "bound": 100.0}
    metric = {
        "metric": "errors",
        "mode": "rollback",
        "statistic": "share",
        "unit": "",
        "decision": decision,
        "baseline": {"n": baseline, "value": 0.004, "low": 0.001, "high": 0.01},
        "canary": {"n": canary, "value": bad, "low": 0.0, "high": 0.1},
        "against": against,
        "for": {"value": 25.0 if decision == "promote" else 1.0, "bound": 20.0},
        "needs_requests": 600 if decision == "wait" else None,
        "needs_minutes": 1.2 if decision == "wait" else None,
    }
    return {
        "decision": decision,
        "reason": f"errors {bad:.1%} against 0.4%",
        "requests": {"baseline": baseline, "canary": canary},
        "metrics": [metric],
        "family": against,
        "share": {"value": 1.0, "bound": 1000.0},
        "guards": [],
        "warnings": [],
        "hold": False,
    }


@dataclass
class ScriptedGate:
    """Answers the second step with `words` in turn, the last for ever; the first step passes."""

    clock: MemoryClock
    artifacts: MemoryArtifacts
    words: Sequence[str] = ("wait", "promote")
    golden: Sequence[str] = ("SUCCEEDED",)
    """What it answers about the golden set, in turn, the last for ever."""
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
        decision = "inconclusive" if word == "hold" else word
        found = verdict(decision, canary=100 * (turn + 1))
        decided_by = None if status == "IN_PROGRESS" else "gate"
        return self._answer(rollout, canary_weight, found, status, decided_by)

    def ask_golden(self, rollout: str) -> str:
        """The `hookStatus` for one call at the golden set's stage."""
        turn = self.asked.get(f"golden {rollout}", 0)
        self.asked[f"golden {rollout}"] = turn + 1
        status = self.golden[min(turn, len(self.golden) - 1)]
        decided_by = "gate" if status == "FAILED" else None
        return self._answer(rollout, 0, None, status, decided_by, golden=GOLDEN[status])

    def _answer(
        self,
        rollout: str,
        canary_weight: float,
        found: dict[str, Any] | None,
        status: str,
        decided_by: str | None,
        *,
        golden: str = "",
    ) -> str:
        key = f"rollouts/{rollout}/gate.json"
        old = self.artifacts.get(key)
        record: dict[str, Any] = {"schema": 2, "rollout": rollout, "calls": [], "intervals": []}
        record |= json.loads(old) if old else {}
        call = {
            "at": self.clock.now().isoformat(),
            "stage": "POST_TEST_TRAFFIC_SHIFT" if golden else "PRE_PRODUCTION_TRAFFIC_SHIFT",
            "weights": {"baseline": 100 - canary_weight, "canary": canary_weight},
            "hook_status": status,
            "reason": golden or (found["reason"] if found else "The canary may take its share."),
            "verdict": found,
            "through": self.clock.now().isoformat() if found else None,
            "elapsed_minutes": float(self.asked.get(rollout, 0)) if found else None,
        }
        record["calls"].append(call)
        record["decided_by"] = decided_by
        self.artifacts.put(key, json.dumps(record).encode())
        return status
