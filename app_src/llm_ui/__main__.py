"""`llm-ui`: serves the page on a loopback address, or where HOST says.

    HOST, PORT    where to listen    127.0.0.1, 8501
    UI_TITLE      what it is called  Handbook

and the variables of `llm_ui.service` and `llm_ui.token`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "page.py"


def main() -> int:
    """Becomes Streamlit's own process; returns 2 where Streamlit is not installed."""
    try:
        import streamlit as _  # noqa: F401
    except ModuleNotFoundError:
        print("The page needs Streamlit: install llm-service[ui].", file=sys.stderr)
        return 2
    os.execv(sys.executable, command(os.environ.get("HOST"), os.environ.get("PORT")))  # noqa: S606
    return 0


def command(host: str | None, port: str | None) -> list[str]:
    """Streamlit without its first-run question, its usage statistics and its file watcher."""
    options = {
        "server.address": host or "127.0.0.1",
        "server.port": port or "8501",
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(PAGE), *flags]


if __name__ == "__main__":
    sys.exit(main())
