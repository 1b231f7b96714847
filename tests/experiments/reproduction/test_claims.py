"""Verdicts follow from the number of seeds and from intervals, never from averages alone."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest

from rnn2vec.experiments import paper
from rnn2vec.experiments.reproduction.claims import CLAIMS, INTERACTIVE, STATIC, Claim

SPREAD = (-0.001, 0.0, 0.001, 0.0005, -0.0005)


def _claim(text: str) -> Claim:
    return next(claim for claim in CLAIMS if claim.text.startswith(text))


def _losses(means: Mapping[str, float], seeds: int, family: str = "tiled-mnist") -> dict[str, pa.Table]:
    rows = [
        {"family": family, "encoder": name, "variant": "default", "seed": seed, "total_variation": mean + SPREAD[seed]}
        for name, mean in means.items()
        for seed in range(seeds)
    ]
    return {"losses": pa.Table.from_pylist(rows)}


@pytest.mark.parametrize(
    ("probing", "seeds", "verdict"),
    [
        (0.02, 1, "not tested"),
        (0.02, 2, "not tested"),
        (0.02, 3, "reproduced"),
        (0.02, 5, "reproduced"),
        (0.0401, 5, "differs"),
        (0.06, 5, "not reproduced"),
    ],
)
def test_an_order_takes_three_seeds_and_intervals_that_do_not_overlap(probing: float, seeds: int, verdict: str) -> None:
    means = dict.fromkeys(paper.ENCODERS, 0.04) | {INTERACTIVE: probing, STATIC: probing}
    finding = _claim("On tiled MNIST both probing encoders").finding(_losses(means, seeds))
    assert finding.verdict == verdict
    assert (f"{seeds} of the 3 seeds" in finding.note) == (verdict == "not tested")


@pytest.mark.parametrize(
    ("r", "interval", "verdict"),
    [
        (0.97, (0.9, 0.99), "reproduced"),
        (0.6, (0.3, 0.8), "differs"),
        (-0.1, (-0.5, 0.4), "not reproduced"),
        (0.1, (-0.8, 0.995), "not tested"),
    ],
)
def test_a_correlation_with_too_wide_an_interval_settles_nothing(
    r: float, interval: tuple[float, float], verdict: str
) -> None:
    row = {"family": "formal-languages", "property": "task", "part": "ood"}
    row |= {"r": r, "low": interval[0], "high": interval[1]}
    table = pa.Table.from_pylist([row])
    claim = _claim("The losses of pre-training and of predicting the task of OOD")
    assert claim.finding({"correlations": table}).verdict == verdict


def test_without_data_nothing_is_tested() -> None:
    assert {claim.finding({}).verdict for claim in CLAIMS} == {"not tested"}
