"""The code of the gate: the packages it is made of, as they are imported here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("llmops_functions", "llmops_judge")


@contextmanager
def staged(packages: Sequence[str] = PACKAGES) -> Iterator[Path]:
    """A folder with the `.py` files of the packages, gone at the end of the block.

    Nothing but their paths and contents is in it: the same code has the same asset hash.
    """
    with tempfile.TemporaryDirectory(prefix="llmops-bundle-") as folder:
        for package in packages:
            _copy(package, Path(folder))
        yield Path(folder)


def _copy(package: str, folder: Path) -> None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"The gate needs the package {package}: install it (uv sync).", name=package
        )
    source = Path(spec.origin).parent
    for file in sorted(source.rglob("*.py")):
        target = folder / package / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
