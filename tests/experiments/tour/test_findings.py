"""Findings of a tour as text and as JSON."""

from __future__ import annotations

import json

import pytest

from rnn2vec.experiments.floor_comparison import FloorComparison
from rnn2vec.experiments.tour.measure import Headline, TourFindings


def _headline(floor: float, static: float, interactive: float, interval: tuple[float, float] | None) -> Headline:
    def beside(value: float) -> FloorComparison:
        return FloorComparison(value, floor, "task-blind", value / floor, interval, num_rnns=310, num_groups=31)

    return Headline(static=beside(static), interactive=beside(interactive))


@pytest.fixture
def findings() -> TourFindings:
    return TourFindings(
        all_snapshots=_headline(0.06, 0.05, 0.03, (0.4, 0.6)),
        last_snapshots=_headline(0.08, 0.04, 0.02, None),
        static_r_squared=None,
        interactive_r_squared=0.75,
    )


def test_the_text_has_the_three_numbers_twice(findings: TourFindings) -> None:
    assert str(findings).splitlines() == [
        "total variation on 31 unseen languages (0 is a perfect emulation)",
        "                      all snapshots                     last snapshots",
        "task-blind floor      0.060                             0.080",
        "static probing        0.050 = 0.83 x floor (0.40..0.60) 0.040 = 0.50 x floor",
        "interactive probing   0.030 = 0.50 x floor (0.40..0.60) 0.020 = 0.25 x floor",
    ]


def test_the_json_has_everything(findings: TourFindings) -> None:
    content = json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    everyone = content["all_snapshots"]
    assert (everyone["floor"], everyone["floor_name"], everyone["num_languages"]) == (0.06, "task-blind", 31)
    assert everyone["interactive"] == {
        "total_variation": 0.03,
        "ratio_to_floor": 0.5,
        "interval": [0.4, 0.6],
        "below_floor": True,
    }
    assert content["last_snapshots"]["static"]["interval"] is None
    assert content["performance_r_squared"] == {"static": None, "interactive": 0.75}
