"""The work of one piece, from the zoo to its row. Everything here runs in a separate process.

`run_study` verifies the zoo's checksums once; the pieces do not hash it again.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import hardware, provenance
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import Fidelity, closed_form_floor, emulation_fidelity
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.experiments.study.expand import StudyPiece
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, path_of, write_row
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.predict import Scores, predict_property, property_baselines
from rnn2vec.training.tracking import best_line, read_metrics, seconds_spent
from rnn2vec.zoo.store import Zoo

RUNS = "runs"
"""Folder of the runs, below the study's folder: models and checkpoints, too large to commit."""


def run_pretraining(zoo: Path, piece: StudyPiece, out: Path, device: str = "cpu", progress: Progress = silent) -> None:
    """Start or resume a pre-training, and write its row.

    Args:
        zoo: folder of the zoo.
        piece: piece of the study.
        out: folder of the study.
        device: device to train on.
        progress: callback that receives the number of updates done.
    """
    config = piece.config
    assert isinstance(config, PretrainConfig)
    if device == "cpu":
        torch.set_num_threads(1)
    opened = Zoo.open(zoo, is_verified=True)
    run = out / RUNS / piece.name
    model = pretrain(opened, config, run, device=device, progress=progress)
    unseen = SplitData(opened, "validation")
    behaviour = unseen.first_rollouts(config.validation_rollouts)
    model.encoder.eval()
    distances = emulation_fidelity(model.encoder, model.emulator, behaviour)
    curve = read_metrics(run)
    row = _row(
        piece,
        opened,
        device,
        provenance=checkpoints.read_run(run)["provenance"],
        seconds=seconds_spent(run),
        curve={name: [line[name] for line in curve] for name in curve[0]},
        best=best_line(run, f"validation/{config.loss}"),
        unseen=_by_task(unseen, distances),
    )
    write_row(out, row)


def run_prediction(zoo: Path, piece: StudyPiece, out: Path, device: str = "cpu", progress: Progress = silent) -> None:
    """Predict a property, frozen on the run of the piece's pre-training or supervised, and write its row.

    Args:
        zoo: folder of the zoo.
        piece: piece of the study; an interrupted supervised training is resumed.
        out: folder of the study.
        device: device to train on.
        progress: callback that receives the number of updates done.

    Raises:
        UsageError: if the run of the pre-training is missing.
    """
    assert isinstance(piece.config, PredictConfig)
    assert piece.property_name is not None
    if device == "cpu":
        torch.set_num_threads(1)
    start = time.monotonic()
    opened = Zoo.open(zoo, is_verified=True)
    run = out / RUNS / piece.pretraining
    is_frozen = piece.setting == "frozen"
    if is_frozen and not (path_of(out, piece.pretraining).exists() and run.is_dir()):
        raise UsageError(
            f"the run of {piece.pretraining} is missing",
            remedy=f"delete {path_of(out, piece.pretraining)}, if it exists, to pre-train again.",
        )
    (out / RUNS).mkdir(exist_ok=True)
    result = predict_property(
        opened,
        piece.property_name,
        model=run if is_frozen else None,
        encoder=None if is_frozen else piece.encoder,
        setting="frozen" if is_frozen else "supervised",
        config=piece.config,
        seed=piece.seed,
        baselines="representation",
        device=device,
        checkpoint=None if is_frozen else out / RUNS / f"{piece.name}.safetensors",
        progress=progress,
    )
    row = _row(
        piece,
        opened,
        device,
        provenance=dict(result.provenance),
        seconds=time.monotonic() - start,
        best={"step": result.best_step, **_metrics(result.scores)},
        baselines=_by_name(result.baselines),
    )
    write_row(out, row)


def run_baselines(zoo: Path, piece: StudyPiece, out: Path, progress: Progress = silent) -> None:
    """Predict a property without an encoder, and write the row.

    Args:
        zoo: folder of the zoo.
        piece: piece of the study.
        out: folder of the study.
        progress: callback that is called at the end.
    """
    assert piece.property_name is not None
    torch.set_num_threads(1)
    start = time.monotonic()
    opened = Zoo.open(zoo, is_verified=True)
    baselines = property_baselines(opened, piece.property_name, seed=piece.seed)
    row = _row(
        piece,
        opened,
        "cpu",
        provenance=dict(provenance()),
        seconds=time.monotonic() - start,
        best={},
        baselines=_by_name(baselines),
    )
    write_row(out, row)
    progress(1, 1, "done")


def _row(piece: StudyPiece, zoo: Zoo, device: str, **found: Any) -> Row:
    """Build the row of a piece: its identity, its environment, and its results."""
    return Row(
        piece=piece.name,
        setting=piece.setting,
        encoder=piece.encoder,
        variant=piece.variant,
        property_name=piece.property_name,
        seed=piece.seed,
        config={} if piece.config is None else piece.config.to_dict(),
        zoo=zoo_facts(zoo),
        hardware=hardware(device),
        **found,
    )


def _by_name(baselines: dict[str, Scores]) -> dict[str, dict[str, float]]:
    return {name: _metrics(scores) for name, scores in baselines.items()}


def _metrics(scores: Scores) -> dict[str, float]:
    """Flatten scores to `PART/METRIC`, such as `ood/loss`, and those of last snapshots to `ood/last/loss`."""
    metrics: dict[str, float] = {}
    for part, score in scores.items():
        by_name = dataclasses.asdict(score)
        columns = by_name.pop("column_accuracy") or {}
        by_name |= {f"accuracy of {name}": share for name, share in columns.items()}
        metrics |= {f"{part}/{name}": float(value) for name, value in by_name.items() if value is not None}
    return metrics


def run_floor(zoo: Path, piece: StudyPiece, out: Path, progress: Progress = silent) -> None:
    """Measure the closed form of the task-blind floor, where the family has one, and write its row.

    Args:
        zoo: folder of the zoo.
        piece: a pre-training of the study; the floor is measured on its validation rollouts.
        out: folder of the study.
        progress: callback that is called at the end.
    """
    assert isinstance(piece.config, PretrainConfig)
    opened = Zoo.open(zoo, is_verified=True)
    unseen = SplitData(opened, "validation")
    distances = closed_form_floor(unseen, piece.config.validation_rollouts)
    row = Row(
        piece=CLOSED_FORM,
        setting="floor",
        encoder=CLOSED_FORM,
        variant="floor",
        seed=0,
        config={"validation_rollouts": piece.config.validation_rollouts},
        zoo=zoo_facts(opened),
        provenance=dict(provenance()),
        hardware=hardware(),
        seconds=None,
        best={} if distances is None else {"step": 0, **_means(unseen, distances)},
        unseen={} if distances is None else _by_task(unseen, distances),
    )
    write_row(out, row)
    progress(1, 1, "done")


def zoo_facts(zoo: Zoo) -> dict[str, Any]:
    """Return the description of a zoo in a row."""
    weights = zoo.manifest.weights_checksum
    return {"folder": zoo.folder.name, "weights": weights, "config": zoo.manifest.config.to_dict()}


def _means(unseen: SplitData, distances: Fidelity) -> dict[str, float]:
    """Return the mean distances under their names in a validation."""
    last = unseen.steps == unseen.steps.max()
    means = {f"validation/{name}": float(values.mean()) for name, values in distances.items()}
    return means | {f"last/{name}": float(values[last].mean()) for name, values in distances.items()}


def _by_task(unseen: SplitData, distances: Fidelity) -> dict[str, list[Any]]:
    """Average the distances over the snapshots of each unseen task."""
    places = {task: place for place, task in enumerate(dict.fromkeys(unseen.tasks))}
    places_of_rnns = np.array([places[task] for task in unseen.tasks])
    counts = np.bincount(places_of_rnns)
    means = {
        name: (np.bincount(places_of_rnns, weights=values) / counts).tolist() for name, values in distances.items()
    }
    return {"task": [list(task) for task in places], **means}
