"""llmops.toml: defaults, one table per environment, and one sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_runbooks import settings
from llmops_runbooks.errors import SettingsError

PLAIN = """
default_environment = "dev"
service_name = "handbook"
[canary]
percent = 10
[env.dev]
account = "111111111111"
[env.prod]
account = "333333333333"
[env.prod.canary]
bake_minutes = 3
"""


@pytest.fixture
def write(tmp_path: Path):
    def to(text: str) -> Path:
        file = tmp_path / "llmops.toml"
        file.write_text(text)
        return file

    return to


def test_an_environment_inherits_the_defaults_and_overrides_key_by_key(write) -> None:
    prod = settings.load("prod", file=write(PLAIN), variables={})
    assert (prod.canary.percent, prod.canary.bake_minutes) == (10, 3)
    assert prod.prefix == "handbook-prod"


def test_zones_default_to_the_regions_first_two(write) -> None:
    assert settings.load("dev", file=write(PLAIN), variables={}).zones == (
        "us-east-1a",
        "us-east-1b",
    )


def test_a_variable_overrides_a_key(write) -> None:
    variables = {"LLMOPS_CANARY__PERCENT": "25", "LLMOPS_ENDPOINT_URL": "http://127.0.0.1:9"}
    dev = settings.load("dev", file=write(PLAIN), variables=variables)
    assert (dev.canary.percent, dev.endpoint_url) == (25, "http://127.0.0.1:9")


def test_variables_that_name_no_setting_are_left_alone(write) -> None:
    assert settings.load("dev", file=write(PLAIN), variables={"LLMOPS_ENV": "prod"}).name == "dev"


def test_the_file_is_found_above_the_working_directory(write, tmp_path: Path) -> None:
    file = write(PLAIN)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert settings.find(tmp_path / "a" / "b") == file


@pytest.mark.parametrize(
    ("text", "environment", "says"),
    [
        (PLAIN, "qa", "llmops.toml has no environment 'qa' (it has: dev, prod)."),
        (
            PLAIN.replace("percent = 10", 'percent = "many"'),
            "dev",
            "llmops.toml: 'canary.percent' is 'many' for environment dev, but it should be a "
            "valid number, unable to parse string as a number.",
        ),
        (
            PLAIN.replace("percent = 10", "percent = 90"),
            "dev",
            "llmops.toml: 'canary.percent' is 90 for environment dev, but it should be less than "
            "or equal to 50.",
        ),
        (
            PLAIN.replace("percent = 10", "per_cent = 10"),
            "dev",
            "llmops.toml: 'canary.per_cent' (environment dev) is not a setting llmops knows.",
        ),
        (
            PLAIN.replace('account = "111111111111"', ""),
            "dev",
            "llmops.toml: 'account' is missing for environment dev.",
        ),
        (
            PLAIN + "[env.prod.service]\nlistener_port = 8080\n",
            "prod",
            "llmops.toml, environment prod: service.listener_port and service.test_listener_port "
            "must differ.",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_file_key_and_what_is_allowed(
    write, text: str, environment: str, says: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings.load(environment, file=write(text), variables={})
    assert raised.value.message == says
    assert raised.value.exit_code == 2


def test_a_wrong_variable_is_named_as_such(write) -> None:
    with pytest.raises(SettingsError, match=r"the variable LLMOPS_POLL_SECONDS: 'poll_seconds'"):
        settings.load("dev", file=write(PLAIN), variables={"LLMOPS_POLL_SECONDS": "soon"})


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no llmops\.toml in .* or above it\."):
        settings.find(tmp_path)


def test_a_broken_file_says_the_line(write) -> None:
    with pytest.raises(SettingsError, match=r"llmops\.toml cannot be read: .*line 1"):
        settings.load("dev", file=write("= 3"), variables={})


def test_the_projects_own_file_is_right() -> None:
    file = Path(__file__).parents[2] / "llmops.toml"
    for name in settings.names(file):
        assert settings.load(name, file=file, variables={}).name == name
    assert settings.default_environment(file) == "local"
