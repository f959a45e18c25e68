"""The tab where people ask: answers as they are written, their sources, a thumb and a comment."""

from __future__ import annotations

import contextlib
import secrets

import streamlit as st

from llm_ui.service import Answer, Client, Source, Thumb, Trouble

LABEL = "AI-generated. Check what matters against the sources."
UNSUPPORTED = "No page supports this answer."
THUMBS: tuple[Thumb, Thumb] = ("down", "up")
"""In the order of `st.feedback("thumbs")`: 0 and 1."""


def show(client: Client) -> None:
    """The conversation so far, and the next question."""
    answers: list[Answer] = st.session_state.setdefault("answers", [])
    visitor: str = st.session_state.setdefault("visitor", f"visitor-{secrets.token_hex(8)}")
    conversation = st.container()  # above the input, which in a tab is not pinned to the bottom
    asked = st.chat_input("Your question", max_chars=4_000)
    with conversation:
        if not answers:
            st.caption("Ask a question. Answers say which pages they come from.")
        for answer in answers:
            _question(answer)
            with st.chat_message("assistant"):
                st.markdown(_plain(answer.text))
                _about(client, answer)
        if asked and asked.strip():
            _ask(client, Answer(asked.strip()), answers, visitor)


def _ask(client: Client, answer: Answer, earlier: list[Answer], visitor: str) -> None:
    _question(answer)
    with st.chat_message("assistant"):
        try:
            st.write_stream(map(_plain, client.ask(answer, earlier, visitor)))
        except Trouble as trouble:
            st.error(str(trouble))
            return
    earlier.append(answer)
    st.rerun()


def _question(answer: Answer) -> None:
    with st.chat_message("user"):
        st.markdown(_plain(answer.question))


def _about(client: Client, answer: Answer) -> None:
    """What belongs to an answer: the label, its sources, what the visitor thinks of it."""
    st.caption(f"{LABEL} · release {answer.release}")
    if answer.supported is False:
        st.warning(UNSUPPORTED, icon=":material/help:")
    thumbs, comment = st.columns([1, 5], vertical_alignment="center")
    with thumbs:
        st.feedback("thumbs", key=_key("thumb", answer), on_change=_send, args=(client, answer))
    if st.session_state.get(_key("thumb", answer)) is not None:
        with comment:
            _comment(client, answer)
    if answer.sources:
        _sources(client, answer)


def _sources(client: Client, answer: Answer) -> None:
    with st.expander(f"Sources ({len(answer.sources)})", icon=":material/menu_book:"):
        for source in _with_text(client, answer):
            st.markdown(f"**{_plain(source.title)}**")
            if source.text:
                st.text(source.text)


def _with_text(client: Client, answer: Answer) -> list[Source]:
    """The sources with their text, asked for once; without it where the search fails."""
    if not any(source.text for source in answer.sources):
        with contextlib.suppress(Trouble):
            answer.sources = client.passages(answer)
    return answer.sources


def _comment(client: Client, answer: Answer) -> None:
    with st.popover("Comment", icon=":material/edit:"), st.form(_key("form", answer), border=False):
        st.text_area("What was good, what was wrong?", key=_key("comment", answer), max_chars=2_000)
        if st.form_submit_button("Send"):
            _send(client, answer)


def _send(client: Client, answer: Answer) -> None:
    """Sends the thumb, with the comment if there is one."""
    chosen = st.session_state.get(_key("thumb", answer))
    if chosen is None:
        return
    comment = (st.session_state.get(_key("comment", answer)) or "").strip()
    try:
        client.thumb(answer.id, THUMBS[chosen], comment or None)
    except Trouble as trouble:
        st.toast(str(trouble), icon=":material/error:")
    else:
        st.toast("Thank you.", icon=":material/check:")


def _key(what: str, answer: Answer) -> str:
    return f"{what}-{answer.id}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no formulas by `$`, no HTML (Streamlit escapes it)."""
    return text.replace("$", "\\$")
