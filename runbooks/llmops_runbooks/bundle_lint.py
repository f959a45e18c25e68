"""What is wrong with a bundle before it is published: the packaged one, a release's, or a folder.

The rules are the service's own (`llm_service.bundle.lint`), so that what passes here is what the
service takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_runbooks import bundle_files, publish
from llmops_runbooks.errors import UsageError

if TYPE_CHECKING:
    from llm_service.bundle.lint import Report


def lint(project: Path, version: str | None = None) -> Report:
    """The bundle of `releases/<version>` as it would be published, or the packaged one.

    Raises UsageError if there is no such release, or if the service is not installed.
    """
    if version is None:
        return lint_at(project / "app_src" / bundle_files.PACKAGED)
    described = _read(project, version)
    return _lint(files_of(project, described), _configuration(project, described))


def lint_at(path: Path) -> Report:
    """The bundle in a folder or in a file `<digest>.json`. Raises UsageError."""
    return _lint(files_at(path), {})


def files_at(path: Path) -> dict[str, str]:
    """The files of that bundle, path -> text, unchecked. Raises UsageError."""
    _check_installed()
    from llm_service.bundle import BundleError
    from llm_service.bundle.source import read

    try:
        return read(str(path))
    except BundleError as error:
        raise UsageError(str(error)) from error


def _lint(files: Mapping[str, str], configuration: Mapping[str, str]) -> Report:
    _check_installed()
    from llm_service.bundle import lint as rules

    return rules.lint(files, configuration)


def _check_installed() -> None:
    try:
        import llm_service.bundle  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "The service, whose rules a bundle must keep, is not installed here.",
            hint="pip install 'llmops[local]'",
        ) from error


def files_of(project: Path, described: publish.ReleaseFile) -> dict[str, str]:
    """The files of a release's bundle as the working tree has them."""
    version = described.version
    if described.base is None:
        below = bundle_files.packaged(publish.source_tree(project, version))
    else:
        below = files_of(project, _read(project, described.base))
    return {**below, **bundle_files.own(project, version)}


def _configuration(project: Path, described: publish.ReleaseFile) -> dict[str, str]:
    if described.configuration is None and described.base is not None:
        return _configuration(project, _read(project, described.base))
    return described.variables()


def _read(project: Path, version: str) -> publish.ReleaseFile:
    return publish.read(project / "releases" / version / publish.FILE)
