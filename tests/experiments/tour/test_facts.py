"""Facts about a tour: times over interruptions, and the scale compared with the paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnn2vec.experiments.tour import facts
from rnn2vec.experiments.tour.measure import TourResults


def test_the_shards_of_a_zoo_add_up(tmp_path: Path) -> None:
    log = tmp_path / "build.jsonl"
    log.write_text("".join(json.dumps({"seconds": value}) + "\n" for value in (3, 4)))
    assert facts._zoo_seconds(log) == 7


def test_no_log_means_an_unknown_time(tmp_path: Path) -> None:
    assert facts._minutes(facts._zoo_seconds(tmp_path / "build.jsonl")) == "unknown"


@pytest.mark.parametrize(("seconds", "text"), [(61.2, "61 s"), (150, "2.5 min")])
def test_times_are_readable(seconds: float, text: str) -> None:
    assert facts._minutes(seconds) == text


def test_the_scale_is_compared_with_the_paper(tour_results: TourResults) -> None:
    rows = {name: (here, paper) for name, here, paper in facts.paper_comparison(tour_results)}
    assert rows["RNNs trained"] == ("16", "1,000")
    assert rows["updates of each"] == ("100", "20,000")
    assert rows["updates in pre-training"] == ("20", "100,000")
    assert rows["loss of interactive-probing, unseen languages"][1] == "0.015"


def test_details_name_command_and_every_config(tour_results: TourResults) -> None:
    details = facts.details(tour_results, "rnn2vec tour --seed 3")
    rows = dict(details.rows)
    assert rows["made by"] == "rnn2vec tour --seed 3"
    assert rows["processor"]
    assert [title for title, _ in details.configs] == [
        "zoo",
        "interactive-probing",
        "noninteractive-probing",
        "task-blind",
    ]
    assert json.loads(details.configs[1][1])["num_steps"] == 20
