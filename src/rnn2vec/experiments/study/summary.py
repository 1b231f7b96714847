"""From rows to answers: how low each way of training gets, whether it leaves the plateau, and who beats whom."""

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
from rnn2vec.experiments.study import downstream
from rnn2vec.experiments.study.config import PRETRAIN, Study
from rnn2vec.experiments.study.downstream import LossCorrelation, Prediction, loss_correlations, predictions_of
from rnn2vec.experiments.study.expand import BOUNDS, FLOOR, pieces_of, points_of
from rnn2vec.experiments.study.marker import read_study_of
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, read_rows
from rnn2vec.experiments.study.statistics import Comparison, Estimate, estimate, paired

_FEWEST_TASKS = 8
"""Unseen tasks from which on a training can be clearly below the floor."""


@dataclass(frozen=True)
class Floor:
    """What can be reached without looking at the RNNs; the lower of two."""

    metric: str
    """The distance."""
    closed_form: float | None
    """Of the best prediction that does not know the task, where the family has one."""
    trained: float | None
    """Of an emulator that was trained without seeing RNNs, at its best."""
    by_task: dict[tuple[float, ...], float]
    """The lower one's distance for each unseen task."""

    @property
    def value(self) -> float | None:
        """The floor; None where neither was measured."""
        return min((one for one in (self.closed_form, self.trained) if one is not None), default=None)

    @property
    def plateau(self) -> float | None:
        """What a loss must be below to have left the plateau: 10 % below the floor."""
        return None if self.value is None else CLEARLY_BELOW * self.value


@dataclass(frozen=True)
class Group:
    """One way of training one encoder, over its seeds."""

    encoder: str
    """The encoder's name."""
    variant: str
    """How it was trained."""
    rows: tuple[Row, ...]
    """One for each seed that is done."""
    loss: Estimate
    """Distance to RNNs of unseen tasks, of the kept model."""
    last: Estimate
    """The same for their last snapshots alone."""
    left_at: dict[int, int | None]
    """For each seed, at which step the validation left the plateau; None: never, or there is no floor."""
    clearly_below: dict[int, bool]
    """For each seed, whether the kept model is below the floor by 10 %, with a bootstrap over the unseen tasks."""
    in_papers_measure: Estimate | None
    """The loss as reverse KL divided by the number of outputs; None for continuous outputs."""

    @property
    def name(self) -> str:
        """Encoder and variant."""
        return f"{self.encoder}, {self.variant}"


@dataclass(frozen=True)
class SweepCurve:
    """What one number does to one encoder."""

    sweep: str
    """The sweep's name."""
    over: str
    """The number that is varied."""
    encoder: str
    """The encoder's name."""
    estimates: dict[float, Estimate]
    """The distance at each value."""


@dataclass(frozen=True)
class Summary:
    """All that a study has to say so far."""

    study: Study
    """What was asked for."""
    metric: str
    """The distance shown: total variation, or the loss where outputs are continuous."""
    num_outputs: int
    """Outputs of the RNNs, by which the paper's measure is divided."""
    floor: Floor
    """The task-blind floor."""
    floor_in_papers_measure: float | None
    """The floor as reverse KL divided by the number of outputs."""
    ceiling: float | None
    """The distance of an emulator that is given tasks and steps; None where it was not trained."""
    ceiling_in_papers_measure: float | None
    """The same as reverse KL divided by the number of outputs."""
    groups: tuple[Group, ...]
    """In the study's order; sweeps are apart."""
    comparisons: dict[str, Comparison]
    """Each group against the first, by the group's name."""
    sweeps: tuple[SweepCurve, ...]
    """The sweeps."""
    predictions: tuple[Prediction, ...]
    """How well properties are predicted."""
    correlations: tuple[LossCorrelation, ...]
    """Whether a lower pre-training loss means better predictions."""
    rows: dict[str, Row]
    """Every row."""
    missing: tuple[str, ...]
    """Pieces without a row."""


def summarize(folder: str | Path) -> Summary:
    """Summarize what is done of a study.

    Args:
        folder: the study's folder; its rows and `study.json` are all that is needed.

    Raises:
        UsageError: the folder holds no study, or no row yet.
        DataError: a file is damaged.
    """
    folder = Path(folder)
    study = read_study_of(folder)
    rows = read_rows(folder)
    pieces = pieces_of(study)
    done = [rows[piece.name] for piece in pieces if piece.setting == PRETRAIN and piece.name in rows]
    if not rows:
        raise UsageError(f"{folder} has no finished piece yet", remedy="let `rnn2vec study run` go on.")
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
    """Rows of one encoder and variant together, in the order in which they first come."""
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
    """The first validated step at which a training was clearly below the task-blind floor; None for never."""
    if floor.plateau is None:
        return None
    pairs = zip(row.curve["step"], row.curve[f"validation/{floor.metric}"], strict=True)
    return next((int(step) for step, loss in pairs if loss < floor.plateau), None)


def is_clearly_below(row: Row, floor: Floor) -> bool:
    """Tell whether the kept model is 10 % below the floor, and not by the luck of which unseen tasks there are.

    With fewer than 8 tasks, never.
    """
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
    """The summary as JSON-ready values: what `results.json` holds."""
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
