"""Read a whole zoo and check everything that can be checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import torch

from rnn2vec._errors import DataError
from rnn2vec._progress import Progress, silent
from rnn2vec.tasks.base import DealtTask, Split, Task
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.manifest import ShardEntry
from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.recompute import problems_of_behaviour
from rnn2vec.zoo.shards import Shard
from rnn2vec.zoo.store import Zoo

SAMPLE = 32
"""Snapshots that are rolled out again, by default."""


def verify(zoo: Zoo, *, recompute: int = SAMPLE, progress: Progress = silent) -> list[str]:
    """Check every shard of a zoo: checksums, shapes, finite weights, plausible rows; then roll out some RNNs again.

    The rows of a built zoo must be those that its config deals; in any other zoo a task must be in one split only.

    Args:
        zoo: the zoo.
        recompute: number of snapshots, a seeded sample, whose stored performance and rollouts are compared with new
            ones (see `zoo.recompute`); done only where nothing else is wrong.
        progress: callback that receives the number of shards checked, then of RNNs rolled out.

    Returns:
        A sentence for each problem; empty when the zoo is sound and complete.
    """
    zoo = Zoo(zoo.folder, zoo.manifest)  # one that has read nothing yet, so that every checksum is verified now
    entries = {entry.number: (place, entry) for place, entry in enumerate(zoo.manifest.shards)}
    known_splits: dict[Task, str] = {}
    problems: list[str] = []
    for number in range(zoo.manifest.num_shards):
        progress(number, zoo.manifest.num_shards, f"shard {number + 1}")
        if number not in entries:
            problems.append(f"shard {number} is not {'built' if zoo.manifest.verb == 'build' else 'made'} yet")
            continue
        problems += _problems_of_shard(zoo, *entries[number], known_splits)
    if not problems and recompute > 0:
        problems += problems_of_behaviour(zoo, recompute, progress)
    else:
        progress(zoo.manifest.num_shards, zoo.manifest.num_shards, "done")
    return problems


def _problems_of_shard(zoo: Zoo, place: int, entry: ShardEntry, known_splits: dict[Task, str]) -> Iterator[str]:
    try:
        shard = zoo.shard(place)
    except DataError as error:
        yield error.problem
        return
    problems = _problems_of_content(zoo, entry, shard, known_splits)
    yield from (f"shard {entry.number}: {problem}" for problem in problems)


def _problems_of_content(zoo: Zoo, entry: ShardEntry, shard: Shard, known_splits: dict[Task, str]) -> Iterator[str]:
    table = shard.properties
    columns = ("run", "step", *zoo.family.task_columns, "split")
    missing = {*columns, "performance"} - set(table.column_names)
    if missing:
        yield f"its properties lack {', '.join(sorted(missing))}"
        return
    finite = torch.isfinite(shard.weights).all(dim=1)
    if not finite.all():
        yield f"RNN {int((~finite).nonzero()[0])} has NaN or infinite weights"
    stored = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    made = zoo.manifest.made
    if isinstance(made, Origin):
        yield from _problems_of_rows(stored, known_splits)
    elif stored != _dealt_rows(zoo, made, entry.number):
        yield "its runs, steps, tasks or splits are not those that the config deals"
    performance = table.column("performance").to_numpy()
    if not np.logical_and(performance >= 0, performance <= 1).all():
        yield "a performance is not between 0 and 1"


def _dealt_rows(zoo: Zoo, config: ZooConfig, shard: int) -> list[tuple[object, ...]]:
    """Run, step, task and split of every row of a built shard."""
    runs = range(shard * config.runs_per_shard, min((shard + 1) * config.runs_per_shard, config.num_runs))
    dealt: list[DealtTask] = zoo.family.deal(runs.stop, config.seed)
    return [(run, step, *dealt[run].task, dealt[run].split) for run in runs for step in config.snapshot_steps]


def _problems_of_rows(rows: Sequence[tuple[object, ...]], known_splits: dict[Task, str]) -> Iterator[str]:
    """Yield contradictions in rows that no config deals; `known_splits` remembers earlier shards."""
    for run, step, *task, split in rows:
        if not (isinstance(run, int) and isinstance(step, int) and run >= 0 and step >= 0):
            yield f"run {run}, step {step}: both should be whole numbers from 0"
            return
        key = tuple(float(str(number)) for number in task)
        if split not in get_args(Split):
            yield f"task {key} is in split {split!r}, which does not exist"
            return
        if known_splits.setdefault(key, str(split)) != split:
            yield f"task {key} is in split {split!r}, and elsewhere in {known_splits[key]!r}"
            return
