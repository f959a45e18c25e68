"""The files of a release's bundle: the packaged ones, with the release's own laid over them.

`app_src/llm_service/bundle/` holds the packaged bundle; what a release changes of it is in
`releases/<version>/bundle/`, beside `overlay/`, which is code. A bundle is no part of the image
beyond what is packaged, so a release that changes its bundle alone runs the image of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from llmops_runbooks.errors import UsageError

PACKAGED = "llm_service/bundle/"
PART = re.compile(r"features/[^/]+\.json|prompts/[^/]+/[^/]+\.md")


def packaged(tree: Mapping[str, bytes]) -> dict[str, str]:
    """The bundle in the service's code: path below `bundle/` -> text."""
    found = {
        path.removeprefix(PACKAGED): body
        for path, body in tree.items()
        if path.startswith(PACKAGED)
    }
    return {
        path: _text(f"app_src/{PACKAGED}{path}", body)
        for path, body in found.items()
        if PART.fullmatch(path)
    }


def own(project: Path, version: str) -> dict[str, str]:
    """What `releases/<version>/bundle/` holds; raises UsageError for a file that has no effect."""
    folder = project / "releases" / version / "bundle"
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_dir() or any(part.startswith(".") for part in Path(inside).parts):
            continue
        where = f"releases/{version}/bundle/{inside}"
        if not PART.fullmatch(inside):
            raise UsageError(
                f"{where} would have no effect: a bundle holds features/<name>.json and "
                "prompts/<name>/<version>.md."
            )
        found[inside] = _text(where, path.read_bytes())
    return found


def _text(where: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8: save it as that.") from error
