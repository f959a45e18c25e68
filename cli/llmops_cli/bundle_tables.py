"""What `llmops bundle` shows, in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_cli.judge_tables import table_lines
from llmops_cli.render import plain

if TYPE_CHECKING:
    from llm_service.bundle.lint import Report


def lint(found: Report) -> list[str]:
    """The features, then what was found."""
    rows = [("feature", "prompt", "models", "retrieval", "cache", "experiment")] + [
        (
            f"{row.name} (default)" if row.default else row.name,
            row.prompt,
            ", ".join(row.models),
            row.retrieval,
            row.cache,
            row.experiment or "-",
        )
        for row in found.features
    ]
    return [
        f"bundle {found.digest}",
        "",
        *table_lines(rows),
        "",
        *(f"{each.level}: {plain(each.message)}" for each in found.findings),
        *([] if found.findings else ["nothing to find"]),
    ]
