"""The summary of a study's rows: losses of each way of training, escape from the plateau, and comparisons."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnn2vec._errors import UsageError
from rnn2vec.experiments import paper
from rnn2vec.experiments.floor_comparison import CLEARLY_BELOW, compare_with_floor
from rnn2vec.experiments.statistics import Comparison, Estimate, estimate, paired
from rnn2vec.experiments.study import downstream
from rnn2vec.experiments.study.config import PRETRAIN, Study
from rnn2vec.experiments.study.downstream import LossCorrelation, Prediction, loss_correlations, predictions_of
from rnn2vec.experiments.study.expand import BOUNDS, FLOOR, pieces_of, points_of
from rnn2vec.experiments.study.files import read_study_of
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, read_rows

_FEWEST_TASKS = 8
"""Smallest number of unseen tasks on which a training can be clearly below the floor."""


@dataclass(frozen=True)
class Floor:
    """The lower of two losses that are reached without looking at the RNNs."""

    metric: str
    """Name of the distance."""
    closed_form: float | None
    """Distance of the best task-blind prediction; None if the family has none in closed form."""
    trained: float | None
    """Lowest distance of an emulator that was trained without seeing RNNs."""
    by_task: dict[tuple[float, ...], float]
    """Distance of the lower one for each unseen task."""

    @property
    def value(self) -> float | None:
        """The floor; None if neither was measured."""
        return min((one for one in (self.closed_form, self.trained) if one is not None), default=None)

    @property
    def plateau(self) -> float | None:
        """Loss below which a training has left the plateau: 10 % below the floor."""
        return None if self.value is None else CLEARLY_BELOW * self.value


@dataclass(frozen=True)
class Group:
    """A way of training one encoder, over its seeds."""

    encoder: str
    """Name of the encoder."""
    variant: str
    """Name of the variant."""
    rows: tuple[Row, ...]
    """Rows of the finished seeds."""
    loss: Estimate
    """Distance of the kept model's emulations to RNNs of unseen tasks."""
    last: Estimate
    """Distance on last snapshots only."""
    left_at: dict[int, int | None]
    """Step at which each seed's validation left the plateau; None for never, or without a floor."""
    clearly_below: dict[int, bool]
    """True for each seed whose kept model is 10 % below the floor, by a bootstrap over the unseen tasks."""
    in_papers_measure: Estimate | None
    """Loss as reverse KL divided by the number of outputs; None for continuous outputs."""

    @property
    def name(self) -> str:
        """Encoder and variant."""
        return f"{self.encoder}, {self.variant}"


@dataclass(frozen=True)
class SweepCurve:
    """The loss of one encoder as a function of one number."""

    sweep: str
    """Name of the sweep."""
    over: str
    """Name of the number that is varied."""
    encoder: str
    """Name of the encoder."""
    estimates: dict[float, Estimate]
    """Distance at each value."""


@dataclass(frozen=True)
class Summary:
    """All results of a study so far."""

    study: Study
    """Definition of the study."""
    metric: str
    """Distance that is shown: total variation, or the loss if outputs are continuous."""
    num_outputs: int
    """Number of outputs of the RNNs, by which the paper's measure is divided."""
    floor: Floor
    """The task-blind floor."""
    floor_in_papers_measure: float | None
    """The floor as reverse KL divided by the number of outputs."""
    ceiling: float | None
    """Distance of an emulator that receives tasks and steps; None if it was not trained."""
    ceiling_in_papers_measure: float | None
    """The ceiling as reverse KL divided by the number of outputs."""
    groups: tuple[Group, ...]
    """Groups in the study's order, without those of sweeps."""
    comparisons: dict[str, Comparison]
    """Comparison of each group with the first, by the group's name."""
    sweeps: tuple[SweepCurve, ...]
    """The sweeps."""
    predictions: tuple[Prediction, ...]
    """Scores of property predictions."""
    correlations: tuple[LossCorrelation, ...]
    """Correlations of pre-training and prediction losses."""
    rows: dict[str, Row]
    """All rows, by piece."""
    missing: tuple[str, ...]
    """Pieces without a row."""


def summarize(folder: str | Path) -> Summary:
    """Summarize the finished pieces of a study.

    Args:
        folder: folder of the study; only its rows and `study.json` are needed.

    Raises:
        UsageError: if the folder holds no study, or no row yet.
        DataError: if a file is damaged.
    """
    folder = Path(folder)
    study = read_study_of(folder)
    rows = read_rows(folder)
    pieces = pieces_of(study)
    done = [rows[piece.name] for piece in pieces if piece.setting == PRETRAIN and piece.name in rows]
    if not rows:
        raise UsageError(f"{folder} has no finished piece yet", remedy="rerun `rnn2vec study run` to continue.")
    metric = _metric(done[0]) if done else "total-variation"
    floor = _floor(metric, rows.values())
    outputs = study.zoo.task_family.output_size
    ceiling = [row for row in done if row.variant == "ceiling"]
    swept = {point.piece.name for seed in study.seeds for point in points_of(study, seed)}
    shown = [
        row for row in done if row.variant not in BOUNDS and (row.piece not in swept or row.variant in _variants(study))
    ]
    groups = tuple(_group(metric, floor, outputs, rows) for rows in _grouped(shown))
    return Summary(
        study=study,
        metric=metric,
        num_outputs=outputs,
        floor=floor,
        floor_in_papers_measure=_in_papers_measure(_floor(paper.MEASURE, rows.values()).value, outputs),
        ceiling=ceiling[0].best[f"validation/{metric}"] if ceiling else None,
        ceiling_in_papers_measure=_in_papers_measure(
            ceiling[0].best.get(f"validation/{paper.MEASURE}") if ceiling else None, outputs
        ),
        groups=groups,
        comparisons=_comparisons(metric, groups),
        sweeps=tuple(_sweeps(study, metric, rows)),
        predictions=predictions_of(pieces, rows),
        correlations=loss_correlations(pieces, rows, metric),
        rows=rows,
        missing=tuple(piece.name for piece in pieces if piece.name not in rows),
    )


def _metric(row: Row) -> str:
    return "total-variation" if "validation/total-variation" in row.best else row.loss


def _variants(study: Study) -> Iterable[str]:
    return study.variants or ("default",)


def _floor(metric: str, rows: Iterable[Row]) -> Floor:
    rows = list(rows)
    closed = [row for row in rows if row.encoder == CLOSED_FORM and row.best]
    trained = [row for row in rows if row.encoder == FLOOR]
    name = f"validation/{metric}"
    closed, trained = ([row for row in part if name in row.best] for part in (closed, trained))
    sources = [*closed, *trained]
    lowest = min(sources, key=lambda row: row.best[name], default=None)
    return Floor(
        metric=metric,
        closed_form=closed[0].best[name] if closed else None,
        trained=min((row.best[name] for row in trained), default=None),
        by_task={} if lowest is None else _by_task(metric, lowest),
    )


def _by_task(metric: str, row: Row) -> dict[tuple[float, ...], float]:
    tasks = (tuple(task) for task in row.unseen["task"])
    return dict(zip(tasks, row.unseen[metric], strict=True))


def _grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows by encoder and variant, in the order of their first occurrence."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.encoder, row.variant), []).append(row)
    return list(groups.values())


def _in_papers_measure(value: float | None, outputs: int) -> float | None:
    return None if value is None else value / outputs


def _group(metric: str, floor: Floor, outputs: int, rows: Sequence[Row]) -> Group:
    in_kl = [
        row.best[f"validation/{paper.MEASURE}"] / outputs for row in rows if f"validation/{paper.MEASURE}" in row.best
    ]
    return Group(
        encoder=rows[0].encoder,
        variant=rows[0].variant,
        rows=tuple(rows),
        loss=estimate([row.best[f"validation/{metric}"] for row in rows]),
        last=estimate([row.best[f"last/{metric}"] for row in rows]),
        left_at={row.seed: left_plateau_at(row, floor) for row in rows},
        clearly_below={row.seed: is_clearly_below(row, floor) for row in rows},
        in_papers_measure=estimate(in_kl) if in_kl else None,
    )


def left_plateau_at(row: Row, floor: Floor) -> int | None:
    """Return the first validated step at which a training was clearly below the task-blind floor; None for never."""
    if floor.plateau is None:
        return None
    pairs = zip(row.curve["step"], row.curve[f"validation/{floor.metric}"], strict=True)
    return next((int(step) for step, loss in pairs if loss < floor.plateau), None)


def is_clearly_below(row: Row, floor: Floor) -> bool:
    """Test if the kept model is 10 % below the floor, by a bootstrap over tasks; False for fewer than 8 tasks."""
    losses = _by_task(floor.metric, row)
    shared = [task for task in losses if task in floor.by_task]
    if len(shared) < _FEWEST_TASKS:
        return False
    own, blind = (np.array([values[task] for task in shared]) for values in (losses, floor.by_task))
    return compare_with_floor(own, {"floor": blind}, shared).is_below_floor


def _comparisons(metric: str, groups: Sequence[Group]) -> dict[str, Comparison]:
    by_seed = [{row.pair: row.best[f"validation/{metric}"] for row in group.rows} for group in groups]
    compared = {group.name: paired(losses, by_seed[0]) for group, losses in zip(groups[1:], by_seed[1:], strict=True)}
    return {name: comparison for name, comparison in compared.items() if comparison is not None}


def _sweeps(study: Study, metric: str, rows: Mapping[str, Row]) -> Iterable[SweepCurve]:
    points = [point for seed in study.seeds for point in points_of(study, seed) if point.piece.name in rows]
    points.sort(key=lambda point: (point.sweep, point.piece.encoder, point.value))
    for (sweep, encoder), own in itertools.groupby(points, key=lambda point: (point.sweep, point.piece.encoder)):
        losses: dict[float, list[float]] = {}
        for point in own:
            losses.setdefault(point.value, []).append(rows[point.piece.name].best[f"validation/{metric}"])
        estimates = {value: estimate(numbers) for value, numbers in losses.items()}
        yield SweepCurve(sweep, study.sweeps[sweep].over, encoder, estimates)


def to_json(summary: Summary) -> dict[str, Any]:
    """Return the summary as JSON-ready values, the content of `results.json`."""
    return {
        "study": summary.study.to_dict(),
        "metric": summary.metric,
        "floor": {
            "closed_form": summary.floor.closed_form,
            "trained": summary.floor.trained,
            "plateau": summary.floor.plateau,
            "in_papers_measure": summary.floor_in_papers_measure,
        },
        "ceiling": {"trained": summary.ceiling, "in_papers_measure": summary.ceiling_in_papers_measure},
        "groups": [_group_to_json(group) for group in summary.groups],
        "comparisons": {name: dataclasses.asdict(one) for name, one in summary.comparisons.items()},
        "sweeps": [_sweep_to_json(curve) for curve in summary.sweeps],
        **downstream.to_json(summary.predictions, summary.correlations),
        "missing": list(summary.missing),
    }


def _group_to_json(group: Group) -> dict[str, Any]:
    return {
        "encoder": group.encoder,
        "variant": group.variant,
        "seeds": [row.seed for row in group.rows],
        "loss": dataclasses.asdict(group.loss),
        "last": dataclasses.asdict(group.last),
        "in_papers_measure": None if group.in_papers_measure is None else dataclasses.asdict(group.in_papers_measure),
        "left_plateau_at": {str(seed): step for seed, step in group.left_at.items()},
        "clearly_below_floor": {str(seed): below for seed, below in group.clearly_below.items()},
        "seconds": [row.seconds for row in group.rows],
    }


def _sweep_to_json(curve: SweepCurve) -> dict[str, Any]:
    estimates = {f"{value:g}": dataclasses.asdict(one) for value, one in curve.estimates.items()}
    return {"sweep": curve.sweep, "over": curve.over, "encoder": curve.encoder, "estimates": estimates}
