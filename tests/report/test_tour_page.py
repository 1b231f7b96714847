"""The tour's page: complete, self-contained, escaped, and true to the findings."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.experiments.tour.measure import BLIND, TourResults
from rnn2vec.report import tour_page as page
from rnn2vec.report.tour_page import render, write_tour_report

SECTIONS = [
    "Learning",
    "A map of what networks do",
    "Acting like the network",
    "What the encoder asked, and what the network answered",
    "How far this is scaled down",
    "How it was made",
]
LOADING = {
    "src",
    "srcset",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "ping",
    "manifest",
}


class Reader(HTMLParser):
    """A parser that collects headings, attributes that load something, texts of script elements, and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.loads: list[str] = []
        self.scripts: dict[str, list[str]] = {"application/json": [], "": []}
        self.styles: list[str] = []
        self.tags: list[str] = []
        self.policy = ""
        self._inside: tuple[str, str] = ("", "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name in LOADING]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        self._inside = (tag, values.get("type") or "")
        if tag == "script":
            self.scripts[self._inside[1]].append("")
        if tag in {"h1", "h2"}:
            self.headings.append("")

    def handle_endtag(self, _: str) -> None:
        self._inside = ("", "")

    def handle_data(self, data: str) -> None:
        tag, kind = self._inside
        if tag == "script":
            self.scripts[kind][-1] += data
        elif tag == "style":
            self.styles.append(data)
        elif tag in {"h1", "h2"}:
            self.headings[-1] += data


def _read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture(scope="module")
def html(tour_results: TourResults) -> str:
    return render(tour_results, command="rnn2vec tour --out <there>")


def test_it_has_every_section(html: str) -> None:
    headings = _read(html).headings
    assert headings[0] == "16 numbers that say what a recurrent network does"
    assert headings[1:] == SECTIONS


def test_it_loads_nothing(html: str) -> None:
    reader = _read(html)
    assert reader.loads == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(reader.tags)
    assert "default-src 'none'" in reader.policy
    assert not any("url(" in style or "@import" in style for style in reader.styles)


def test_it_stays_small(html: str) -> None:
    assert len(html.encode()) < 6_000_000


def test_plotly_is_there_once(html: str) -> None:
    assert sum("plotly.js v" in script for script in _read(html).scripts[""]) == 1


def test_every_figure_can_be_drawn(html: str) -> None:
    """Check two curves, five maps of two encoders, two scatter plots, and the themes, which are plotly templates."""
    *drawn, themes = [json.loads(text) for text in _read(html).scripts["application/json"]]
    assert len(drawn) == 2 + 2 * 5 + 2
    assert all(figure["data"] and "template" not in figure["layout"] for figure in drawn)
    assert themes.keys() == {"light", "dark"}


def test_dots_say_what_they_are(html: str, tour_results: TourResults) -> None:
    figure = json.loads(_read(html).scripts["application/json"][2])
    assert len(figure["data"][0]["hovertext"]) == len(tour_results.unseen)
    assert re.fullmatch(
        r"a<sup>n</sup> b<sup>n.*<br>\d+ updates, performance [01]\.\d\d<br>distance 0\.\d{3}",
        figure["data"][0]["hovertext"][0],
    )


def test_the_numbers_are_the_findings(html: str, tour_results: TourResults) -> None:
    everyone = tour_results.findings.all_snapshots
    figures = re.findall(r'<p class="figure">([\d.]+)</p>', html)
    assert figures == [
        f"{value:.3f}" for value in (everyone.floor, everyone.static.encoder, everyone.interactive.encoder)
    ]
    assert f"{everyone.interactive.ratio:.2f} \N{MULTIPLICATION SIGN} the floor" in html


def test_it_does_not_claim_what_was_not_found(html: str, tour_results: TourResults) -> None:
    """Check that the page admits that twenty updates are too few."""
    assert not tour_results.findings.all_snapshots.interactive.is_below_floor
    assert "This time it has not clearly worked" in html
    assert "It works" not in html


def test_the_dialogue_is_that_of_the_example(html: str, tour_results: TourResults) -> None:
    rows = re.findall(r'<tr class="(asked|answered)">(.*?)</tr>', html, flags=re.DOTALL)
    letters = [re.findall(r"<td[^>]*>(.)</td>", row) for _, row in rows]
    turns = tour_results.interactive.transcript.sequences[0]
    assert letters[0] == [turn.asked for turn in turns]
    assert letters[1] == [turn.answered for turn in turns]


def test_what_it_is_given_is_escaped(html: str) -> None:
    assert "rnn2vec tour --out &lt;there&gt;" in html
    assert "<there>" not in html


def test_configs_versions_and_times_are_there(html: str) -> None:
    for text in ("zoo 0, pre-training 0", "torch", "Config: interactive-probing", "time to build the zoo", "100,000"):
        assert text in html


def test_a_report_is_written_and_its_findings_returned(
    tiny_tour: Any, tour_results: TourResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "measure", lambda *_: tour_results)
    reports: list[tuple[float, float, str]] = []
    findings = write_tour_report(
        tmp_path / "report.html", tiny_tour.zoo, tiny_tour.runs, progress=lambda *report: reports.append(report)
    )
    assert findings is tour_results.findings
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert reports[-1] == (1, 1, "done")


def test_the_smallest_tour_has_a_page_too(tmp_path: Path, tiny_tour: Any) -> None:
    """Render a page with one unseen language, no task-blind run, and RNNs that all fail: no interval, no R squared."""
    from dataclasses import replace

    from rnn2vec.emulation.config import preset as pretrain_preset
    from rnn2vec.emulation.pretrain import pretrain
    from rnn2vec.zoo.build import build_zoo

    config = replace(tiny_tour.zoo.manifest.config, num_runs=2, num_steps=4, num_rollouts=5, num_episodes=5)
    zoo = build_zoo(config, tmp_path / "zoo")
    for encoder in (name for name in tiny_tour.runs if name != BLIND):
        short = replace(pretrain_preset("tiny", encoder), num_steps=1, validation_rollouts=2)
        pretrain(zoo, short, tmp_path / encoder)
    runs = {name: tmp_path / name for name in tiny_tour.runs if name != BLIND}
    findings = write_tour_report(tmp_path / "report.html", zoo, runs)

    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert _read(html).headings[1:] == SECTIONS
    assert "Task-blind emulator" not in html
    assert findings.all_snapshots.interactive.interval is None
    json.dumps(findings.to_dict(), allow_nan=False)
