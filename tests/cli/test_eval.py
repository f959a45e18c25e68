"""`llmops eval`: three words, their exit codes, their tables and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Llmops = Callable[..., Any]
ANSWERS = {"Who?": "It was Maren.", "How many?": "300"}
SLOW = "Why?"
ENDED = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """A service of two answers that wants a token."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/search" and body["messages"][0]["content"] == SLOW:
            ENDED.wait(30)
        if self.headers["authorization"] != "Bearer secret":
            self._send(401, {})
        elif self.path == "/v1/search":
            self._send(200, {"results": [{"id": "d1"}]})
        else:
            message = {"content": ANSWERS[body["messages"][0]["content"]]}
            self._send(200, {"choices": [{"message": message, "finish_reason": "stop"}]})

    def _send(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where the service listens."""
    ENDED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        ENDED.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    file = tmp_path / "golden.jsonl"
    rows = [
        {"id": "1", "question": "Who?", "document_id": "d1", "answer": "Maren"},
        {"id": "2", "question": "How many?", "document_id": "d2", "answers": ["240"]},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def run(llmops: Llmops, url: str, golden: Path, monkeypatch: pytest.MonkeyPatch) -> Llmops:
    """`llmops eval run` on the service."""
    monkeypatch.setenv("SERVICE_TOKEN", "secret")

    def command(*more: str) -> Any:
        where = ("--url", url, "--token-env", "SERVICE_TOKEN", "--no-stream")
        return llmops("eval", "run", *where, "--golden", str(golden), *more)

    return command


def test_run_shows_a_table_and_writes_the_result(run: Llmops, tmp_path: Path) -> None:
    out, junit = tmp_path / "results/a.json", tmp_path / "a.xml"
    found = run("--out", str(out), "--junit-out", str(junit), "--name", "release 1")
    assert found.code == 0
    assert found.out.startswith("release 1: 2 questions, 0 failed")
    assert "50.0 %" in found.out
    assert "hit@1" in found.out and "latency: p50" in found.out
    assert "2 of 2 questions" in found.err
    assert json.loads(out.read_text())["schema"] == "llmops-eval/1"
    assert 'failures="1"' in junit.read_text()
    assert "secret" not in found.out + found.err + out.read_text()


def test_json_is_one_object_on_stdout(run: Llmops) -> None:
    found = run("--json", "--sample", "1")
    assert found.json["asked"] == 1


def test_a_token_that_is_refused_is_exit_4(run: Llmops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "wrong")
    found = run()
    assert found.code == 4
    assert "No question was answered" in found.err and "HTTP 401" in found.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--calibration", "x"), "needs a judge"),
        (("--prompt-price", "1"), "One price is not enough"),
        (("--env", "local"), "not by both"),
        (("--token-env", "NOTHING_HERE"), "holds no token"),
    ],
)
def test_what_does_not_go_together_is_exit_2(run: Llmops, more: tuple[str, ...], says: str) -> None:
    found = run(*more)
    assert found.code == 2 and says in found.err


INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("llmops_cli", run_name="__main__", alter_sys=True)
"""
"""The command, even where the tests run in a shell's background, which ignores Ctrl-C."""


def test_ctrl_c_writes_what_was_answered_and_is_exit_130(
    url: str, golden: Path, tmp_path: Path
) -> None:
    rows = [{"id": "slow", "question": SLOW, "answer": "x"}]
    golden.write_text("\n".join([golden.read_text(), *map(json.dumps, rows)]))
    out = tmp_path / "partial.json"
    words = ("eval", "run", "--url", url, "--token-env", "TOKEN", "--golden", str(golden))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *words, "--no-stream", "--out", str(out)],
        env={**os.environ, "TOKEN": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "2 of 3 questions" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: 2 of 3 questions were asked" in told
    assert json.loads(out.read_text())["asked"] == 2


def test_where_the_result_cannot_be_written_nothing_is_asked(run: Llmops, golden: Path) -> None:
    found = run("--out", str(golden / "result.json"))
    assert found.code == 2 and "cannot be written" in found.err
    assert "questions" not in found.err


def test_an_address_without_its_scheme_is_told(llmops: Llmops, golden: Path) -> None:
    found = llmops("eval", "run", "--url", "localhost:8000", "--golden", str(golden))
    assert found.code == 2 and "is no address" in found.err


def test_calibrate_without_a_judge_needs_no_service(llmops: Llmops, tmp_path: Path) -> None:
    file = tmp_path / "graded.jsonl"
    rows = [
        {"question": "q", "reference": "240", "answer": "It is 240.", "label": "correct"},
        {"question": "q", "reference": "240", "answer": "It is 420.", "label": "incorrect"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = llmops("eval", "calibrate", "--calibration", str(file))
    assert found.code == 0 and "2 answers, 1 of them right by people" in found.out
    assert "containment: agrees on 1.00" in found.out
    told = llmops("eval", "calibrate", "--calibration", str(file), "--json").json
    assert told["schema"] == "llmops-eval-calibration/1" and told["judge"] is None
    assert told["baselines"]["correct"]["kappa"]["value"] == 1
    needless = llmops("eval", "calibrate", "--calibration", str(file), "--url", "http://x")
    assert needless.code == 2 and "add --judge" in needless.err


def test_the_samples_set_is_found_from_anywhere_in_the_project(
    llmops: Llmops, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = llmops("eval", "calibrate")
    assert found.code == 2 and "--calibration FILE" in found.err
    row = {"question": "q", "reference": "r", "answer": "r", "label": "correct"}
    sample = project / "app_src/llm_service/sample"
    (sample / "calibration.jsonl").write_text(json.dumps(row))
    monkeypatch.chdir(sample)
    assert "calibration.jsonl: 1 answers" in llmops("eval", "calibrate").out


def test_compare_says_equal_worse_or_cannot_tell(
    run: Llmops, llmops: Llmops, tmp_path: Path
) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    assert run("--out", str(a), "--name", "one").code == 0
    result = json.loads(a.read_text())
    result["rows"][0]["metrics"]["correct"] = 0.0
    b.write_text(json.dumps({**result, "name": "two"}))
    same = llmops("eval", "compare", str(a), str(a))
    assert same.code == 0 and "no question came out otherwise" in same.out
    unsure = llmops("eval", "compare", str(a), str(b))
    assert unsure.code == 3 and "cannot tell" in unsure.out
    assert "worse: 1 questions" in unsure.out and "Who?" in unsure.out
    found = llmops("eval", "compare", str(a), str(b), "--json")
    assert (found.code, found.json["exit_code"], found.json["decision"]) == (3, 3, "cannot tell")


def test_a_file_that_is_no_result_is_exit_2(llmops: Llmops, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"name": "x"}')
    found = llmops("eval", "compare", str(file), str(file))
    assert found.code == 2 and "is no result of an evaluation" in found.err


def test_import_reads_junit_and_writes_the_kits_form(llmops: Llmops, tmp_path: Path) -> None:
    file, out = tmp_path / "junit.xml", tmp_path / "out.json"
    file.write_text('<testsuite><testcase classname="a" name="b" time="1"/></testsuite>')
    found = llmops("eval", "import", "--junit", str(file), "--out", str(out))
    assert found.code == 0 and "1 questions, 0 failed" in found.out
    assert json.loads(out.read_text())["source"] == "junit"
    assert llmops("eval", "import").code == 2
    both = llmops("eval", "import", "--junit", str(file), "--promptfoo", str(file))
    assert both.code == 2 and "Say what to import" in both.err


def test_compare_needs_neither_a_project_nor_an_sdk(run: Llmops, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    run("--out", str(file))
    code = (
        "import sys\n"
        "from llmops_cli.main import app\n"
        f"try: app(['eval', 'compare', {str(file)!r}, {str(file)!r}], prog_name='llmops')\n"
        "except SystemExit as end: print('exit', end.code)\n"
        "print('heavy:', sorted({'boto3', 'botocore', 'aiohttp'} & set(sys.modules)))\n"
    )
    away = tmp_path / "away"
    away.mkdir()
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=away, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-2:] == ["exit 0", "heavy: []"]
