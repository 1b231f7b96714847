"""Read a whole zoo and check everything that can be checked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from rnn2vec._errors import DataError
from rnn2vec._progress import Progress, silent
from rnn2vec.zoo.store import Shard, ShardEntry, Zoo


def verify(zoo: Zoo, *, progress: Progress = silent) -> list[str]:
    """Check every shard of a zoo: checksums, shapes, finite weights, and that its rows are what the config says.

    Args:
        zoo: the zoo.
        progress: told of the shards checked.

    Returns:
        What is wrong, a sentence each; empty when the zoo is sound and complete.
    """
    zoo = Zoo(zoo.folder, zoo.manifest)  # one that has read nothing yet, so that every checksum is verified now
    entries = {entry.number: (place, entry) for place, entry in enumerate(zoo.manifest.shards)}
    problems: list[str] = []
    for number in range(zoo.manifest.num_shards):
        progress(number, zoo.manifest.num_shards, f"shard {number + 1}")
        if number not in entries:
            problems.append(f"shard {number} is not built yet")
            continue
        problems += _problems_of_shard(zoo, *entries[number])
    progress(zoo.manifest.num_shards, zoo.manifest.num_shards, "done")
    return problems


def _problems_of_shard(zoo: Zoo, place: int, entry: ShardEntry) -> Iterator[str]:
    try:
        shard = zoo.shard(place)
    except DataError as error:
        yield error.problem
        return
    yield from (f"shard {entry.number}: {problem}" for problem in _problems_of_content(zoo, entry, shard))


def _problems_of_content(zoo: Zoo, entry: ShardEntry, shard: Shard) -> Iterator[str]:
    config, table = zoo.manifest.config, shard.properties
    columns = ("run", "step", *zoo.family.task_columns, "split")
    missing = {*columns, "performance"} - set(table.column_names)
    if missing:
        yield f"its properties lack {', '.join(sorted(missing))}"
        return
    finite = torch.isfinite(shard.weights).all(dim=1)
    if not finite.all():
        yield f"RNN {int((~finite).nonzero()[0])} has NaN or infinite weights"
    runs = range(entry.number * config.runs_per_shard, min((entry.number + 1) * config.runs_per_shard, config.num_runs))
    dealt = zoo.family.deal(runs.stop, config.seed)
    steps = config.snapshot_steps
    rows = [(run, step, *dealt[run].task, dealt[run].split) for run in runs for step in steps]
    stored = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    if stored != rows:
        yield "its runs, steps, tasks or splits are not those that the config deals"
    performance = table.column("performance").to_numpy()
    if not np.logical_and(performance >= 0, performance <= 1).all():
        yield "a performance is not between 0 and 1"
