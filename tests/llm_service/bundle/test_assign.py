"""A subject keeps its variant; changed weights move few; an experiment draws by its own name."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.bundle import Changes, Experiment, Feature, Variant, assign, subject_of
from llm_service.bundle.assign import draw

SUBJECTS = [f"user-{number}" for number in range(4000)]


def experiment(*weights: float, name: str = "longer") -> Experiment:
    variants = tuple(
        Variant(name=letter, weight=weight, changes=Changes(passages=index + 1))
        for index, (letter, weight) in enumerate(zip("abcd", weights, strict=False))
    )
    return Experiment(name=name, variants=variants)


def feature(of: Experiment | None) -> Feature:
    return Feature(name="answer", prompt="answer@1.0.0", models=("embedded",), experiment=of)


def drawn(of: Experiment) -> list[str]:
    return [draw(of, subject).name for subject in SUBJECTS]


def moved(one: Experiment, other: Experiment) -> float:
    pairs = zip(drawn(one), drawn(other), strict=True)
    return sum(first != second for first, second in pairs) / len(SUBJECTS)


def test_a_variant_lays_its_changes_over_the_feature_and_leaves_the_rest() -> None:
    found = assign(feature(experiment(0.5, 0.5)), "user-1")
    assert found.feature.passages == "ab".index(found.variant) + 1
    assert found.feature.prompt == "answer@1.0.0"
    assert found.experiment == "longer"


def test_a_variant_is_one_object_however_often_it_is_drawn() -> None:
    whole = feature(experiment(0.5, 0.5))
    found = [assign(whole, subject) for subject in SUBJECTS[:50]]
    assert len({id(each.feature) for each in found}) == len({each.variant for each in found}) == 2
    assert assign(whole, "").feature is whole.varied["a"]


def test_a_feature_without_an_experiment_is_itself() -> None:
    found = assign(feature(None), "user-1")
    assert (found.feature, found.experiment, found.variant) == (feature(None), "", "")


def test_nobody_known_gets_the_control_and_is_not_counted() -> None:
    found = assign(feature(experiment(0.1, 0.9)), "")
    assert (found.feature.passages, found.experiment, found.subject) == (1, "", "")


def test_the_same_subject_gets_the_same_variant_in_every_process() -> None:
    assert [draw(experiment(0.5, 0.3, 0.2), f"user-{n}").name for n in range(12)] == list(
        "ababacaaaaba"
    )


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5)])
def test_each_variant_gets_its_share(weights: tuple[float, ...]) -> None:
    found = drawn(experiment(*weights))
    for letter, weight in zip("abc", weights, strict=False):
        expected = weight * len(found)
        assert abs(found.count(letter) - expected) < 4 * (expected * (1 - weight)) ** 0.5


def test_a_variant_of_weight_zero_is_never_drawn() -> None:
    assert set(drawn(experiment(1.0, 0.0))) == {"a"}


def test_a_raised_weight_moves_subjects_to_that_variant_only() -> None:
    pairs = set(
        zip(drawn(experiment(0.25, 0.25, 0.5)), drawn(experiment(0.5, 1 / 6, 1 / 3)), strict=True)
    )
    assert {pair for pair in pairs if pair[0] != pair[1]} == {("b", "a"), ("c", "a")}


def test_with_two_variants_only_the_changed_share_moves() -> None:
    assert moved(experiment(0.5, 0.5), experiment(0.6, 0.4)) == pytest.approx(0.1, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 6))
def test_no_more_subjects_move_than_without_memory_must(parts: tuple[int, ...]) -> None:
    one = [part / sum(parts[:3]) for part in parts[:3]]
    other = [part / sum(parts[3:]) for part in parts[3:]]
    distance = sum(abs(first - second) for first, second in zip(one, other, strict=True)) / 2
    bound = 2 * distance / (1 + distance)
    assert moved(experiment(*one), experiment(*other)) <= bound + 0.035


def test_two_experiments_draw_independently() -> None:
    pairs = list(
        zip(drawn(experiment(0.5, 0.5)), drawn(experiment(0.5, 0.5, name="warmer")), strict=True)
    )
    assert pairs.count(("a", "b")) / len(pairs) == pytest.approx(0.25, abs=0.03)


def test_the_hash_of_a_subject_is_not_its_name_and_differs_between_experiments() -> None:
    one = assign(feature(experiment(0.5, 0.5)), "maria@example.com").subject
    other = assign(feature(experiment(0.5, 0.5, name="warmer")), "maria@example.com").subject
    assert len(one) == 16
    assert "maria" not in one
    assert one != other


@pytest.mark.parametrize(
    ("unit", "subject"), [("user", "u"), ("conversation", "c"), ("request", "r")]
)
def test_the_subject_is_what_the_experiment_draws(unit: str, subject: str) -> None:
    of = msgspec.structs.replace(experiment(0.5, 0.5), unit=unit)
    assert subject_of(feature(of), user="u", conversation="c", request="r") == subject
