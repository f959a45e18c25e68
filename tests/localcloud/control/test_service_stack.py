"""The four stacks of a service, as the CDK synthesizes them, up to answers from its tasks."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TEMPLATES = Path(__file__).parents[2] / "stacks" / "snapshots"
PREFIX = "handbook-local"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
RELEASE = "1.0.0-0123abcd"

SERVICE = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
GATE = "def handler(event, context):\n    return {'hookStatus': 'SUCCEEDED'}\n"


class Deployer:
    """Deploys the templates one after the other."""

    def __init__(self, cloud: Any, eventually: Callable[..., Any]) -> None:
        self.cloud = cloud
        self._eventually = eventually

    def deploy(self, name: str, template: dict[str, Any], **parameters: str) -> dict[str, Any]:
        api = self.cloud.client("cloudformation")
        stack = f"{PREFIX}-{name}"
        api.create_stack(
            StackName=stack,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )

        def settled() -> Any:
            found = api.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        done: dict[str, Any] = self._eventually(settled, 60)
        events = api.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [e["ResourceStatusReason"] for e in events if "FAILED" in e["ResourceStatus"]]
        assert done["StackStatus"] == "CREATE_COMPLETE", reasons
        return done

    def push(self, layer: bytes, config: bytes, manifest: str, digest: Any) -> str:
        ecr = self.cloud.client("ecr")
        for blob in (layer, config):
            upload = ecr.initiate_layer_upload(repositoryName=PREFIX)["uploadId"]
            ecr.upload_layer_part(
                repositoryName=PREFIX, uploadId=upload, partFirstByte=0,
                partLastByte=len(blob) - 1, layerPartBlob=blob,
            )  # fmt: skip
            ecr.complete_layer_upload(
                repositoryName=PREFIX, uploadId=upload, layerDigests=[digest(blob)]
            )
        put = ecr.put_image(repositoryName=PREFIX, imageManifest=manifest, imageTag=RELEASE)
        return f"{REGISTRY}/{PREFIX}@{put['image']['imageId']['imageDigest']}"


def template(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TEMPLATES / f"{name}.json").read_text())
    return found


def fetch(port: int) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        found: dict[str, str] = json.load(answer)
    return found


def secret(cloud: Any, arn: str) -> dict[str, str]:
    """A secret's JSON, read as a task reads it while it runs."""
    text = cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    found: dict[str, str] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def own_cloud(start_cloud: Any, new_root: Any) -> Iterator[Any]:
    with new_root() as root, start_cloud(root) as cloud:
        yield cloud


def test_a_service_runs_behind_its_load_balancer_with_its_secrets(
    own_cloud: Any,
    eventually: Any,
    *,
    a_free_port: Any,
    make_layer: Any,
    make_image: Any,
    make_zip: Any,
    digest: Any,
) -> None:
    deployer = Deployer(own_cloud, eventually)
    deployer.deploy("network", template("network"))
    deployer.deploy("data", template("data"))
    routing = template("routing")
    listeners = [
        resource["Properties"]
        for resource in routing["Resources"].values()
        if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener"
    ]
    ports = [a_free_port() for _ in listeners]
    for properties, port in zip(listeners, ports, strict=True):
        properties["Port"] = port
    deployer.deploy("routing", routing)

    layer = make_layer({"app/llm_service/__init__.py": "", "app/llm_service/__main__.py": SERVICE})
    config, manifest = make_image(layer, ["python", "-m", "llm_service"])
    uri = deployer.push(layer, config, manifest, digest)
    service = template("service")
    for resource in service["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            code = resource["Properties"]["Code"]
            archive = make_zip({"llmops_functions/gate.py": GATE})
            own_cloud.client("s3").put_object(
                Bucket=code["S3Bucket"], Key=code["S3Key"], Body=archive
            )
    deployer.deploy(
        "service", service, ImageUri=uri, ReleaseId=RELEASE, CorpusUri="s3://bucket/corpus/x"
    )

    seen = [fetch(port) for port in ports]
    assert {environment["RELEASE"] for environment in seen} == {RELEASE}
    environment = seen[0]
    assert environment["DATABASE_HOST"] == "127.0.0.1"
    credentials = secret(own_cloud, environment["DATABASE_SECRET"])
    assert credentials["username"] == "llmops" and credentials["password"]
    tokens = secret(own_cloud, environment["BEARER_TOKENS_SECRET"])
    assert set(tokens) == {"current", "previous"}
    with urllib.request.urlopen(f"{own_cloud.endpoint}/_llmops/unsupported", timeout=5) as answer:
        assert json.load(answer) == {}
    with urllib.request.urlopen(f"{own_cloud.endpoint}/_llmops/events", timeout=5) as answer:
        assert {event["source"] for event in json.load(answer)} == {"aws.ecs"}
