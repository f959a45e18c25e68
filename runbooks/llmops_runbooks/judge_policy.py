"""Where the judge's policy is written, and what is wrong with it.

A project keeps the policy in one place. Either in llmops.toml, as the table `[judge]` with
`[env.NAME.judge]` over it, or, if that becomes long, in a file judge.toml beside it, whose top
level is the table itself and whose `[env.NAME]` tables are what an environment overrides. Both at
once is a mistake: nobody could say which of two margins holds. Variables such as
`LLMOPS_JUDGE__METRICS__ERRORS__MARGIN` override either for one command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_runbooks.errors import SettingsError
from llmops_runbooks.toml_tables import line_of, merge, read

if TYPE_CHECKING:
    from llmops_judge import Policy

FILE_NAME = "judge.toml"
VARIABLE = "LLMOPS_JUDGE__"
MOVED = {"error_margin": "metrics.errors.margin", "quality_margin": "metrics.quality.margin"}
"""Keys of older policies, and what says the same now."""


@dataclass(frozen=True)
class Written:
    """A policy's table and where it was found.

    prefixes: what stands before a key of the table in the file's text, the winner last.
    """

    table: dict[str, Any]
    file: str
    text: str = ""
    prefixes: tuple[str, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """The place that set a key: the variable, or the file with the line if it can be told."""
        if _leaf(self.variables, key):
            return f"the variable {VARIABLE}{key.replace('.', '__').upper()}"
        for prefix in reversed(self.prefixes):
            line = line_of(self.text, {prefix + key}) if key else None
            if line:
                return f"{self.file}, line {line}"
        return self.file


def written(
    settings: Path, tables: dict[str, Any], environments: dict[str, Any], environment: str
) -> Written:
    """The policy's table of one environment, not yet checked; takes `judge` out of the tables."""
    own = environments[environment].pop("judge", {})
    shared = tables.pop("judge", {})
    beside = settings.with_name(FILE_NAME)
    if not beside.is_file():
        prefixes = ("judge.", f"env.{environment}.judge.")
        merged = merge(*_tables(settings.name, shared, own))
        return Written(merged, settings.name, settings.read_text(), prefixes)
    if shared or own or any("judge" in other for other in environments.values()):
        raise SettingsError(
            f"The judge's policy is both in {FILE_NAME} and in {settings.name}.",
            hint=f"Keep one: the top level of {FILE_NAME} is what [judge] is in {settings.name}.",
        )
    return _beside(beside, environments, environment)


def _beside(file: Path, environments: Mapping[str, Any], environment: str) -> Written:
    shared = read(file)
    (own,) = _tables(file.name, shared.pop("env", {}))
    stray = sorted(set(own) - set(environments))
    if stray:
        raise SettingsError(
            f"{file.name}: [env.{stray[0]}] is no environment of the project "
            f"(it has: {', '.join(sorted(environments))})."
        )
    merged = merge(*_tables(file.name, shared, own.get(environment, {})))
    return Written(merged, file.name, file.read_text(), ("", f"env.{environment}."))


def one_file(file: Path) -> dict[str, Any]:
    """The checked table of a policy file that stands alone: its top level, as in judge.toml.

    What it says of environments is checked too. Raises SettingsError.
    """
    table, text = read(file), file.read_text()
    (environments,) = _tables(file.name, table.pop("env", {}))
    for name, own in environments.items():
        merged = merge(*_tables(file.name, table, own))
        checked(Written(merged, file.name, text, ("", f"env.{name}.")), name)
    return checked(Written(table, file.name, text, ("",)), "")


def overridden(found: Written, variables: object) -> Written:
    """The policy under a command's variables, whose text gets the type of the key it is for."""
    (texts,) = _tables("the environment variable LLMOPS_JUDGE", variables)
    typed = _typed(texts)
    return Written(
        merge(found.table, typed), found.file, found.text, found.prefixes, variables=typed
    )


def checked(found: Written, environment: str) -> dict[str, Any]:
    """The table, if a judge can work with it. Raises SettingsError: where, which key, what may be.

    environment: for the sentence; empty if the policy is for none.
    """
    from llmops_judge.policy import Policy, PolicyError

    suffix = f", environment {environment}" if environment else ""
    for key, now in MOVED.items():
        if key in found.table:
            raise SettingsError(
                f"{found.where(key)}{suffix}: the judge's policy has no {key} any more; "
                f"it is {now} now."
            )
    try:
        Policy.from_settings(found.table)
    except PolicyError as error:
        told = str(error)
        raise SettingsError(
            f"{found.where(error.key)}{suffix}: {told[0].lower()}{told[1:]}"
        ) from error
    return found.table


def policy_of(table: Mapping[str, Any]) -> Policy:
    """The policy of a checked table."""
    from llmops_judge.policy import Policy

    return Policy.from_settings(table)


def _tables(file: str, *found: object) -> Iterator[dict[str, Any]]:
    for table in found:
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: the judge's policy must be a table, not {table!r}.")
        yield table


def _leaf(table: Mapping[str, Any], key: str) -> bool:
    found: Any = table
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found is not None


def _typed(texts: Mapping[str, Any]) -> dict[str, Any]:
    from llmops_judge.policy import Golden, Metric, Policy

    typed = _converted(texts, Policy)
    if isinstance(texts.get("golden"), dict):
        typed["golden"] = _converted(texts["golden"], Golden)
    metrics = texts.get("metrics")
    if isinstance(metrics, dict):
        typed["metrics"] = {
            name: _converted(table, Metric) if isinstance(table, dict) else table
            for name, table in metrics.items()
        }
    return typed


def _converted(texts: Mapping[str, Any], of: type[Any]) -> dict[str, Any]:
    types = {each.name: str(each.type) for each in fields(of)}
    return {
        key: _value(text, types.get(key, "str")) if isinstance(text, str) else text
        for key, text in texts.items()
    }


def _value(text: str, kind: str) -> Any:
    """The value of a variable's text; text that is no such value stays, and is refused later."""
    if kind.startswith("tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind.endswith("None") and text.lower() in ("", "none"):
        return None
    with suppress(ValueError):
        if kind.startswith("float"):
            return float(text)
        if kind.startswith("int"):
            return int(text)
    return text
