"""`llmops eval run`, `llmops eval calibrate`, `llmops eval compare`, `llmops eval import`"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_cli import eval_tables, options
from llmops_cli.render import Screen
from llmops_runbooks.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from llmops_runbooks.eval_ask import Target
    from llmops_runbooks.eval_schema import Result

Url = Annotated[
    str | None, typer.Option("--url", help="A service's address, instead of an environment's.")
]
TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="NAME", help="Variable that holds the token, with --url."),
]
GoldenFile = Annotated[
    Path, typer.Option("--golden", metavar="FILE", help="The questions, one JSON object a line.")
]
Name = Annotated[str | None, typer.Option("--name", help="What to call it; default: the file's.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the result there, in JSON.")
]
JunitOut = Annotated[
    Path | None,
    typer.Option("--junit-out", metavar="FILE", help="Write the result there as a JUnit report."),
]
Judge = Annotated[
    str | None,
    typer.Option("--judge", metavar="MODEL", help="provider/model of the service that judges."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Answers that people labelled, to judge too; default: calibration.jsonl beside the "
        "golden set, else the sample's.",
    ),
]
NoCalibration = Annotated[
    bool, typer.Option("--no-calibration", help="Judge the answers only; spend less.")
]
GradedFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration", metavar="FILE", help="Answers that people labelled; default: the sample's."
    ),
]
Feature = Annotated[
    str | None, typer.Option("--feature", help="Ask this feature; default: the service's.")
]
Model = Annotated[str, typer.Option("--model", help="What the requests name as their model.")]
Sample = Annotated[
    int | None, typer.Option("--sample", min=1, help="Ask only so many, chosen by --seed.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed chooses the same questions.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, max=256, help="At once.")]
Stream = Annotated[
    bool, typer.Option("--stream/--no-stream", help="Stream, to time the first words too.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for a request.")]
PromptPrice = Annotated[
    float | None,
    typer.Option("--prompt-price", min=0, help="Dollars of a million tokens that are read."),
]
CompletionPrice = Annotated[
    float | None,
    typer.Option("--completion-price", min=0, help="Dollars of a million that are written."),
]
First = Annotated[Path, typer.Argument(metavar="A", help="The result to compare with.")]
Second = Annotated[Path, typer.Argument(metavar="B", help="The result in question.")]
Metric = Annotated[str, typer.Option("--metric", help="The metric that decides.")]
Margin = Annotated[
    float, typer.Option("--margin", min=0, max=1, help="How much worse is not worse.")
]
Promptfoo = Annotated[
    Path | None, typer.Option("--promptfoo", metavar="FILE", help="Results of promptfoo, JSON.")
]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="A JUnit report.")]

SAMPLE = Path("app_src/llm_service/sample/calibration.jsonl")
"""The calibration set of the sample handbook, in the project's folder."""
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

evaluate = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Score a release on a golden set, compare two runs, import other tools' results, and "
    "tell how far a judging model can be trusted.",
)


@evaluate.command()
def run(
    *,
    golden: GoldenFile,
    env: options.Env = None,
    url: Url = None,
    token_env: TokenEnv = None,
    name: Name = None,
    out: Out = None,
    junit_out: JunitOut = None,
    judge: Judge = None,
    calibration: CalibrationFile = None,
    no_calibration: NoCalibration = False,
    feature: Feature = None,
    model: Model = "default",
    sample: Sample = None,
    seed: Seed = 1,
    concurrency: Concurrency = 8,
    stream: Stream = True,
    timeout: Timeout = 60,
    prompt_price: PromptPrice = None,
    completion_price: CompletionPrice = None,
    json: options.Json = False,
) -> None:
    """Ask a golden set's questions and score the answers.

    Retrieval (hit@k), answers (F1, containment, exact), refusals of questions that have no answer,
    a judging model's score if one is asked for, latency, first token, tokens, cost. Interrupted
    with Ctrl-C, what was answered until then is written and shown, and the exit code is 130.
    """
    if calibration and not judge:
        raise UsageError("A calibration set needs a judge: add --judge PROVIDER/MODEL.")
    if calibration and no_calibration:
        raise UsageError("Give --calibration or --no-calibration, not both.")
    if (prompt_price is None) != (completion_price is None):
        raise UsageError("One price is not enough: give --prompt-price and --completion-price.")
    from llmops_runbooks import eval_golden, eval_run

    questions = eval_golden.read(golden).sample(sample, seed)
    if judge and not no_calibration:
        calibration = calibration or eval_golden.beside(golden, _sample())
    graded = (calibration.name, eval_golden.read_graded(calibration)) if calibration else None
    for file in filter(None, (out, junit_out)):
        _make_ready(file)
    target = _target(env, url, token_env, model=model, feature=feature, seconds=timeout)
    plan = eval_run.Plan(
        target,
        questions,
        name or golden.stem,
        judge=judge,
        calibration=graded,
        concurrency=concurrency,
        stream=stream,
        prompt_price=prompt_price,
        completion_price=completion_price,
        notice=_notice,
    )
    found = eval_run.evaluate(plan, _progress)
    _finish(found, out, junit_out, json=json)
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)


@evaluate.command()
def calibrate(
    *,
    calibration: GradedFile = None,
    judge: Judge = None,
    env: options.Env = None,
    url: Url = None,
    token_env: TokenEnv = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = 60,
    json: options.Json = False,
) -> None:
    """How far a judging model, and the scores that need none, agree with people.

    Exit code 0 if the judge is surely better than the best score that asks no model, 1 if it is
    surely worse, 3 if these answers cannot tell. Without --judge only those scores are shown; they
    need no service.
    """
    from llmops_runbooks import eval_calibration, eval_golden, eval_run

    file = calibration or _sample()
    if calibration is None and not file.is_file():
        raise UsageError(
            "There is no sample handbook here.", hint="Name a set of your own: --calibration FILE."
        )
    graded = eval_golden.read_graded(file)
    if judge is None:
        if url or env or token_env:
            raise UsageError("A service is asked for a judge only: add --judge PROVIDER/MODEL.")
        found, judged = eval_calibration.baselines(graded), None
    else:
        target = _target(env, url, token_env, model="default", feature=None, seconds=timeout)
        none = eval_golden.Golden(file.name, "", ())
        asked = (file.name, graded)
        plan = eval_run.Plan(target, none, file.stem, judge, asked, concurrency, notice=_notice)
        judged = eval_run.calibrate(plan, _progress)
        found = judged.calibration.baselines if judged.calibration else {}
    code = eval_calibration.exit_code(found)
    told = eval_calibration.to_json(file.name, len(graded), found, judged)
    lines = eval_tables.calibration(file.name, graded, found, judged)
    Screen(in_json=json).finish({**told, "exit_code": int(code)}, lines)
    raise typer.Exit(int(code))


@evaluate.command()
def compare(
    a: First,
    b: Second,
    metric: Metric = "correct",
    margin: Margin = 0.02,
    json: options.Json = False,
) -> None:
    """Pair two runs by question: what flipped, and whether B is worse.

    Exit code 0 if B is better or equal (surely not worse by more than the margin), 1 if it is
    surely worse, 3 if these questions cannot tell.
    """
    from llmops_runbooks import eval_compare, eval_schema

    runs = eval_schema.load(a), eval_schema.load(b)
    found = eval_compare.compare(*runs, metric=metric, margin=margin)
    Screen(in_json=json).finish(found.to_json(), eval_tables.comparison(found))
    raise typer.Exit(int(found.exit_code))


@evaluate.command("import")
def import_(
    *,
    promptfoo: Promptfoo = None,
    junit: Junit = None,
    name: Name = None,
    out: Out = None,
    json: options.Json = False,
) -> None:
    """Bring the results of promptfoo or a JUnit report into the same form, to compare them."""
    from llmops_runbooks import eval_importers

    if promptfoo and not junit:
        _finish(eval_importers.from_promptfoo(promptfoo, name), out, None, json=json)
    elif junit and not promptfoo:
        _finish(eval_importers.from_junit(junit, name), out, None, json=json)
    else:
        raise UsageError("Say what to import: --promptfoo FILE or --junit FILE.")


def _sample() -> Path:
    """The sample's calibration set, whether or not there is one."""
    try:
        return options.project() / SAMPLE
    except SettingsError:
        return SAMPLE


def _target(
    env: str | None,
    url: str | None,
    token_env: str | None,
    *,
    model: str,
    feature: str | None,
    seconds: float,
) -> Target:
    from llmops_runbooks.eval_ask import Target

    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(
            f"--url {url} is no address: write it as http://HOST:PORT or https://HOST."
        )
    if url is None:
        if token_env is not None:
            raise UsageError("--token-env goes with --url; an environment has its own token.")
        settings = options.environment(env)
        from llmops_runbooks.aws.tokens import bearer_token, service_url

        url, token = service_url(settings), bearer_token(settings)
    elif env is not None:
        raise UsageError("A service is named by --url or by --env, not by both.")
    else:
        token = _token(token_env)
    return Target(url, token, model, feature, seconds)


def _token(variable: str | None) -> str:
    """The token in a variable: on the command line everyone could read it."""
    if variable is None:
        return ""
    found = os.environ.get(variable, "")
    if not found:
        raise UsageError(f"The variable {variable} holds no token: set it, or leave --token-env.")
    return found


def _finish(found: Result, out: Path | None, junit: Path | None, *, json: bool) -> None:
    from llmops_runbooks.eval_importers import to_junit

    if out:
        _write(out, found.text().encode())
    if junit:
        _write(junit, to_junit(found))
    screen = Screen(in_json=json)
    lines = eval_tables.result(found)
    screen.finish(found.model_dump(by_alias=True), [*lines, *([f"result: {out}"] if out else [])])


def _make_ready(file: Path) -> None:
    """Sees that a file can be written, before anything is asked and paid for."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab"):
            pass
        if not file.stat().st_size:
            file.unlink()
    except OSError as error:
        raise _unwritable(file, error) from error


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} cannot be written: {error.strerror}.")


def _progress(done: int, total: int, what: str) -> None:
    """A line on stderr that counts, on a terminal; elsewhere one at each tenth."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {total:,} {what}" + ("\n" if done == total else ""))
    elif done == total or done * 10 // total != (done - 1) * 10 // total:
        sys.stderr.write(f"{done:,} of {total:,} {what}\n")
    sys.stderr.flush()


def _notice(text: str) -> None:
    """A line on stderr, below the one that counts."""
    sys.stderr.write(f"\n{text}\n" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()
