"""The page a person reads: whole, alone, escaped, honest about gaps, told without a script too."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from llmops_runbooks.evidence import page
from llmops_runbooks.evidence.golden import marked

NASTY = '</script><script>alert("1.1.0")</script> & <b>bold</b>'


class Elements(HTMLParser):
    """Every element with its attributes and text; fails on tags that do not match."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def data_of(html: str) -> list[dict[str, Any]]:
    """What the script is given, per rollout."""
    pattern = r'<script type="application/json" class="data">(.*?)</script>'
    return [json.loads(text) for text in re.findall(pattern, html)]


def without_scripts(html: str) -> str:
    return re.sub(r"(?s)<script.*?</script>|<style.*?</style>", "", html)


@pytest.fixture
def html(bad: dict[str, Any], good: dict[str, Any]) -> str:
    return page.render([bad, good], title="Rehearsal", summary={"requests_lost": 0})


def test_the_page_asks_no_host_for_anything(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "xlink:href", "action", "srcset"} & set(attributes)
        assert str(attributes.get("href", "#")).startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"(?i)url\(|@import", style)


def test_the_policy_lets_nothing_run_but_the_pages_own_scripts(html: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    scripts = re.findall(r"(?s)<script>(.*?)</script>", html)
    for script in scripts:
        digest = b64encode(sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_script_is_there_once_however_many_rollouts(html: str, bad: dict[str, Any]) -> None:
    assert html.count("// @observablehq/plot") == html.count("// https://d3js.org") == 1
    more = len(page.render([bad] * 5, title="Five")) - len(page.render([bad], title="One"))
    assert more / 4 < 100_000


def test_every_element_is_closed_and_has_no_handler(html: str) -> None:
    for _, attributes in Elements(html).found:
        assert not [name for name in attributes if name.startswith("on")]


def test_the_verdict_comes_first_and_the_parts_in_their_order(bad: dict[str, Any]) -> None:
    html = without_scripts(page.render([bad], title="One"))
    parts = [
        "was rolled back by the gate",
        "Start to decision",
        "Golden set on the test listener",
        "Traffic to the canary",
        "The metrics that decide",
        "Watched, without a say",
        "Evidence that it is worse",
        "What happened",
        "Guards that fired",
        "The last verdict",
        "What other rules would have decided",
        "Scoring live answers cost",
        "Policy in effect",
        "llmops judge replay",
    ]
    places = [html.index(part) for part in parts]
    assert places == sorted(places)


def test_a_reader_without_scripts_gets_the_sentence_and_every_table(bad: dict[str, Any]) -> None:
    html = without_scripts(page.render([bad], title="One"))
    text = " ".join("".join(part) for part in Elements(html).texts["h2"])
    assert text == bad["sentence"]
    for metric in bad["verdict"]["metrics"]:
        assert metric["metric"].replace("_", " ") in html
    for peer in bad["peers"]:
        assert peer["peer"] in html
    assert html.count('class="number-') == len(bad["events"])


def test_gating_metrics_are_drawn_first_and_watched_ones_folded(bad: dict[str, Any]) -> None:
    html = page.render([bad], title="One")
    (data,) = data_of(html)
    drawn = [key for key in data["charts"] if key.startswith("arms-")]
    gating = [
        metric["metric"] for metric in bad["verdict"]["metrics"] if metric["mode"] == "rollback"
    ]
    assert drawn[: len(gating)] == [f"arms-{name}" for name in gating]
    folded = html[html.index("<details") : html.index("</details>")]
    assert [f'data-chart="{name}"' in folded for name in drawn] == [
        name.removeprefix("arms-") not in gating for name in drawn
    ]


def test_every_place_for_a_chart_has_its_data(html: str) -> None:
    places = re.findall(r'data-chart="([^"]+)"', html)
    assert places == [name for each in data_of(html) for name in each["charts"]]


def test_each_minute_has_both_arms_with_their_intervals(bad: dict[str, Any]) -> None:
    (data,) = data_of(page.render([bad], title="One"))
    points = data["charts"]["arms-latency"]["points"]
    assert len(points) == 2 * len(bad["intervals"])
    assert all(point["lo"] <= point["v"] <= point["hi"] for point in points)


def test_a_minute_without_outcomes_is_a_gap_and_not_a_zero(bad: dict[str, Any]) -> None:
    del bad["intervals"][3]["canary"]["counts"]["quality"]
    (data,) = data_of(page.render([bad], title="Gap"))
    canary = [p for p in data["charts"]["arms-quality"]["points"] if p["arm"] == "canary"]
    assert [p["v"] for p in canary].count(None) == 1
    assert canary[3]["v"] is None


def test_the_evidence_of_the_family_and_of_every_metric_is_drawn(bad: dict[str, Any]) -> None:
    (data,) = data_of(page.render([bad], title="One"))
    names = [line["name"] for line in data["charts"]["against"]["lines"]]
    metrics = {metric["metric"] for metric in bad["verdict"]["metrics"]}
    assert names[0] == "family"
    assert set(names[1:]) == {line["name"] for line in data["charts"]["for"]["lines"]} == metrics
    assert (data["charts"]["against"]["bound"], data["charts"]["for"]["bound"]) == (100, 20)


def test_both_answers_of_a_flip_stand_side_by_side_with_their_words_marked(
    bad: dict[str, Any],
) -> None:
    html = page.render([bad], title="One")
    assert "The head roaster is <mark>Ines Kavanagh.</mark>" in html
    assert "The head roaster is <mark>Maren Oldcastle.</mark>" in html
    assert "an empty answer" in html
    assert html.index("got worse") < html.index("got better")


def test_equal_words_are_not_marked() -> None:
    assert marked("a b c", "a x c") == ("a <mark>b</mark> c", "a <mark>x</mark> c")
    assert marked("same", "same") == ("same", "same")
    assert marked("<i>", "") == ("<mark>&lt;i&gt;</mark>", "")


def test_text_from_outside_is_escaped(bad: dict[str, Any]) -> None:
    for flip in bad["golden"]["flips"]:
        flip |= {"question": NASTY, "expected": NASTY, "id": NASTY}
        flip["canary"]["answer"] = flip["baseline"]["answer"] = NASTY
    bad["canary"]["release"] = bad["sentence"] = bad["service"] = bad["golden"]["reason"] = NASTY
    bad["events"] = [{"at": "2026-11-20T14:00:00+00:00", "kind": NASTY, "by": NASTY, "text": NASTY}]
    bad["policy"]["inconclusive"] = NASTY
    for metric in bad["verdict"]["metrics"]:
        metric |= {"metric": NASTY, "unit": NASTY, "mode": NASTY}
    for call in bad["calls"]:
        for metric in (call["verdict"] or {"metrics": []})["metrics"]:
            metric["metric"] = NASTY
    for peer in bad["peers"]:
        peer |= {"reason": NASTY, "rule": NASTY, "peer": NASTY}
    html = page.render([bad], title=NASTY, summary={"failures": [NASTY]})
    assert sum(tag == "script" for tag, _ in Elements(html).found) == 4
    assert "<b>bold" not in html and "<script>alert" not in html
    assert NASTY not in html


def test_a_rollout_without_any_data_is_still_a_page(bad: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {
        "golden": None,
        "spend": None,
        "verdict": None,
        "decision": None,
        "baseline": None,
        "canary": None,
        "weight": None,
        "policy": {},
        "decided_by": None,
        "outcome": "waiting",
        "sentence": "D1 is under way.",
    }
    lists = ("weights", "served", "calls", "intervals", "events", "peers")
    empty: dict[str, Any] = {key: [] for key in lists}
    about = {**bad["deployment"], "started": None, "finished": None, "canary_percent": None}
    html = page.render([{**bad, **nothing, **empty, "deployment": about}], title="Bare")
    Elements(html)
    assert "D1 is under way." in html
    assert "The judge gave no verdict." in html
    assert "No minute was judged" in html
    assert data_of(html)[0]["charts"] == {}


def test_a_rollout_that_failed_the_golden_set_shows_the_questions(wrong: dict[str, Any]) -> None:
    html = without_scripts(page.render([wrong], title="Wrong"))
    assert "93 of 120 passed (baseline 117 of 120)" in html
    assert "The judge gave no verdict." in html


def test_a_metric_without_data_is_a_dash_and_not_a_zero(bad: dict[str, Any]) -> None:
    for metric in bad["verdict"]["metrics"]:
        metric["canary"] = {"n": 0, "value": None, "low": None, "high": None}
    assert '<span class="figure">–</span>' in page.render([bad], title="Unread")


def test_extreme_evidence_is_written_shortly(bad: dict[str, Any]) -> None:
    last = bad["verdict"]["metrics"][0]
    last["against"]["value"], last["for"]["value"] = 1e300, 0.0
    html = without_scripts(page.render([bad], title="Extreme"))
    assert "1.0·10³⁰⁰ of 100" in html
    assert "nan" not in html.lower()


def test_a_held_rollout_says_that_it_waits_for_a_person(held: dict[str, Any]) -> None:
    html = without_scripts(page.render([held], title="Held"))
    assert "waiting for a person" in html
    assert "share served" in html


def test_several_rollouts_begin_with_a_table_of_them(html: str) -> None:
    top = html[: html.index("<article")]
    assert top.count("<tr>") == 3
    assert 'href="#rollout-1"' in top and 'id="rollout-1"' in html
