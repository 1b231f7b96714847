"""Measurements of the tour agree with those of training, and errors name broken or missing runs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.experiments.tour.measure import BLIND, CLOSED_FORM, INTERACTIVE, STATIC, TourResults, measure
from rnn2vec.zoo.store import Zoo


def test_distances_are_those_of_the_best_validation(tour_results: TourResults) -> None:
    """Measure the loaded models, which training measured on the same rollouts."""
    for probing in (tour_results.interactive, tour_results.static):
        best = min(line["validation/total-variation"] for line in probing.run.metrics)
        assert probing.distances.mean() == pytest.approx(best, rel=1e-5)
    assert tour_results.blind is not None
    best = min(line["validation/total-variation"] for line in tour_results.blind.metrics)
    assert tour_results.floors[BLIND].mean() == pytest.approx(best, rel=1e-5)


def test_every_unseen_rnn_is_there(tour_results: TourResults) -> None:
    count = len(tour_results.zoo.split("validation"))
    assert count > 0
    for probing in (tour_results.interactive, tour_results.static):
        assert len(probing.distances) == len(probing.performance.rnn) == count
        assert probing.representations.shape == (count, 16)
        assert probing.projection.coordinates.shape == (count, 2)
    assert tour_results.findings.all_snapshots.interactive.num_rnns == count
    assert tour_results.findings.last_snapshots.interactive.num_rnns == tour_results.is_last.sum()


def test_the_floor_is_the_lower_of_both(tour_results: TourResults) -> None:
    means = {name: floor.mean() for name, floor in tour_results.floors.items()}
    assert means.keys() == {CLOSED_FORM, BLIND}
    assert tour_results.findings.all_snapshots.floor == pytest.approx(min(means.values()))


def test_the_example_is_the_best_of_the_last_snapshots(tour_results: TourResults) -> None:
    example = tour_results.example
    assert tour_results.is_last[example.number]
    assert example.performance == tour_results.performance[tour_results.is_last].max()
    assert len(example.strings) == len(tour_results.interactive.strings) == 6


def test_the_strings_are_judged_one_by_one(tour_results: TourResults) -> None:
    language = tour_results.zoo.family.language(tour_results.unseen.tasks[tour_results.example.number])  # type: ignore[attr-defined]
    for text, success in tour_results.example.strings + tour_results.interactive.strings:
        assert success is (text.endswith(".") and language.accepts(text.removesuffix(".")))


def test_performance_agrees_with_the_zoo(tour_results: TourResults) -> None:
    """Compare performances over different episodes of the same RNNs, which agree up to sampling error."""
    assert np.abs(tour_results.interactive.performance.rnn - tour_results.performance).max() < 0.3
    assert tour_results.interactive.performance.rnn.tolist() == tour_results.static.performance.rnn.tolist()


def test_without_the_task_blind_run_the_closed_form_stands_alone(tiny_tour: Any) -> None:
    runs = {name: folder for name, folder in tiny_tour.runs.items() if name != BLIND}
    measured = measure(tiny_tour.zoo, runs)
    assert measured.blind is None
    assert measured.findings.all_snapshots.interactive.floor_name == CLOSED_FORM


@pytest.mark.parametrize("missing", [INTERACTIVE, STATIC])
def test_a_missing_run_is_named(missing: str, tiny_tour: Any) -> None:
    runs = {name: folder for name, folder in tiny_tour.runs.items() if name != missing}
    with pytest.raises(UsageError, match=f"no run of {missing}"):
        measure(tiny_tour.zoo, runs)


def test_a_run_of_another_encoder_is_named(tiny_tour: Any) -> None:
    with pytest.raises(UsageError, match=f"{STATIC} is not a run of {INTERACTIVE}"):
        measure(tiny_tour.zoo, {**tiny_tour.runs, INTERACTIVE: tiny_tour.runs[STATIC]})


def test_a_run_on_another_zoo_is_named(tiny_tour: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_tour.zoo.folder, tmp_path / "zoo")
    other = dataclasses.replace(tiny_tour.zoo.manifest, ood_rule="another")
    with pytest.raises(UsageError, match="was pre-trained on a zoo other than"):
        measure(Zoo(tmp_path / "zoo", other), tiny_tour.runs)
