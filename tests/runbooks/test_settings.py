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


JUDGED = """
[judge]
alpha = 0.02
[judge.metrics.errors]
margin = 0.04
[env.dev]
account = "111111111111"
[env.prod]
account = "333333333333"
[env.prod.judge]
beta = 0.1
[env.prod.judge.metrics.latency]
mode = "warn"
"""
PLAIN_PROD = """
[env.prod]
account = "333333333333"
"""


def test_a_policy_is_the_defaults_with_the_environments_keys_laid_over_them(write) -> None:
    file = write(JUDGED)
    dev, prod = (settings.load(name, file=file, variables={}).policy for name in ("dev", "prod"))
    assert (dev.alpha, dev.beta, dev.metric("latency").mode) == (0.02, 0.05, "rollback")
    assert (prod.alpha, prod.beta, prod.metric("latency").mode) == (0.02, 0.1, "warn")
    assert prod.metric("errors").margin == 0.04


def test_without_a_policy_the_defaults_hold(write) -> None:
    from llmops_judge import Policy

    assert settings.load("dev", file=write(PLAIN), variables={}).policy == Policy()


def test_judge_toml_is_the_same_table_in_a_file_of_its_own(write) -> None:
    file = write(PLAIN_PROD)
    file.with_name("judge.toml").write_text(
        "alpha = 0.02\n[metrics.errors]\nmargin = 0.04\n[env.prod]\nbeta = 0.1\n"
        "[env.prod.metrics.errors]\nmode = 'warn'\n"
    )
    policy = settings.load("prod", file=file, variables={}).policy
    assert (policy.alpha, policy.beta) == (0.02, 0.1)
    assert (policy.metric("errors").margin, policy.metric("errors").mode) == (0.04, "warn")


def test_a_policy_in_both_places_is_refused(write) -> None:
    file = write(JUDGED)
    file.with_name("judge.toml").write_text("alpha = 0.02\n")
    with pytest.raises(SettingsError) as raised:
        settings.load("dev", file=file, variables={})
    assert raised.value.message == "The judge's policy is both in judge.toml and in llmops.toml."
    assert raised.value.hint.startswith("Keep one")


def test_judge_toml_knows_only_the_projects_environments(write) -> None:
    file = write(PLAIN_PROD)
    file.with_name("judge.toml").write_text("[env.prd]\nbeta = 0.1\n")
    with pytest.raises(SettingsError, match=r"judge\.toml: \[env\.prd\] is no environment"):
        settings.load("prod", file=file, variables={})


def test_variables_of_the_judge_get_the_type_their_key_has(write) -> None:
    variables = {
        "LLMOPS_JUDGE__ALPHA": "0.03",
        "LLMOPS_JUDGE__MINIMUM_REQUESTS": "20",
        "LLMOPS_JUDGE__INCONCLUSIVE": "rollback",
        "LLMOPS_JUDGE__CONTAMINATION": "feature, cache",
        "LLMOPS_JUDGE__MAXIMUM_REQUESTS": "none",
        "LLMOPS_JUDGE__GOLDEN__MINIMUM": "0.7",
        "LLMOPS_JUDGE__METRICS__ERRORS__MARGIN": "0.07",
    }
    policy = settings.load("prod", file=write(JUDGED), variables=variables).policy
    assert (policy.alpha, policy.beta, policy.minimum_requests) == (0.03, 0.1, 20)
    assert (policy.inconclusive, policy.contamination) == ("rollback", ("feature", "cache"))
    assert (policy.maximum_requests, policy.golden.minimum) == (None, 0.7)
    assert policy.metric("errors").margin == 0.07


@pytest.mark.parametrize(
    ("old", "new", "variables", "says"),
    [
        (
            "margin = 0.04",
            "margin = 4",
            {},
            "llmops.toml, line 5, environment prod: the judge's policy: metrics.errors.margin is "
            "4, but it must be between 0 and 1.",
        ),
        (
            '"warn"',
            '"warm"',
            {},
            "llmops.toml, line 13, environment prod: the judge's policy: metrics.latency.mode is "
            "'warm', but it must be one of observe, warn, pause, rollback.",
        ),
        (
            "beta = 0.1",
            "error_margin = 0.1",
            {},
            "llmops.toml, line 11, environment prod: the judge's policy has no error_margin any "
            "more; it is metrics.errors.margin now.",
        ),
        (
            "",
            "",
            {"LLMOPS_JUDGE__QUALITY_MARGIN": "0.1"},
            "the variable LLMOPS_JUDGE__QUALITY_MARGIN, environment prod: the judge's policy has "
            "no quality_margin any more; it is metrics.quality.margin now.",
        ),
        (
            "",
            "",
            {"LLMOPS_JUDGE__ALPHA": "often"},
            "the variable LLMOPS_JUDGE__ALPHA, environment prod: the judge's policy: alpha is "
            "'often', but it must be a number.",
        ),
        (
            "[judge]\nalpha = 0.02\n[judge.metrics.errors]\nmargin = 0.04",
            "judge = 3",
            {},
            "llmops.toml: the judge's policy must be a table, not 3.",
        ),
    ],
)
def test_a_mistake_in_the_policy_is_one_sentence_with_its_place(
    write, old: str, new: str, variables: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings.load("prod", file=write(JUDGED.replace(old, new, 1)), variables=variables)
    assert raised.value.message == says


def test_a_key_the_policy_does_not_know_is_told_with_those_it_knows(write) -> None:
    with pytest.raises(SettingsError, match=r"line 11.* has no key betta: .*alpha, beta"):
        settings.load("prod", file=write(JUDGED.replace("beta", "betta")), variables={})


def test_an_environment_made_in_code_is_checked_too() -> None:
    with pytest.raises(ValueError, match="alpha is 7"):
        settings.Environment(name="dev", account="111111111111", judge={"alpha": 7})
