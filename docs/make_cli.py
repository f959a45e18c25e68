"""Writes docs/cli.md from the commands' own help: `uv run python docs/make_cli.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from llmops_cli.main import COMMANDS, EPILOG

PAGE = Path(__file__).with_name("cli.md")
PLAIN = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "TYPER_USE_RICH": "0"}


def help_of(*words: str) -> str:
    """What a command says of itself, without boxes and colours."""
    done = subprocess.run(
        [sys.executable, "-m", "llmops_cli", *words, "--help"],
        env={**os.environ, **PLAIN},
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def page() -> str:
    """The whole page."""
    parts = ["# Commands", "Made by `docs/make_cli.py` from the commands themselves.", EPILOG]
    for name, entry in COMMANDS.items():
        for words in [(name,), *((name, word) for word in entry.words)]:
            parts += [f"## llmops {' '.join(words)}", f"```text\n{help_of(*words)}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
