"""The cloud assembly: made by the project's own CDK app in a process of its own, read as data.

The manifest's format is the CDK's `cloud-assembly-schema`; nothing here imports the CDK, so that
an operator without it can still read an assembly that CI made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from llmops_runbooks import fingerprint
from llmops_runbooks.errors import LlmopsError, UsageError

APP = "app.py"
MADE_OF = "made-of.sha256"
"""The file of an assembly that says what it was made of."""
INFRA = ("aws_cdk", "cdk_nag", "llmops_constructs")
"""What the `infra` extra brings."""
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Asset:
    """A file or a folder to be put under `key` of `bucket`."""

    path: Path
    packaging: str
    bucket: str
    key: str

    def content(self) -> bytes:
        """The bytes to upload; a folder becomes a zip that depends on its content alone."""
        return _zip(self.path) if self.packaging == "zip" else self.path.read_bytes()


@dataclass(frozen=True)
class Stack:
    """One stack of the assembly, with what has to be uploaded before it is created."""

    name: str
    template: Path
    template_url: str
    dependencies: tuple[str, ...]
    assets: tuple[Asset, ...]
    execution_role: str | None = None
    """What CloudFormation makes the stack as: the role of `cdk bootstrap`."""

    def parameters(self) -> frozenset[str]:
        """The names of the template's own parameters."""
        return frozenset(json.loads(self.template.read_text()).get("Parameters", {}))


def synthesize(project: Path, environment: str, out: Path) -> bool:
    """Brings the assembly of one environment into `out`; False if it was there already.

    What is there counts as long as nothing that synthesis reads has changed. Raises UsageError
    with the app's own sentence if it refuses the settings, LlmopsError with the end of its output
    if it fails.
    """
    if not (project / APP).is_file():
        raise UsageError(f"There is no {APP} in {project}, so there is nothing to synthesize.")
    made_of = fingerprint.of_project(project, environment, os.environ)
    note = out / MADE_OF
    if note.is_file() and note.read_text() == made_of:
        return False
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _run_app(project, environment, out)
    note.write_text(made_of)
    return True


def _run_app(project: Path, environment: str, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", APP],
        cwd=project,
        env={**os.environ, "LLMOPS_ENV": environment, "CDK_OUTDIR": str(out.resolve())},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.strip() or done.stdout.strip()
    if done.returncode == UsageError.exit_code:
        raise UsageError(said)
    if done.returncode:
        if any(f"No module named '{name}'" in said for name in INFRA):
            raise UsageError("The CDK is not installed.", hint="pip install 'llmops[infra]'")
        tail = "\n".join(said.splitlines()[-15:])
        raise LlmopsError(f"`python -P {APP}` failed for environment {environment}:\n{tail}")


def read(folder: Path, *, account: str, region: str) -> list[Stack]:
    """The stacks of an assembly, each after those it depends on."""
    manifest = json.loads((folder / "manifest.json").read_text())["artifacts"]
    stacks = {
        identity: _stack(folder, artifact, manifest, account, region)
        for identity, artifact in manifest.items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    return list(_in_order(stacks))


def _stack(
    folder: Path,
    artifact: Mapping[str, Any],
    manifest: Mapping[str, Any],
    account: str,
    region: str,
) -> Stack:
    properties = artifact["properties"]
    needs = artifact.get("dependencies", [])
    assets: list[Asset] = []
    for identity in needs:
        if manifest[identity]["type"] == "cdk:asset-manifest":
            file = folder / manifest[identity]["properties"]["file"]
            assets += _assets(file, account, region)
    template = folder / properties["templateFile"]
    own = next((asset for asset in assets if asset.path == template), None)
    if own is None:
        raise LlmopsError(f"The assembly in {folder} does not publish {template.name}.")
    return Stack(
        name=properties.get("stackName", template.name.removesuffix(".template.json")),
        template=template,
        template_url=f"https://{own.bucket}.s3.{region}.amazonaws.com/{own.key}",
        dependencies=tuple(
            need for need in needs if manifest[need]["type"] == "aws:cloudformation:stack"
        ),
        assets=tuple(assets),
        execution_role=_role(properties.get("cloudFormationExecutionRoleArn")),
    )


def _role(arn: str | None) -> str | None:
    return arn.replace("${AWS::Partition}", "aws") if arn else None


def _assets(file: Path, account: str, region: str) -> Iterator[Asset]:
    manifest = json.loads(file.read_text())
    if manifest.get("dockerImages"):
        raise UsageError(f"{file.name} builds a container image; llmops deploys images by digest.")
    for entry in manifest.get("files", {}).values():
        for destination in entry["destinations"].values():
            bucket, key = (
                destination[name]
                .replace("${AWS::AccountId}", account)
                .replace("${AWS::Region}", region)
                .replace("${AWS::Partition}", "aws")
                for name in ("bucketName", "objectKey")
            )
            source = entry["source"]
            yield Asset(file.parent / source["path"], source.get("packaging", "file"), bucket, key)


def _in_order(stacks: Mapping[str, Stack]) -> Iterator[Stack]:
    done: set[str] = set()
    while len(done) < len(stacks):
        ready = [
            identity
            for identity, stack in stacks.items()
            if identity not in done and done.issuperset(stack.dependencies)
        ]
        if not ready:
            raise LlmopsError("The stacks of the assembly depend on each other in a circle.")
        for identity in ready:
            done.add(identity)
            yield stacks[identity]


def _zip(folder: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()
