"""The code of the functions: the packages it is made of, as they are installed here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("llmops_functions", "llmops_judge")
"""What the gate is made of; boto3 is in Lambda's runtime."""
ROTATION = ("llmops_functions",)
CLIENT = {
    "pg8000": "pg8000",
    "scramp": "scramp",
    "asn1crypto": "asn1crypto",
    "dateutil": "python-dateutil",
    "six": "six",
}
"""The PostgreSQL client of a rotation and all it needs, pure Python: module -> distribution."""


@contextmanager
def staged(packages: Sequence[str] = PACKAGES, distributions: Sequence[str] = ()) -> Iterator[Path]:
    """A folder with the `.py` files of the packages and, for those that look their own version
    up, the METADATA of the distributions; gone at the end of the block.

    Nothing but their paths and contents is in it: the same code has the same asset hash.
    """
    with tempfile.TemporaryDirectory(prefix="llmops-bundle-") as folder:
        for package in packages:
            _copy(package, Path(folder))
        for name in distributions:
            _describe(name, Path(folder))
        yield Path(folder)


@contextmanager
def staged_rotation() -> Iterator[Path]:
    """The code of the rotations with the PostgreSQL client they need."""
    with staged((*ROTATION, *CLIENT), tuple(CLIENT.values())) as folder:
        yield folder


def _copy(package: str, folder: Path) -> None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package)
    if not spec.submodule_search_locations:
        shutil.copyfile(spec.origin, folder / Path(spec.origin).name)
        return
    source = Path(spec.origin).parent
    for file in sorted(source.rglob("*.py")):
        target = folder / package / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _describe(name: str, folder: Path) -> None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise _missing(name) from None
    target = folder / f"{name.replace('-', '_')}-{found.version}.dist-info"
    target.mkdir()
    (target / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {found.version}\n"
    )


def _missing(package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"The bundle of the functions needs the package {package}: install it (uv sync).",
        name=package,
    )
