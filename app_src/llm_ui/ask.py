"""The tab where people ask: answers as they are written, their sources, a thumb and a comment.

What a visitor typed and what a page of the corpus says is shown as it is. An answer may be
Markdown, but holds no picture: a browser fetches one from wherever the answer says, with what the
answer puts into the address, and an answer may say what somebody wrote into a document.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
from collections.abc import Iterable, Iterator

import streamlit as st

from llm_ui.service import Answer, Client, Source, Thumb, Trouble

LABEL = "AI-generated"
CHECK = "check what matters against the sources"
UNSUPPORTED = "No page supports this answer."
NOTHING_FOUND = "No page was found that supports an answer."
THUMBS: tuple[Thumb, Thumb] = ("down", "up")
"""In the order of `st.feedback("thumbs")`: 0 and 1."""


def show(client: Client) -> None:
    """The conversation so far, and the next question."""
    answers: list[Answer] = st.session_state.setdefault("answers", [])
    visitor: str = st.session_state.setdefault("visitor", f"visitor-{secrets.token_hex(8)}")
    conversation = st.container()  # above the input, which in a tab is not pinned to the bottom
    again = st.session_state.pop("again", None)
    asked = st.chat_input("Your question", max_chars=4_000) or again
    with conversation:
        if not answers:
            st.caption("Ask a question. Answers say which pages they come from.")
        for answer in answers:
            _question(answer)
            with st.chat_message("assistant"):
                st.markdown("".join(_shown([answer.text])))
                _about(client, answer)
        if asked and asked.strip():
            _ask(client, Answer(asked.strip()), answers, visitor)


def _ask(client: Client, answer: Answer, earlier: list[Answer], visitor: str) -> None:
    _question(answer)
    with st.chat_message("assistant"):
        pieces = _shown(client.ask(answer, earlier, visitor))
        try:
            with st.spinner("Looking it up"):
                first = next(pieces, "")
            coming = st.container()
            st.caption(LABEL)
            coming.write_stream(itertools.chain([first], pieces))
        except Trouble as trouble:
            st.error(str(trouble))
            st.button("Ask again", on_click=_ask_again, args=(answer.question,))
            return
    earlier.append(answer)
    st.rerun()


def _ask_again(question: str) -> None:
    st.session_state["again"] = question


def _question(answer: Answer) -> None:
    with st.chat_message("user"):
        st.text(answer.question)


def _about(client: Client, answer: Answer) -> None:
    """What belongs to an answer: the label, its sources, what the visitor thinks of it."""
    told = [LABEL, *([CHECK] if answer.sources else []), f"release {_literal(answer.release)}"]
    st.caption(" · ".join(told))
    if answer.supported is False and answer.sources:
        st.warning(UNSUPPORTED, icon=":material/help:")
    elif answer.supported is False:
        st.info(NOTHING_FOUND, icon=":material/search_off:")
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
            st.markdown(f"**{_literal(source.title)}**")
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


def _shown(pieces: Iterable[str]) -> Iterator[str]:
    """An answer's Markdown without formulas (by `$`) and without pictures; HTML Streamlit escapes.
    The sign that makes a link a picture may come in one piece and its bracket in the next."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "!" if text.endswith("!") else ""
        yield text.removesuffix(held).replace("$", "\\$").replace("![", "!\\[")
    if held:
        yield held


def _literal(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:])", r"\\\1", " ".join(text.split()))
