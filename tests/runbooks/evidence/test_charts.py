"""The charts as a browser draws them: all of them, and no label over another."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.evidence import page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

WATCH = """
<script>addEventListener("error", (e) => { document.documentElement.dataset.error = e.message; });
addEventListener("securitypolicyviolation", (e) => {
  document.documentElement.dataset.error = e.violatedDirective + " " + e.blockedURI; });</script>
"""
REPORT = """
<script>addEventListener("load", () => setTimeout(() => {
  const found = [];
  for (const svg of document.querySelectorAll(".chart svg")) {
    const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
    const boxes = texts.flatMap((t) => t.children.length ? [...t.children] : [t])
      .map((t) => [t.textContent, t.getBoundingClientRect()]).filter(([, box]) => box.width > 0);
    boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 3) found.push([one, other]);
    }));
  }
  const places = [...document.querySelectorAll("[data-chart]")];
  const paths = [...document.querySelectorAll(".chart svg [d]")];
  document.documentElement.dataset.report = JSON.stringify({
    overlaps: found,
    undrawn: places.filter((place) => !place.querySelector("svg")).length,
    drawn: document.querySelectorAll(".chart svg").length,
    wide: document.documentElement.scrollWidth > innerWidth,
    broken: paths.filter((path) => path.getAttribute("d").includes("NaN")).length,
  });
}, 300));</script>
"""


def browse(html: str, folder: Path, width: int) -> dict[str, Any]:
    """What a browser makes of the page at a width; the page's own policy stays in force."""
    file = folder / "page.html"
    file.write_text(html, "utf-8")
    command = [
        str(BROWSER),
        *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"),
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},2000",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = re.search(r'<html[^>]* data-report="([^"]*)"', done.stdout)
    error = re.search(r'<html[^>]* data-error="([^"]*)"', done.stdout)
    assert error is None, error and error[1]
    assert said, done.stdout[:500]
    found: dict[str, Any] = json.loads(unescape(said[1]))
    return found


def watched(html: str) -> str:
    """The page with a script beside its own that reports what was drawn."""
    free = re.sub(r"script-src [^;]*;", "script-src 'unsafe-inline';", html, count=1)
    return free.replace("<style>", WATCH + "<style>", 1).replace("</body>", REPORT + "</body>")


@pytest.mark.parametrize("width", [500, 1200])
@pytest.mark.parametrize("name", ["bad", "good", "held", "wrong"])
def test_every_chart_is_drawn_and_no_label_lies_over_another(
    name: str, width: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    evidence = request.getfixturevalue(name)
    found = browse(watched(page.render([evidence], title=name)), tmp_path, width)
    assert found["drawn"] > 0
    assert (found["undrawn"], found["overlaps"], found["broken"]) == (0, [], 0)
    assert not found["wide"]


def test_labels_keep_apart_when_evidence_ends_at_its_bound(
    bad: dict[str, Any], tmp_path: Path
) -> None:
    for call in bad["calls"]:
        for metric in (call["verdict"] or {"metrics": []})["metrics"]:
            metric["against"]["value"] = metric["against"]["bound"]
    found = browse(watched(page.render([bad], title="At the bound")), tmp_path, 500)
    assert found["overlaps"] == []


def test_extreme_evidence_stays_on_the_chart(bad: dict[str, Any], tmp_path: Path) -> None:
    last = bad["calls"][-1]["verdict"]
    last["metrics"][0]["against"]["value"] = 1e300
    last["family"]["value"] = 0.0
    found = browse(watched(page.render([bad], title="Extreme")), tmp_path, 1200)
    assert (found["undrawn"], found["overlaps"], found["broken"]) == (0, [], 0)


def test_the_pages_own_policy_lets_its_charts_be_drawn(bad: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page.render([bad], title="As it is"), "utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=4000", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.count("<svg") >= done.stdout.count("data-chart=")
