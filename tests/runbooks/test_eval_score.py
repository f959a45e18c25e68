"""Reading golden sets, scoring answers, and the ruler's agreement with the service's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_service.evaluations import scores
from llm_service.quality import declines
from llmops_runbooks import eval_golden, eval_schema, eval_score
from llmops_runbooks.errors import UsageError
from llmops_runbooks.eval_golden import Question

ROOT = Path(__file__).parents[2]
SQUAD = ROOT.parent / "shared/data/squad/questions.jsonl"


def write(folder: Path, *rows: object) -> Path:
    file = folder / "golden.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows))
    return file


def test_the_samples_golden_set_is_read() -> None:
    found = eval_golden.read(ROOT / "app_src/llm_service/sample/golden.jsonl")
    assert found.questions[0] == Question(
        "g001",
        "Who founded the company with a second-hand cart beside the fish market?",
        True,
        ("Maren Oldcastle",),
        "company-history",
    )
    assert len(found.questions) == 316


@pytest.mark.skipif(not SQUAD.exists(), reason="the shared data are not beside the repository")
def test_squads_questions_are_read() -> None:
    found = eval_golden.read(SQUAD)
    assert len(found.questions) == 2828
    assert sum(question.answerable for question in found.questions) == 1299
    assert all(question.references for question in found.questions if question.answerable)
    assert found.questions[0].references == ("France",)


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    rows = [{"id": n, "question": "?", "answer": "x"} for n in range(50)]
    golden = eval_golden.read(write(tmp_path, *rows))
    chosen = [question.id for question in golden.sample(5, 7).questions]
    assert chosen == [question.id for question in golden.sample(5, 7).questions]
    assert chosen == sorted(chosen, key=int) and len(chosen) == 5
    assert golden.sample(None, 7) is golden and golden.sample(50, 7) is golden


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{"], "line 1 is no JSON object"),
        ([{"question": "a", "answer": "x"}, "[1]"], "line 2 is no JSON object"),
        ([{"answer": "x"}], "has no `question`"),
        ([{"question": "a"}], "does not say what is right"),
        ([{"question": "a", "answers": [1]}], "does not say what is right"),
        ([{"question": "a", "answers": [], "answerable": True}], "does not say what is right"),
        ([{"id": 1, "question": "a", "answer": "x"}] * 2, "the id '1' 2 times"),
        ([], "holds no question"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, rows: list[object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        eval_golden.read(write(tmp_path, *rows))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        eval_golden.read(tmp_path / "none.jsonl")


def test_graded_answers_are_read(tmp_path: Path) -> None:
    row = {"question": "q", "reference": "r", "answer": "a", "score": True}
    (found,) = eval_golden.read_graded(write(tmp_path, row))
    assert found == eval_golden.Graded("q", ("r",), "a", 1.0)
    with pytest.raises(UsageError, match="how good a person found"):
        eval_golden.read_graded(write(tmp_path, {**row, "score": 5}))
    with pytest.raises(UsageError, match="needs"):
        eval_golden.read_graded(write(tmp_path, {"question": "q"}))


def test_graded_answers_are_labelled_in_words_too(tmp_path: Path) -> None:
    row = {"id": "1", "question": "q", "reference": [], "answer": "a", "category": "paraphrase"}
    (found,) = eval_golden.read_graded(write(tmp_path, {**row, "label": "incorrect"}))
    assert found == eval_golden.Graded("q", (), "a", 0.0, "paraphrase")
    with pytest.raises(UsageError, match="how good a person found"):
        eval_golden.read_graded(write(tmp_path, {**row, "label": "fine"}))
    with pytest.raises(UsageError, match="the id '1' 2 times"):
        eval_golden.read_graded(write(tmp_path, *[{**row, "label": "correct"}] * 2))


def test_a_graded_answer_without_a_reference_is_no_question_without_an_answer(
    tmp_path: Path,
) -> None:
    row = {"question": "q", "answer": "a", "label": "correct"}
    with pytest.raises(UsageError, match="needs `question`, `reference` and `answer`"):
        eval_golden.read_graded(write(tmp_path, row))


def test_a_byte_order_mark_and_separators_inside_texts_are_read(tmp_path: Path) -> None:
    file = tmp_path / "golden.jsonl"
    text = '{"question": "Wer\u2028war\x85es?", "answer": "Øystein"}\r\n\n'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (found,) = eval_golden.read(file).questions
    assert (found.text, found.references) == ("Wer\u2028war\x85es?", ("Øystein",))


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "golden.jsonl"
    file.write_bytes('{"question": "a", "answer": "b"}\n{"question": "Ø"'.encode("latin-1"))
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        eval_golden.read(file)


def test_the_calibration_set_beside_the_golden_set_goes_before_the_others(tmp_path: Path) -> None:
    golden, other = tmp_path / "questions.jsonl", tmp_path / "other.jsonl"
    assert eval_golden.beside(golden, other) is None
    other.touch()
    assert eval_golden.beside(golden, other) == other
    (tmp_path / "calibration.jsonl").touch()
    assert eval_golden.beside(golden, other) == tmp_path / "calibration.jsonl"


TEXTS = (
    "",
    "The Normans!",
    "normans",
    "France, in 911",
    "25 words",
    "I cannot find that.",
    "a-b c",
)


@pytest.mark.parametrize("answer", TEXTS)
@pytest.mark.parametrize("reference", TEXTS)
def test_the_kits_ruler_and_the_services_evaluator_agree(answer: str, reference: str) -> None:
    for name in ("exact", "f1", "contained"):
        mine, theirs = (getattr(module, name)(answer, reference) for module in (eval_score, scores))
        assert mine == theirs
    assert eval_score.declines(answer) == declines(answer, "")


def test_what_an_answer_is_worth() -> None:
    asked = Question("1", "When?", True, ("in 911", "911"), "d")
    assert eval_score.of_answer(asked, "It was in 911.")["correct"] == 1
    assert eval_score.of_answer(asked, "I cannot say whether 911.")["correct"] == 0
    assert eval_score.of_answer(asked, None) == {"correct": 0.0}
    nothing = Question("2", "Why?", False, (), "d")
    assert eval_score.of_answer(nothing, "I do not know.") == {"correct": 1.0, "declined": 1.0}
    assert eval_score.of_answer(nothing, "Because.") == {"correct": 0.0, "declined": 0.0}


def test_hits_are_counted_of_answerable_questions_with_a_document() -> None:
    asked = Question("1", "When?", True, ("911",), "d")
    hits = {"hit_at_1": 0.0, "hit_at_3": 1.0, "hit_at_5": 1.0}
    assert eval_score.of_search(asked, ["x", "y", "d"]) == hits
    assert eval_score.of_search(asked, None) == {}
    assert eval_score.of_search(Question("2", "Why?", False, (), "d"), ["d"]) == {}


def test_the_schema_file_is_current() -> None:
    assert eval_schema.FILE.read_text(encoding="utf-8") == eval_schema.text(), (
        "run: uv run python -m llmops_runbooks.eval_schema"
    )
