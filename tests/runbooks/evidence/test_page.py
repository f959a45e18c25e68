"""The page a person reads: whole, alone, escaped, honest about gaps."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from llmops_runbooks.evidence import page

NASTY = '<script>alert("1.1.0")</script> & <b>bold</b>'


class Elements(HTMLParser):
    """Every element with its attributes; fails on tags that do not match."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def html(bad: dict[str, Any], good: dict[str, Any]) -> str:
    return page.render([bad, good], title="Rehearsal", summary={"requests_lost": 0})


def test_the_page_asks_no_host_for_anything(html: str) -> None:
    assert not re.search(r"https?://", html)
    assert not re.search(r"(?i)url\(|@import", html)
    for tag, attributes in Elements(html).found:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
        assert not {"src", "href", "xlink:href"} & set(attributes)


def test_every_element_is_closed_and_has_no_handler(html: str) -> None:
    for _, attributes in Elements(html).found:
        assert not [name for name in attributes if name.startswith("on")]


def test_the_verdict_comes_first(html: str) -> None:
    first = html.index("1.1.0-77b0c4de was rolled back by the gate")
    assert first < html.index("<svg")
    assert html.index("past the bound of 100") < html.index("<svg")
    assert "1.2.0-0ae5f913 was promoted by the gate" in html


def test_each_rollout_has_its_charts_and_every_verdict(html: str, bad: dict[str, Any]) -> None:
    assert html.count('<svg class="chart"') == 16
    one = page.render([bad], title="One")
    assert one.count('<tbody class="call">') == len(bad["verdicts"])
    assert one.count("bound 100</text>") == 1
    assert one.count("bound 20</text>") == 1


def test_calls_that_say_the_same_are_one_row_that_counts_them(bad: dict[str, Any]) -> None:
    bad["verdicts"][2:2] = [bad["verdicts"][1]] * 3
    html = page.render([bad], title="One")
    assert html.count('<tbody class="call">') == len(bad["verdicts"]) - 3
    assert "asked again ×4" in html


def test_text_from_outside_is_escaped(bad: dict[str, Any]) -> None:
    bad["canary"]["release"] = NASTY
    bad["reason"] = NASTY
    bad["events"] = [{"at": "2026-11-20T14:00:00+00:00", "step": NASTY, "text": NASTY}]
    bad["decision"] = {"decision": NASTY, "by": NASTY, "reason": NASTY, "at": None}
    bad["policy"] = {NASTY: NASTY}
    bad["alarms"]["triggered"] = [NASTY]
    bad["rollout"]["service"] = NASTY
    for metric in bad["verdict"]["metrics"]:
        metric["metric"] = NASTY
    html = page.render([bad], title=NASTY, summary={"failures": [NASTY]})
    assert "<script" not in html
    assert "<b>" not in html
    assert "script" not in {tag for tag, _ in Elements(html).found}


def test_a_rollout_without_any_data_is_still_a_page(bad: dict[str, Any]) -> None:
    bare = {
        **bad,
        "baseline": None,
        "canary": None,
        "outcome": "under way",
        "decided_by": None,
        "verdict": None,
        "policy": {},
        "weights": [],
        "served": [],
        "series": {"baseline": [], "canary": []},
        "verdicts": [],
        "events": [],
    }
    html = page.render([bare], title="Bare")
    Elements(html)
    assert "is under way" in html
    assert html.count("no data") >= 5
    assert "The gate was not asked." in html


def test_a_gap_in_a_series_breaks_the_line_and_is_not_drawn_as_zero(bad: dict[str, Any]) -> None:
    whole = page.render([bad], title="Whole").count('class="line baseline"')
    bad["series"]["baseline"][3]["quality"] = None
    assert page.render([bad], title="Gap").count('class="line baseline"') == whole + 1


def test_an_unread_metric_is_a_dash_and_not_a_zero(bad: dict[str, Any]) -> None:
    for metric in bad["verdict"]["metrics"]:
        metric["canary"] = {"n": 0, "value": None}
    assert '<td class="number">–</td>' in page.render([bad], title="Unread")


def test_extreme_evidence_stays_on_the_chart(bad: dict[str, Any]) -> None:
    bad["verdicts"][-1]["verdict"]["metrics"][0]["against"]["value"] = 1e300
    bad["verdicts"][-1]["verdict"]["metrics"][0]["for"]["value"] = 0.0
    html = page.render([bad], title="Extreme")
    assert "nan" not in html
    assert "1.0·10³⁰⁰" in html
