"""An account in which the templates find what they are told there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

REGION = "us-east-1"
SECRETS = {
    "pagerduty": '{"url": "https://events.example.com/integration/0/enqueue"}',
}
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
FUNCTION = "def handler(event, context):\n    return 1\n"


class Somebody:
    """An account that has what the templates are told there is."""

    def __init__(self, cloud: Any, make: Mapping[str, Any], account: str = "123456789012") -> None:
        self.cloud, self._make, self._account = cloud, make, account
        self._names: dict[str, str] = {}
        for name, value in SECRETS.items():
            made = cloud.client("secretsmanager").create_secret(Name=name, SecretString=value)
            self._names[f"arn:aws:secretsmanager:{REGION}:{self._account}:secret:{name}-AbCdEf"] = (
                made["ARN"]
            )
        self.image = self._image()

    def _image(self) -> str:
        """One that runs until it is stopped and answers all is well, as whatever it is started."""
        ecr = self.cloud.client("ecr")
        ecr.create_repository(repositoryName="any")
        packages = ("llm_service", "llm_ui")
        files = {f"app/{name}/__init__.py": "" for name in packages}
        files |= {f"app/{name}/__main__.py": SERVER for name in packages}
        layer = self._make["layer"](files)
        config, manifest = self._make["image"](layer, ["python", "-m", "llm_service"])
        for blob in (layer, config):
            upload = ecr.initiate_layer_upload(repositoryName="any")["uploadId"]
            ecr.upload_layer_part(
                repositoryName="any", uploadId=upload, partFirstByte=0,
                partLastByte=len(blob) - 1, layerPartBlob=blob,
            )  # fmt: skip
            ecr.complete_layer_upload(
                repositoryName="any", uploadId=upload, layerDigests=[self._make["digest"](blob)]
            )
        put = ecr.put_image(repositoryName="any", imageManifest=manifest, imageTag="1")
        digest = put["image"]["imageId"]["imageDigest"]
        return f"{self._account}.dkr.ecr.{REGION}.amazonaws.com/any@{digest}"

    def with_ports(self, template: dict[str, Any], free: Callable[[], int]) -> dict[str, Any]:
        """The template with an image that is here, its functions' code, and ports nobody has."""
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::ECS::TaskDefinition":
                for container in properties["ContainerDefinitions"]:
                    container["Image"] = self.image
            if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener":
                properties["Port"] = free()
            code = properties.get("Code", {}) if "Lambda::Function" in resource["Type"] else {}
            if "S3Key" in code:
                self.cloud.client("s3").put_object(
                    Bucket=f"cdk-hnb659fds-assets-{self._account}-{REGION}",
                    Key=code["S3Key"],
                    Body=self._make["zip"]({"index.py": FUNCTION}),
                )
        return template

    def named(self, text: str) -> str:
        """The text of a template with what is in this account in place of what it names."""
        for theirs, ours in self._names.items():
            text = text.replace(theirs, ours)
        return text
