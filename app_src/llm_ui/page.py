"""The script that Streamlit runs for every visitor: two tabs."""

from __future__ import annotations

import os

import streamlit as st

from llm_ui import ask, evaluate
from llm_ui.service import Client


@st.cache_resource
def _client() -> Client:
    return Client.from_environ()


def main() -> None:
    """The whole page."""
    title = os.environ.get("UI_TITLE", "Handbook")
    st.set_page_config(page_title=title, page_icon=":material/menu_book:", layout="centered")
    st.title(title, anchor=False)
    asking, evaluating = st.tabs(["Ask", "Evaluate"])
    with evaluating:
        evaluate.show(_client())
    with asking:
        ask.show(_client())


main()
