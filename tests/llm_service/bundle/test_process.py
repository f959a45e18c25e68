"""A service answers by the bundle that BUNDLE_URI names, and says what its experiments did."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from experiment_lines import experiment, feature_file
from moto.server import ThreadedMotoServer

from llm_service import sample
from llm_service.bundle import assign
from llm_service.bundle.bundle import canonical, parse
from llm_service.bundle.source import read
from llmops_runbooks import experiment_lines as runbook
from llmops_runbooks.experiment_definition import find

DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
QUESTION = "How many days of leave do I get in a year?"
Start = Callable[..., Any]


def ask(server: Any, **given: Any) -> str:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": QUESTION}], **given
        )
    return str(answer.choices[0].message.content)


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture
def shouting() -> dict[str, str]:
    """The packaged bundle with a prompt of another form."""
    files = read(None)
    prompt = files["prompts/answer/1.0.0.md"].replace("{sentences} (Handbook: {title})", "{title}!")
    return {**files, "prompts/answer/1.0.0.md": prompt.replace("{title}!", "{title}: {sentences}")}


def test_a_folder_a_stored_bundle_and_its_digest(
    start: Start, tmp_path: Path, shouting: dict[str, str]
) -> None:
    content = canonical(shouting)
    stored = tmp_path / f"{hashlib.sha256(content).hexdigest()}.json"
    stored.write_bytes(content)
    packaged = start("--no-auth", CORPUS_URI=DOCUMENTS)
    other = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(stored))
    usual = ask(packaged)
    sentences, _, title = usual.removesuffix(")").rpartition(" (Handbook: ")
    assert ask(other) == f"{title}: {sentences}"


def test_a_releases_configuration_goes_before_its_bundle(
    start: Start, tmp_path: Path, shouting: dict[str, str]
) -> None:
    folder = write(tmp_path, shouting)
    whole = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(folder))
    short = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(folder), ANSWER_SENTENCES="1")
    assert len(ask(short)) < len(ask(whole))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (f"{'0' * 64}.json", canonical({}), "its SHA-256 differs"),
        ("bundle.json", b'{"features/answer.json": "{}"}', "missing required field"),
    ],
)
def test_a_wrong_bundle_is_one_sentence_and_exit_code_2(
    start: Start, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    server = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(tmp_path / name), wait=False)
    assert server.process.wait(timeout=30) == 2
    assert sentence in server.stderr.read_text().splitlines()[-1]


def test_every_request_of_an_experiment_is_counted_for_its_users_variant(
    start: Start, tmp_path: Path
) -> None:
    of = experiment(0.5, 0.5)
    files = {**read(None), **feature_file(of)}
    server = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(write(tmp_path, files)))
    feature = parse(files).feature()
    users = ["maria", "joachim", "alistair", "kimberley", "leandra"]
    for user in [*users, "maria"]:
        ask(server, user=user)
    ask(server)
    server.eventually(lambda: len(server.lines("Quality")) == 7, "not every answer was scored")
    exposed = [line for line in server.lines("Exposures") if line.get("experiment")]
    expected = [assign(feature, user) for user in [*users, "maria"]]
    assert [(line["variant"], line["subject"]) for line in exposed] == [
        (each.variant, each.subject) for each in expected
    ]
    names = ["Exposures", "Errors", "Latency", "Cost"]
    (compared,) = [
        each
        for each in exposed[0]["_aws"]["CloudWatchMetrics"]
        if ["service", "environment", "experiment", "variant"] in each["Dimensions"]
    ]
    assert {metric["Name"] for metric in compared["Metrics"]} == set(names)
    assert not any(user in json.dumps(line) for line in exposed for user in users)


def test_a_score_counts_for_the_user_whose_answer_it_is(start: Start, tmp_path: Path) -> None:
    files = {**read(None), **feature_file(experiment(0.5, 0.5))}
    server = start("--no-auth", CORPUS_URI=DOCUMENTS, BUNDLE_URI=str(write(tmp_path, files)))
    for user in ("maria", "joachim"):
        ask(server, user=user)
    server.eventually(lambda: len(server.lines("Quality")) == 2, "not every answer was scored")
    lines = server.stdout.read_text().splitlines()
    log = runbook.read(lines, find(files, None, "It"), {"Quality": "quality"}, window=0.0)
    assert log.unknown == 0


AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def test_a_bundle_on_s3_is_read_at_the_start(start: Start, shouting: dict[str, str]) -> None:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        endpoint = "http://{}:{}".format(*moto.get_host_and_port())
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        content = canonical(shouting)
        key = f"bundles/{hashlib.sha256(content).hexdigest()}.json"
        client.create_bucket(Bucket="artifacts")
        client.put_object(Bucket="artifacts", Key=key, Body=content)
        server = start(
            "--no-auth",
            CORPUS_URI=DOCUMENTS,
            BUNDLE_URI=f"s3://artifacts/{key}",
            AWS_ENDPOINT_URL=endpoint,
            **AWS,
        )
        assert ": " in ask(server)
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=5) as answer:
            assert json.load(answer)["bundle"] in key
    finally:
        moto.stop()
