"""Reliability of the properties on the card of `rnn2vec inspect`: probabilities of choices, intervals of numbers.

    python benchmarks/calibration.py FOLDER

The script builds the tour's zoo, pre-trains an encoder on it and builds an index of both in FOLDER, which takes a
quarter of an hour on one core; existing results are reused. It then fits predictors and evaluates them on held-out
RNNs: on the zoo's validation split, ten times with different folds, and on each sixth of its languages in turn, which
shows how much the result depends on the choice of held-out languages.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import stats

from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import preset as pretrain_preset
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.index.index import Index
from rnn2vec.inspection.property_prediction import PropertyPredictor
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import preset as zoo_preset

SEEDS, SIXTHS = 10, 6


def index_in(folder: Path) -> Index:
    """Open the index of the tour's zoo, building it if it is missing."""
    if not (folder / "index").is_dir():
        zoo = build_zoo(zoo_preset("tour"), folder / "zoo")
        pretrain(zoo, pretrain_preset("tour", "interactive-probing"), folder / "run")
        rnn2vec = Rnn2Vec.from_pretrained(folder / "run")
        properties = zoo.properties.append_column("task", [[str(task) for task in zoo.tasks(range(len(zoo)))]])
        names = [f"{row}" for row in range(len(zoo))]
        Index.build(folder / "index", rnn2vec).add(names, rnn2vec.embed(zoo), properties)
    return Index.open(folder / "index")


def with_held_out_tasks(index: Index, held_out: np.ndarray, folder: Path) -> Index:
    """Copy an index without the OOD split, with the RNNs of the held-out tasks as the validation split."""
    table = index.table.drop_columns(["rnn", "vector", "split"])
    tasks = np.array(index.table.column("task").to_pylist())
    split = np.where(np.isin(tasks, held_out), "validation", "train")
    rows = np.flatnonzero(np.array(index.table.column("split").to_pylist()) != "ood")
    other = Index.build(folder, index.vectors.shape[1])
    properties = table.append_column("split", pa.array(split)).take(rows)
    other.add([index.names[row] for row in rows], index.vectors[rows], properties)
    return other


def main(folder: str) -> None:
    """Fit and evaluate predictors, and print the results."""
    index = index_in(Path(folder))
    for name, errors in (
        ("validation split, other folds", over_seeds(index)),
        ("sixths of the tasks", over_tasks(index)),
    ):
        low, high = stats.t.interval(0.95, len(errors) - 1, np.mean(errors), stats.sem(errors))
        print(
            f"expected calibration error, {name}: {np.mean(errors):.3f} "
            f"(95 % interval of the mean {low:.3f} to {high:.3f}; each {min(errors):.3f} to {max(errors):.3f})",
            flush=True,
        )
    for one in PropertyPredictor(index).predict(index.vectors[0]):
        reliability = f"accuracy {one.score:.2f}" if one.coverage is None else f"coverage {one.coverage:.3f}"
        print(f"{one.name}: {reliability}")


def over_seeds(index: Index) -> list[float]:
    """Compute the calibration error for each division into folds."""
    return [PropertyPredictor(index, seed=seed).calibration_error or 0.0 for seed in range(SEEDS)]


def over_tasks(index: Index) -> list[float]:
    """Compute the calibration error on each sixth of the tasks that are not OOD."""
    tasks = np.array(index.table.column("task").to_pylist())
    known = np.array(index.table.column("split").to_pylist()) != "ood"
    shuffled = np.random.default_rng(0).permutation(np.unique(tasks[known]))
    errors: list[float] = []
    for sixth in range(SIXTHS):
        with tempfile.TemporaryDirectory() as temporary:
            other = with_held_out_tasks(index, shuffled[sixth::SIXTHS], Path(temporary) / "index")
            errors.append(PropertyPredictor(other).calibration_error or 0.0)
    return errors


if __name__ == "__main__":
    main(*sys.argv[1:2])
