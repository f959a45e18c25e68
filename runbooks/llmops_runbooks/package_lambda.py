"""The service as a Lambda function: one zip of its code and its locked dependencies.

uv resolves nothing here: it installs what `app_src/uv.lock` names, as wheels for Lambda's platform,
whatever machine this runs on, and checks every hash. The same tree and lock give the same bytes:
entries sorted, times and modes fixed. Bytecode is left out: it belongs to one Python version.

Limits: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmops_runbooks.errors import UsageError
from llmops_runbooks.manifest import sha256

Architecture = Literal["x86_64", "arm64"]

PLATFORMS: dict[Architecture, str] = {
    "x86_64": "x86_64-manylinux_2_28",
    "arm64": "aarch64-manylinux_2_28",
}
"""Lambda's python3.13 runs on Amazon Linux 2023, which has glibc 2.34."""
PYTHON = "3.13"
HANDLER = "llm_service.lambda_function.handler"
PACKAGES = ("llm_service",)
UNZIPPED_LIMIT = 250 * 1024 * 1024
"""Bytes that a function with its layers may have, unzipped."""
DIRECT_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip that may be uploaded without S3."""
LEFT_OUT = frozenset({"__pycache__", "tests", "bin", "uvloop"})
"""Folders that Lambda never imports: its event loop is asyncio's own."""
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A zip that was written."""

    path: Path
    architecture: Architecture
    sha256: str
    zipped: int
    unzipped: int
    files: int

    @property
    def needs_s3(self) -> bool:
        """Whether the zip is too large to be uploaded with the request."""
        return self.zipped > DIRECT_LIMIT


def package(project: Path, out: Path, architecture: Architecture = "x86_64") -> Package:
    """Writes the zip to `out`. Raises UsageError, and then writes nothing."""
    source = project / "app_src"
    if not (source / "uv.lock").is_file():
        raise UsageError(
            f"{project.name}/app_src/uv.lock is missing, and it names what goes in.",
            hint="Run uv lock in app_src.",
        )
    with tempfile.TemporaryDirectory(prefix="llmops-lambda-") as scratch:
        tree = Path(scratch, "tree")
        _install(source, tree, Path(scratch, "requirements.txt"), architecture)
        for name in PACKAGES:
            shutil.copytree(source / name, tree / name)
        return _written(tree, out, architecture)


def _install(source: Path, tree: Path, requirements: Path, architecture: Architecture) -> None:
    export = [
        "export", "--frozen", "--no-dev", "--no-emit-project", "--extra", "lambda",
        "--no-header", "--project", str(source), "-o", str(requirements),
    ]  # fmt: skip
    install = [
        "pip", "install", "--target", str(tree), "--require-hashes", "--no-deps",
        "--only-binary", ":all:", "--python-platform", PLATFORMS[architecture],
        "--python-version", PYTHON, "-r", str(requirements),
    ]  # fmt: skip
    _uv(export)
    _uv(install)


def _uv(arguments: list[str]) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise UsageError("uv is not on the PATH, and it fetches the dependencies.")
    ran = subprocess.run([uv, "--quiet", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        said = " ".join(ran.stderr.split()) or f"it exited with {ran.returncode}"
        raise UsageError(f"uv {arguments[0]} failed: {said}")


def _written(tree: Path, out: Path, architecture: Architecture) -> Package:
    names = sorted(_names(tree))
    unzipped = sum((tree / name).stat().st_size for name in names)
    if unzipped > UNZIPPED_LIMIT:
        raise UsageError(
            f"The function would have {unzipped:,} bytes, and Lambda takes {UNZIPPED_LIMIT:,}.",
            hint="Leave a dependency out of app_src, or run the service on Fargate.",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (tree / name).read_bytes())
    content = out.read_bytes()
    return Package(out, architecture, sha256(content), len(content), unzipped, len(names))


def _names(tree: Path) -> Iterator[str]:
    for path in tree.rglob("*"):
        inside = path.relative_to(tree)
        if path.is_file() and path.suffix != ".pyc" and not _left_out(inside.as_posix()):
            yield inside.as_posix()


def _left_out(name: str) -> bool:
    """Records of the installer name absolute paths and times: they are left out too."""
    parts = name.split("/")
    installer = parts[0].endswith(".dist-info") and parts[-1] in {"RECORD", "INSTALLER"}
    return installer or any(part in LEFT_OUT for part in parts[:-1])
