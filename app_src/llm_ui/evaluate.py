"""The tab of the evaluator: how good is an answer beside a reference, and why."""

from __future__ import annotations

import streamlit as st

from llm_ui.service import Client, Evaluation, Trouble

COLOURS = {"correct": "green", "partly": "orange", "wrong": "red", "declined": "gray"}
NAMES = {
    "f1": "Words in common (F1)",
    "exact": "The same words",
    "contained": "Reference contained",
    "supported": "Supported by the passages",
}


def show(client: Client) -> None:
    """The form, and what came out of the last evaluation."""
    st.caption("Compare an answer with what it should have said.")
    with st.form("evaluation"):
        question = st.text_input("Question", max_chars=4_000)
        reference = st.text_area(
            "Reference answer",
            max_chars=20_000,
            height=100,
            placeholder="Empty: the question has no answer, and declining is right.",
        )
        answer = st.text_area("Answer to evaluate", max_chars=20_000, height=100)
        asked = st.form_submit_button("Evaluate", type="primary")
    if not asked:
        return
    if not (question.strip() and answer.strip()):
        st.error("Fill in the question and the answer.")
        return
    try:
        _result(client.evaluate(question, reference, answer))
    except Trouble as trouble:
        st.error(str(trouble))


def _result(found: Evaluation) -> None:
    score, why = st.columns([1, 3], vertical_alignment="center")
    with score:
        st.metric("Score", f"{found.score:.2f}")
        st.badge(found.verdict, color=COLOURS.get(found.verdict, "gray"))  # type: ignore[arg-type]
    with why:
        st.markdown(found.why.replace("$", "\\$"))
        if found.judge:
            st.caption(f"{found.judge['model']} says {found.judge['score']:.2f}")
            st.markdown(str(found.judge["why"]).replace("$", "\\$"))
    rows = {NAMES.get(name, name): f"{value:.2f}" for name, value in found.metrics.items()}
    st.table({"Measure": list(rows), "Value": list(rows.values())})
    st.caption("A score by rule, and where a model judges, AI-generated.")
