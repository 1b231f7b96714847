"""Property prediction in a study: the scores of each encoder's representations (Section 6.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnn2vec.experiments.statistics import Comparison, Correlation, Estimate, correlation, estimate, paired
from rnn2vec.experiments.study.config import BASELINE, DOWNSTREAM
from rnn2vec.experiments.study.expand import StudyPiece
from rnn2vec.experiments.study.rows import Row

PARTS = ("validation", "ood")
"""Parts of the zoo on which predictions are scored: unseen tasks, which also decided when to stop, and the OOD test."""


@dataclass(frozen=True)
class Prediction:
    """Scores of predicting one property from one encoder's representations, over the seeds."""

    property_name: str
    """Name of the property."""
    setting: str
    """`frozen`, `supervised`, or `baseline`."""
    encoder: str
    """The encoder's name, or the baseline's."""
    variant: str
    """Name of the variant of its training."""
    metrics: dict[str, Estimate]
    """Estimates over the seeds, by `PART/METRIC` and `PART/last/METRIC`, such as `ood/loss`."""
    comparisons: dict[str, Comparison]
    """Comparisons of its losses with those of the first prediction of the same property and setting, by part; empty for
    that one and for baselines."""

    @property
    def name(self) -> str:
        """Encoder, setting, and the variant unless it is the default."""
        return ", ".join([self.encoder, self.setting] + ([self.variant] if self.variant != "default" else []))


@dataclass(frozen=True)
class LossCorrelation:
    """Correlation of pre-training and prediction losses over encoders, variants and seeds (Table 11)."""

    property_name: str
    """Property that is predicted, in the frozen setting."""
    part: str
    """`validation` or `ood`."""
    correlation: Correlation
    """Correlation of the pre-training loss with the prediction's loss."""


def predictions_of(pieces: Sequence[StudyPiece], rows: Mapping[str, Row]) -> tuple[Prediction, ...]:
    """Collect every prediction that has a row, property by property, in the study's order; baselines last.

    Args:
        pieces: of the study.
        rows: by piece.
    """
    done = [rows[piece.name] for piece in pieces if piece.property_name is not None and piece.name in rows]
    found: list[Prediction] = []
    for name in dict.fromkeys(row.property_name for row in done):
        own = [row for row in done if row.property_name == name]
        for setting in DOWNSTREAM:
            found += _of_setting([row for row in own if row.setting == setting])
        found += _baselines(own)
    return tuple(found)


def _of_setting(rows: Sequence[Row]) -> Iterator[Prediction]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.encoder, row.variant), []).append(row)
    first = next(iter(groups.values()), [])
    for group in groups.values():
        compared = {part: paired(_losses(group, part), _losses(first, part)) for part in PARTS if group is not first}
        yield Prediction(
            property_name=str(group[0].property_name),
            setting=group[0].setting,
            encoder=group[0].encoder,
            variant=group[0].variant,
            metrics=_estimates([row.best for row in group]),
            comparisons={part: one for part, one in compared.items() if one is not None},
        )


def _losses(rows: Iterable[Row], part: str) -> dict[tuple[str, int], float]:
    return {row.pair: row.best[f"{part}/loss"] for row in rows if f"{part}/loss" in row.best}


def _baselines(rows: Sequence[Row]) -> Iterator[Prediction]:
    """Collect the baselines, one row per seed; a linear predictor on a representation is listed under its encoder."""
    by_name: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    for row in rows:
        for name, metrics in row.baselines.items():
            own = name.endswith("on representation")
            key = (f"{name} of {row.encoder}", row.variant) if own else (name, "default")
            by_name.setdefault(key, {})[row.seed] = metrics
    for (name, variant), by_seed in by_name.items():
        yield Prediction(
            property_name=str(rows[0].property_name),
            setting=BASELINE,
            encoder=name,
            variant=variant,
            metrics=_estimates(list(by_seed.values())),
            comparisons={},
        )


def _estimates(by_seed: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    """Estimate every metric that all seeds have."""
    shared = [name for name in by_seed[0] if name != "step" and all(name in one for one in by_seed)]
    return {name: estimate([one[name] for one in by_seed]) for name in shared}


def loss_correlations(
    pieces: Sequence[StudyPiece], rows: Mapping[str, Row], metric: str
) -> tuple[LossCorrelation, ...]:
    """Compute Table 11 of the paper: a correlation for each property and part, over all frozen predictions.

    Predictions whose pre-training has no row are left out.

    Args:
        pieces: of the study.
        rows: by piece.
        metric: distance that measures the quality of a pre-training.
    """
    frozen = [piece for piece in pieces if piece.setting == "frozen" and {piece.name, piece.pretraining} <= rows.keys()]
    found: list[LossCorrelation] = []
    for name in dict.fromkeys(str(piece.property_name) for piece in frozen):
        own = [piece for piece in frozen if piece.property_name == name]
        for part in PARTS:
            scored = [piece for piece in own if f"{part}/loss" in rows[piece.name].best]
            before = [rows[piece.pretraining].best[f"validation/{metric}"] for piece in scored]
            after = [rows[piece.name].best[f"{part}/loss"] for piece in scored]
            pearson = correlation(before, after)
            if pearson is not None:
                found.append(LossCorrelation(name, part, pearson))
    return tuple(found)


def to_json(predictions: Iterable[Prediction], correlations: Iterable[LossCorrelation]) -> dict[str, Any]:
    """Return predictions and correlations as JSON-ready values."""
    return {
        "predictions": [dataclasses.asdict(one) for one in predictions],
        "correlations": [dataclasses.asdict(one) for one in correlations],
    }
