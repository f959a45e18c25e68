"""The releases of the kinds, made from `releases/rehearsal` with the provider's address in them.

They are written to a project of their own: their address is that of one rehearsal, and nobody
else should find them. `base` is what a kind's `release.toml` leaves out.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmops_runbooks.errors import UsageError
from llmops_runbooks.publish import FILE
from llmops_runbooks.rehearse_kinds import BASE, Kind

FOLDER = Path("releases/rehearsal")
CODE = "app_src"


def write_project(project: Path, kinds: Sequence[Kind], provider_url: str, into: Path) -> None:
    """Makes the folder `into` a project with the base release and those of the kinds.

    Whatever was there goes. Raises UsageError if a release's file cannot be read.
    """
    shutil.rmtree(into, ignore_errors=True)
    releases = into / "releases"
    releases.mkdir(parents=True)
    (into / CODE).symlink_to((project / CODE).resolve())
    origin = project / FOLDER
    base = _read(origin / "base")
    base["configuration"]["provider_url"] = provider_url
    _write(releases / BASE, base)
    for kind in kinds:
        folder = releases / kind.version
        _write(folder, _merged(base, _read(origin / kind.name)))
        overlay = origin / kind.name / "overlay"
        if overlay.is_dir():
            shutil.copytree(overlay, folder / "overlay")


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    configuration = {**base["configuration"], **own.get("configuration", {})}
    return {**base, **own, "configuration": configuration}


def _read(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / FILE).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        where = f"{FOLDER}/{folder.name}/{FILE}"
        raise UsageError(f"{where} cannot be read: {error}.") from error


def _write(folder: Path, described: Mapping[str, Any]) -> None:
    """The file again: JSON's texts, numbers, booleans and lists are TOML's too."""
    flat = {key: value for key, value in described.items() if key != "configuration"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in flat.items()]
    lines.append("\n[configuration]")
    lines += [f"{key} = {json.dumps(value)}" for key, value in described["configuration"].items()]
    folder.mkdir()
    (folder / FILE).write_text("\n".join(lines) + "\n")
