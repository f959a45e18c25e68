"""Writes the figures of docs/cost.md anew: `uv run python docs/make_cost.py`.

Each block of the page begins with the command it is the answer to. The zip of the service that the
environments on Lambda need is a stand-in: nothing but its path is looked at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

PAGE = Path(__file__).with_name("cost.md")
BLOCK = re.compile(r"```console\n\$ (llmops cost [^\n]*)\n.*?```", re.DOTALL)
MONEY = r" +([\d.]+)$"
SUMS = (
    r"^A month without a request" + MONEY,
    r"^1,000 requests, beside what the model provider charges" + MONEY,
    r"^A month with [\d,]+ requests" + MONEY,
)
"""The three lines of an answer that the table at the top of the page repeats."""


def commands(page: str) -> list[str]:
    """What the page shows the answers to."""
    return BLOCK.findall(page)


def filled(page: str, answer: Callable[[str], str]) -> str:
    """The page with the answers to its commands, and the tables made of them."""
    answers = {command: answer(command) for command in commands(page)}
    page = BLOCK.sub(lambda found: f"```console\n$ {found[1]}\n{answers[found[1]]}\n```", page)
    page = _between(page, "sums", _sums(answers))
    return _between(page, "assumed", _assumed())


def _between(page: str, mark: str, rows: Iterator[str]) -> str:
    text = "".join(f"{row}\n" for row in rows)
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: found[1] + text + found[2], page, flags=re.DOTALL)


def _sums(answers: dict[str, str]) -> Iterator[str]:
    yield "| command | a month without a request | 1,000 requests | the month of the command |"
    yield "|---|---|---|---|"
    for command, told in answers.items():
        found = [re.search(pattern, told, flags=re.MULTILINE) for pattern in SUMS]
        sums = (f"${each[1]}" if each else "" for each in found)
        yield f"| `{command}` | {' | '.join(sums)} |"


def _assumed() -> Iterator[str]:
    """The last table of the price table, with what is said beside each number."""
    table = files("llmops_runbooks").joinpath("cost_prices.toml").read_text(encoding="utf-8")
    yield "| assumption | value | |"
    yield "|---|---|---|"
    for line in table.partition("[assumed]\n")[2].splitlines():
        if found := re.fullmatch(r"(\w+) = (\S+) +# (.*)", line):
            yield f"| `{found[1]}` | {found[2]} | {found[3]} |"


def ask(command: str, folder: Path) -> str:
    """What the command prints, but for the line that says whether it had to synthesize."""
    bundle = folder / "function.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr(zipfile.ZipInfo("llm_service/lambda_function.py"), "")
    done = subprocess.run(
        [sys.executable, "-m", "llmops_cli", *command.split()[1:]],
        cwd=PAGE.parent,
        env={
            **os.environ,
            "LLMOPS_STATE": str(folder),
            "LLMOPS_FUNCTION__BUNDLE": str(bundle),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = [line.rstrip() for line in done.stdout.splitlines() if " synth " not in line]
    return "\n".join(told).strip("\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        text = filled(PAGE.read_text(encoding="utf-8"), lambda command: ask(command, Path(made)))
    PAGE.write_text(text, encoding="utf-8")
