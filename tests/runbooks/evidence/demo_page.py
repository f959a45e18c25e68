"""Writes a demo of the evidence page: `python tests/runbooks/evidence/demo_page.py FILE.html`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from llmops_runbooks.evidence import page

SUMMARY = {
    "outcome": "passed",
    "wall_seconds": 71.4,
    "requests_sent": 8412,
    "requests_lost": 0,
    "bad_answers": 6,
    "seconds_from_first_to_last_bad_answer": 5.2,
}


def main(path: Path) -> None:
    """Simulate both rollouts of the tests and draw them."""
    spec = importlib.util.spec_from_file_location("demo", Path(__file__).with_name("conftest.py"))
    assert spec and spec.loader
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    rollouts = [demo.bad_rollout(), demo.good_rollout()]
    path.write_text(page.render(rollouts, title="Rehearsal of handbook", summary=SUMMARY), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
