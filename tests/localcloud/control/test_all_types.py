"""Everything deploys, and what nobody emulates of it is what the docs say."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from somebody import FUNCTION, Somebody

from llmops_runbooks import assembly, settings
from llmops_stacks import build, new_app

ROOT = Path(__file__).parents[3]
ENVIRONMENTS = {
    "prod": {
        "LLMOPS_SCALING__HOURS__START": "cron(0 8 ? * MON-FRI *)",
        "LLMOPS_SCALING__HOURS__STOP": "cron(0 18 ? * MON-FRI *)",
    },
    "serverless": {
        "LLMOPS_FUNCTION__PROVISIONED": "1",
        "LLMOPS_JOBS__ENABLED": "true",
        "LLMOPS_EDGE__DOMAIN": "handbook.example.com",
        "LLMOPS_EDGE__HOSTED_ZONE_ID": "Z0555555555EXAMPLE",
    },
}
"""Those of llmops.toml that have all there is between them, with what none of them asks for."""
RELEASE = {"ReleaseId": "1.0.0-0123abcd", "CorpusUri": "s3://bucket/corpus/x"}


class Account:
    """A local cloud that stacks are deployed to, one after the other."""

    def __init__(self, cloud: Any, somebody: Somebody, eventually: Callable[..., Any]) -> None:
        self.cloud, self.somebody = cloud, somebody
        self._eventually = eventually

    def deploy(self, name: str, text: str, free_port: Callable[[], int]) -> list[str]:
        """What went wrong, with the stack's name; nothing if it came to be."""
        api = self.cloud.client("cloudformation")
        template = self.somebody.with_ports(json.loads(self.somebody.named(text)), free_port)
        values = {**RELEASE, "ImageUri": self.somebody.image}
        api.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in values.items()
                if key in template.get("Parameters", {})
            ],
        )
        failed: list[str] = self._eventually(lambda: self._ended(name), 60)
        return failed[1:]

    def _ended(self, name: str) -> list[str] | None:
        """`ended` and what went wrong, as soon as it has ended."""
        api = self.cloud.client("cloudformation")
        status = api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if status.endswith("_IN_PROGRESS"):
            return None
        if status == "CREATE_COMPLETE":
            return ["ended"]
        return [
            "ended",
            *(
                f"{name} {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
                for event in api.describe_stack_events(StackName=name)["StackEvents"]
                if event["ResourceStatus"] == "CREATE_FAILED"
            ),
        ]

    def unsupported(self) -> set[str]:
        page = f"{self.cloud.endpoint}/_llmops/unsupported"
        with urllib.request.urlopen(page, timeout=5) as answer:
            return set(json.load(answer))


@pytest.fixture
def making(make_layer: Any, make_image: Any, make_zip: Any, digest: Any) -> Mapping[str, Any]:
    return {"layer": make_layer, "image": make_image, "zip": make_zip, "digest": digest}


@pytest.fixture
def account(
    start_cloud: Any, new_root: Any, making: Any, eventually: Any
) -> Callable[[str], Iterator[Account]]:
    """An account of that number, for as long as it is iterated over."""

    def make(number: str) -> Iterator[Account]:
        with new_root() as root, start_cloud(root, speed=600.0, account=number) as cloud:
            yield Account(cloud, Somebody(cloud, making, number), eventually)

    return make


def templates(name: str, folder: Path, bundle: Path) -> tuple[str, list[assembly.Stack]]:
    """The account of an environment, and its stacks in the order they are deployed."""
    variables = {"LLMOPS_FUNCTION__BUNDLE": str(bundle), **ENVIRONMENTS[name]}
    environment = settings.load(name, file=ROOT / "llmops.toml", variables=variables)
    app = new_app(str(folder))
    build(app, environment)
    app.synth()
    stacks = assembly.read(folder, account=environment.account, region=environment.region)
    return environment.account, stacks


def rows() -> set[str]:
    """The first column of the page's table."""
    page = (ROOT / "docs" / "local-cloud.md").read_text(encoding="utf-8")
    section = page.split("### What nobody emulates")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))


def test_all_that_deploys_is_emulated_or_in_the_table(
    account: Any, a_free_port: Any, making: Any, tmp_path: Path
) -> None:
    failed: list[str] = []
    missing: set[str] = set()
    bundle = tmp_path / "function.zip"
    bundle.write_bytes(making["zip"]({"llm_service/lambda_function.py": FUNCTION}))
    for environment in ENVIRONMENTS:
        number, stacks = templates(environment, tmp_path / environment, bundle)
        for here in account(number):
            for each in stacks:
                failed += here.deploy(each.name, each.template.read_text(), a_free_port)
            missing |= here.unsupported()
    assert failed == []
    assert missing == rows()
