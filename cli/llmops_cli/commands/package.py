"""`llmops package`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_cli import options
from llmops_cli.render import Screen
from llmops_runbooks import package_lambda
from llmops_runbooks.errors import UsageError

if TYPE_CHECKING:
    from llmops_runbooks.package_lambda import Package

MEBIBYTE = 1024 * 1024

Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip to write.")]
Arch = Annotated[str, typer.Option("--architecture", metavar="x86_64|arm64", help="Of Lambda.")]


def package(
    out: Out = Path("llm-service-lambda.zip"),
    architecture: Arch = "x86_64",
    json: options.Json = False,
) -> None:
    """Package the service for Lambda: one zip of code and locked dependencies."""
    if architecture not in package_lambda.PLATFORMS:
        raise UsageError(f"--architecture is {architecture!r}: choose x86_64 or arm64.")
    made = package_lambda.package(options.project(), out, architecture)
    Screen(in_json=json).finish(_row(made), _lines(made))


def _row(made: Package) -> dict[str, Any]:
    return {
        "path": str(made.path),
        "architecture": made.architecture,
        "python": package_lambda.PYTHON,
        "handler": package_lambda.HANDLER,
        "sha256": made.sha256,
        "zipped_bytes": made.zipped,
        "unzipped_bytes": made.unzipped,
        "files": made.files,
        "needs_s3": made.needs_s3,
    }


def _lines(made: Package) -> list[str]:
    limit = package_lambda.UNZIPPED_LIMIT
    return [
        f"{made.path}  {made.zipped / MEBIBYTE:.1f} MiB, {made.files:,} files",
        f"  unzipped  {made.unzipped / MEBIBYTE:.0f} MiB; Lambda takes {limit / MEBIBYTE:.0f}",
        f"  runtime   python{package_lambda.PYTHON}, {made.architecture}",
        f"  handler   {package_lambda.HANDLER}",
        f"  sha256    {made.sha256}",
        *(["  too large for a direct upload: put it on S3"] if made.needs_s3 else []),
    ]
