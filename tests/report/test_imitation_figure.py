"""The figure and the table of imitation: what is drawn and said."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from rnn2vec.experiments.imitation import Imitation
from rnn2vec.inspection.performance import PerformanceComparison
from rnn2vec.report.imitation_figure import draw_imitations, imitation_markdown


@pytest.fixture
def one() -> Imitation:
    """Four RNNs, one of which is imitated badly."""
    comparison = PerformanceComparison(np.array([0.0, 0.5, 1.0, 0.9]), np.array([0.0, 0.5, 1.0, 0.4]), 20)
    return Imitation("x", comparison, np.array([0, 100, 2000, 2000]), ((1.0,), (1.0,), (2.0,), (2.0,)), (0.1, 0.95))


def _texts(figure: Path) -> set[str]:
    return {"".join(node.itertext()) for node in ET.parse(figure).iter() if "text" in node.tag}


def test_a_panel_for_each_run_and_a_colour_for_each_step(one: Imitation, tmp_path: Path) -> None:
    draw_imitations({"first": one, "second": one}, tmp_path / "figure.svg")
    texts = _texts(tmp_path / "figure.svg")
    assert {"first", "second", "0", "100", "2,000", "performance of the RNN"} <= texts
    assert f"R² = {one.performance.r_squared:.3f}" in texts


def test_runs_of_a_study_are_titled_by_what_sets_them_apart(one: Imitation, tmp_path: Path) -> None:
    runs = {f"pretrain.{name}.default.seed-0": one for name in ("dwsnet", "interactive-probing")}
    draw_imitations(runs, tmp_path / "figure.svg")
    texts = _texts(tmp_path / "figure.svg")
    assert {"dwsnet", "interactive-probing"} <= texts


def test_a_single_run_has_its_whole_name(one: Imitation, tmp_path: Path) -> None:
    draw_imitations({"pretrain.dwsnet.default": one}, tmp_path / "figure.svg")
    texts = _texts(tmp_path / "figure.svg")
    assert "pretrain dwsnet default" in texts


def test_the_same_results_give_the_same_file(one: Imitation, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_imitations({"first": one}, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_table(one: Imitation) -> None:
    text = imitation_markdown({"unseen tasks": {"first": one}})
    assert text.startswith("**unseen tasks**, 4 RNNs, 20 episodes each\n")
    assert "| first | 0.597 | 0.100 .. 0.950 | 0.125 | 0.250 | 0.600 | 0.475 |" in text
