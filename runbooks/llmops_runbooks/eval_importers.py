"""Results of other tools in the kit's own form, so that they can be compared with it.

promptfoo: the JSON of `promptfoo eval --output results.json`, versions 2 and 3 of its summary
(`EvaluateSummaryV2`, `EvaluateSummaryV3` of its `src/types/index.ts`), as the command wraps it
(`{"evalId", "results": {...}}`, whose own version is 4) or bare, and the lines of `results.jsonl`.
Version 2 numbers neither tests nor prompts: they are counted by their variables and texts. JUnit:
the XML that pytest, Maven, GoogleTest and most others write; there is no standard, only what
Jenkins and the Surefire plugin read. A case that was skipped or not run is left out, one that
passed when it was run again has passed. XML with a DTD is refused: entities are how XML files
attack their readers.
"""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from xml.parsers import expat

from llmops_runbooks import eval_report
from llmops_runbooks.errors import UsageError
from llmops_runbooks.eval_schema import Result, Row

MOST_BYTES = 256 * 1024 * 1024
"""Of a file that is imported."""
PROMPTFOO_ERROR = 2
"""`ResultFailureReason.ERROR`: the test could not be carried out."""
QUESTION = ("question", "query", "input", "prompt", "message")
"""The variables of a test that are its question, the first one it has."""


def from_promptfoo(file: Path, name: str | None = None) -> Result:
    """promptfoo's results. Raises UsageError."""
    content = _content(file)
    try:
        whole = _json(content)
        summary = whole["results"] if isinstance(whole.get("results"), dict) else whole
        results = summary["results"]
        ids = _promptfoo_ids(results)
        rows = [_of_promptfoo(each, test) for each, test in zip(results, ids, strict=True)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is no result of promptfoo ({error!r}).",
            hint="Make it with: promptfoo eval --output results.json",
        ) from error
    at = str(summary.get("timestamp") or "")
    settings = {"promptfoo_version": summary.get("version"), "eval": whole.get("evalId")}
    return _result("promptfoo", file, content, rows, at=at, settings=settings, name=name)


def from_junit(file: Path, name: str | None = None) -> Result:
    """A JUnit report; skipped cases are left out. Raises UsageError."""
    content = _content(file)
    root = _parsed(file, content)
    if root.tag not in ("testsuites", "testsuite"):
        raise UsageError(f"{file} is no JUnit report: its root is <{root.tag}>.")
    cases = [case for case in root.iter("testcase") if not _skipped(case)]
    skipped = len(list(root.iter("testcase"))) - len(cases)
    rows = [_of_case(case, identifier) for case, identifier in zip(cases, _ids(cases), strict=True)]
    at = next((each.get("timestamp", "") for each in root.iter("testsuite")), "")
    return _result("junit", file, content, rows, at=at, settings={"skipped": skipped}, name=name)


def to_junit(result: Result) -> bytes:
    """The rows as test cases: `correct` is a pass, a failed request an error."""
    wrong = [row for row in result.rows if row.error is None and not row.metrics["correct"]]
    suite = ET.Element(
        "testsuite",
        name=_legal(result.name),
        tests=str(len(result.rows)),
        failures=str(len(wrong)),
        errors=str(result.failed),
        timestamp=result.created_at,
        time=f"{result.seconds:.3f}",
    )
    for row in result.rows:
        seconds = row.metrics.get("latency_ms", 0.0) / 1000
        case = ET.SubElement(
            suite, "testcase", classname="eval", name=_legal(row.id), time=f"{seconds:.3f}"
        )
        if row.error is not None:
            ET.SubElement(case, "error", message=_legal(row.error))
        elif not row.metrics["correct"]:
            told = f"{row.question}\nexpected: {' | '.join(row.references) or 'a refusal'}\n"
            failure = ET.SubElement(case, "failure", message="not correct")
            failure.text = _legal(f"{told}answer: {row.answer}")
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _of_promptfoo(found: Mapping[str, Any], identifier: str) -> Row:
    response = found.get("response") or {}
    output, error = response.get("output"), found.get("error") or response.get("error")
    failed = found.get("failureReason") == PROMPTFOO_ERROR or (output is None and bool(error))
    tokens = found.get("tokenUsage") or response.get("tokenUsage") or {}
    figures = {
        "score": found.get("score"),
        "latency_ms": found.get("latencyMs"),
        "cost_micro_usd": None if found.get("cost") is None else 1e6 * found["cost"],
        "prompt_tokens": tokens.get("prompt"),
        "completion_tokens": tokens.get("completion"),
        **(found.get("namedScores") or {}),
    }
    metrics = {name: float(value) for name, value in figures.items() if _is_number(value)}
    return Row(
        id=identifier,
        question=_question(found),
        answerable=True,
        references=[],
        answer=None if failed else _said(output),
        error=str(error or "error")[:500] if failed else None,
        metrics={"correct": float(bool(found["success"])), **metrics},
    )


def _promptfoo_ids(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The test's number; with the provider's and the prompt's where there are several. The id that
    promptfoo gives a result is new in every run, and of no use to pair by."""
    tests = _numbers(results, "testIdx", lambda each: each.get("vars"))
    prompts = _numbers(results, "promptIdx", lambda each: (each.get("prompt") or {}).get("raw"))
    many_providers = len({_provider(each) for each in results}) > 1
    many_prompts = len(set(prompts)) > 1
    seen: Counter[str] = Counter()
    for found, test, prompt in zip(results, tests, prompts, strict=True):
        parts = [f"test-{test}"]
        parts += [_provider(found)] if many_providers else []
        parts += [f"prompt-{prompt}"] if many_prompts else []
        name = "/".join(parts)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}/repeat-{seen[name]}"


def _numbers(
    results: Sequence[Mapping[str, Any]], key: str, what: Callable[[Mapping[str, Any]], Any]
) -> list[int]:
    """The number each result gives, or that of the first result which has the same `what`."""
    order: dict[str, int] = {}
    return [
        int(each[key])
        if key in each
        else order.setdefault(json.dumps(what(each), sort_keys=True), len(order))
        for each in results
    ]


def _json(content: bytes) -> Any:
    """The value; of a file of several lines that are values, those as the results."""
    try:
        return json.loads(content)
    except ValueError:
        lines = content.decode("utf-8", "replace").strip().split("\n")
        if len(lines) < 2:
            raise
    return {"results": [json.loads(line) for line in lines if line.strip()]}


def _provider(found: Mapping[str, Any]) -> str:
    provider = found.get("provider") or {}
    if isinstance(provider, str):
        return provider
    return str(provider.get("label") or provider.get("id") or "")


def _question(found: Mapping[str, Any]) -> str:
    case = found.get("testCase") or {}
    variables = found.get("vars") or case.get("vars") or {}
    named = next((variables[name] for name in QUESTION if name in variables), None)
    raw = (found.get("prompt") or {}).get("raw")
    return _said(named if named is not None else case.get("description") or raw or "")


def _of_case(case: ET.Element, identifier: str) -> Row:
    failure, error = case.find("failure"), case.find("error")
    seconds = _number(case.get("time"))
    timed = {} if seconds is None else {"latency_ms": 1000 * seconds}
    trouble = None if error is None else _trouble(error)
    output = case.findtext("system-out")
    return Row(
        id=identifier,
        question=case.get("name", ""),
        answerable=True,
        references=[],
        answer=None if trouble else (output or "").strip(),
        error=trouble,
        metrics={"correct": float(failure is None and error is None), **timed},
    )


def _trouble(error: ET.Element) -> str:
    """What an error says, on one line."""
    said = (error.get("message"), error.text, error.get("type"), "error")
    return next(line for text in said if (line := " ".join((text or "").split())))[:500]


def _skipped(case: ET.Element) -> bool:
    """`<skipped>`, or, as GoogleTest has it, a status."""
    return case.find("skipped") is not None or case.get("status") in ("notrun", "skipped")


def _ids(cases: Sequence[ET.Element]) -> Iterator[str]:
    """`classname.name`; of equal ones the later are numbered."""
    seen: Counter[str] = Counter()
    for case in cases:
        parts = (case.get("classname"), case.get("name"))
        name = ".".join(part for part in parts if part) or "testcase"
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def _parsed(file: Path, content: bytes) -> ET.Element:
    """The root element. Raises UsageError, for a DTD too."""
    checker = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise UsageError(f"{file} has a DTD, which a JUnit report does not need: take it out.")

    checker.StartDoctypeDeclHandler = refuse
    checker.EntityDeclHandler = refuse
    try:
        checker.Parse(content, True)
        root = ET.fromstring(content)  # noqa: S314 - without a DTD there are no entities
    except (expat.ExpatError, ET.ParseError) as error:
        raise UsageError(f"{file} is no XML: {error}.") from error
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def _result(
    source: Literal["promptfoo", "junit"],
    file: Path,
    content: bytes,
    rows: Sequence[Row],
    *,
    at: str,
    settings: Mapping[str, Any],
    name: str | None,
) -> Result:
    if not rows:
        raise UsageError(f"{file} holds no result of a test.")
    digest = hashlib.sha256(content).hexdigest()
    return Result(
        name=name or file.stem,
        source=source,
        created_at=at or datetime.now(UTC).isoformat(timespec="seconds"),
        target=str(file),
        releases={},
        golden=None,
        settings={"sha256": digest, **settings},
        seconds=round(sum(row.metrics.get("latency_ms", 0.0) for row in rows) / 1000, 3),
        asked=len(rows),
        failed=sum(row.error is not None for row in rows),
        retried=0,
        figures=eval_report.figures(rows),
        latency_ms=eval_report.times(rows, "latency_ms"),
        first_token_ms=None,
        judge=None,
        notes=[],
        rows=list(rows),
    )


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{file} is larger than {MOST_BYTES} bytes.")
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(each if each.isprintable() or each in "\n\t" else " " for each in text)
