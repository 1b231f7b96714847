"""How reliable the properties on `rnn2vec inspect`'s card are: probabilities of choices, intervals of numbers.

    python benchmarks/calibration.py FOLDER

Builds the tour's zoo, pre-trains an encoder on it and puts both into an index, in FOLDER (a quarter of an hour on one
core; what is there is taken as it is). Then predictors are fitted, and judged on RNNs that had no part in it: on the
zoo's validation split, ten times with other folds; and on each sixth of its languages in turn, which says how much
depends on which languages were kept apart.
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
    """The index of the tour's zoo, made as far as it is missing."""
    if not (folder / "index").is_dir():
        zoo = build_zoo(zoo_preset("tour"), folder / "zoo")
        pretrain(zoo, pretrain_preset("tour", "interactive-probing"), folder / "run")
        rnn2vec = Rnn2Vec.from_pretrained(folder / "run")
        properties = zoo.properties.append_column("task", [[str(task) for task in zoo.tasks(range(len(zoo)))]])
        names = [f"{row}" for row in range(len(zoo))]
        Index.build(folder / "index", rnn2vec).add(names, rnn2vec.embed(zoo), properties)
    return Index.open(folder / "index")


def with_tasks_apart(index: Index, apart: np.ndarray, folder: Path) -> Index:
    """A copy without the OOD split in which the RNNs of these tasks are the validation split."""
    table = index.table.drop_columns(["rnn", "vector", "split"])
    tasks = np.array(index.table.column("task").to_pylist())
    split = np.where(np.isin(tasks, apart), "validation", "train")
    rows = np.flatnonzero(np.array(index.table.column("split").to_pylist()) != "ood")
    other = Index.build(folder, index.vectors.shape[1])
    properties = table.append_column("split", pa.array(split)).take(rows)
    other.add([index.names[row] for row in rows], index.vectors[rows], properties)
    return other


def main(folder: str) -> None:
    """Fit, judge, print."""
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
        reliability = f"right {one.score:.2f}" if one.coverage is None else f"intervals hold {one.coverage:.3f}"
        print(f"{one.name}: {reliability}")


def over_seeds(index: Index) -> list[float]:
    """The error for each division into folds."""
    return [PropertyPredictor(index, seed=seed).calibration_error or 0.0 for seed in range(SEEDS)]


def over_tasks(index: Index) -> list[float]:
    """The error on each sixth of the tasks that are not OOD."""
    tasks = np.array(index.table.column("task").to_pylist())
    known = np.array(index.table.column("split").to_pylist()) != "ood"
    shuffled = np.random.default_rng(0).permutation(np.unique(tasks[known]))
    errors: list[float] = []
    for sixth in range(SIXTHS):
        with tempfile.TemporaryDirectory() as temporary:
            other = with_tasks_apart(index, shuffled[sixth::SIXTHS], Path(temporary) / "index")
            errors.append(PropertyPredictor(other).calibration_error or 0.0)
    return errors


if __name__ == "__main__":
    main(*sys.argv[1:2])
