"""Building of zoos, shard by shard; repeating an interrupted call finishes the zoo."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float

from rnn2vec import tasks
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import DealtTask, Task, TaskFamily
from rnn2vec.zoo import backends
from rnn2vec.zoo.backends.base import Backend
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.evaluate import act, expected_losses, uses_kernels
from rnn2vec.zoo.fill import only_builder
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.shards import Shard, write_shard
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.train import TrainedSnapshots, train_runs, weight_decay


def build_zoo(config: ZooConfig, out: str | Path, *, device: str = "cpu", progress: Progress = silent) -> Zoo:
    """Build a zoo, or finish an interrupted build.

    Examples:
        >>> config = ZooConfig(num_runs=2, num_steps=3, hidden_size=4, num_episodes=5, num_rollouts=5, backend="torch")
        >>> zoo = build_zoo(config, "new-zoo")
        >>> zoo.properties.num_rows
        4

    Finished shards are kept, damaged ones rebuilt. On the same backend, machine type and versions, the same config
    gives the same bytes, even after interruptions.

    Args:
        config: config of the zoo.
        out: folder of the zoo: new, empty, or with a zoo of the same config.
        device: device of a torch backend.
        progress: callback that receives the number of updates done, over all runs.

    Raises:
        UsageError: if the folder holds something else or a zoo of another config, or a name is unknown.
        BusyError: if another process builds in this folder.
        StorageError: if the disk is full; finished shards are kept.
    """
    folder = Path(out)
    family = tasks.build(config.family, config.family_options)
    spec = RNNSpec(
        cell=config.cell,
        input_size=family.input_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        output_size=family.output_size,
    )
    first = family.deal(1, config.seed)[0].task
    backend = backends.pick(config.backend, spec, kind=family.examples(first).kind, device=device)
    config = dataclasses.replace(config, backend=backend.name, family_options=family.options())
    new = Manifest(config, spec, family.ood_rule, dict(provenance()))
    with only_builder(folder, new) as manifest:
        return _finish(folder, manifest, family, backend, progress)


def _finish(folder: Path, manifest: Manifest, family: TaskFamily, backend: Backend, progress: Progress) -> Zoo:
    """Build every shard that the manifest lacks."""
    config = manifest.config
    dealt = family.deal(config.num_runs, config.seed)
    finished = {entry.number for entry in manifest.shards}
    total = float(config.num_runs * config.num_steps)
    for number in range(manifest.num_shards):
        runs = range(number * config.runs_per_shard, min((number + 1) * config.runs_per_shard, config.num_runs))
        if number in finished:
            continue
        report = functools.partial(_report, progress, manifest, number)
        report(0)
        started = time.monotonic()
        shard = _build_shard(config, family, manifest.spec, backend, runs, dealt, report)
        manifest = manifest.with_shard(write_shard(folder, number, shard, family.name))
        manifest.write(folder)
        _log(folder, shard=number, runs=len(runs), seconds=round(time.monotonic() - started, 3))
    progress(total, total, "done")
    return Zoo(folder, manifest)


def _report(progress: Progress, manifest: Manifest, shard: int, updates: float) -> None:
    """Tell the listener how many updates of all runs are made, `updates` of them in the current shard."""
    config = manifest.config
    done = shard * config.runs_per_shard * config.num_steps + updates
    progress(done, config.num_runs * config.num_steps, f"shard {shard + 1} of {manifest.num_shards}")


def _build_shard(
    config: ZooConfig,
    family: TaskFamily,
    spec: RNNSpec,
    backend: Backend,
    runs: range,
    dealt: Sequence[DealtTask],
    report: Callable[[float], None],
) -> Shard:
    """Train the runs of one shard; evaluate and collect their snapshots."""
    run_tasks = [dealt[run].task for run in runs]
    weights: list[torch.Tensor] = []
    rollouts: list[torch.Tensor] = []
    columns: list[dict[str, np.ndarray]] = []
    for reached in train_runs(config, family, spec, backend, runs, run_tasks):
        if not isinstance(reached, TrainedSnapshots):
            report(reached * len(runs))
            continue
        stack = RNNStack.from_flat(spec, torch.from_numpy(reached.weights))
        codes, performance = act(config, family, stack, runs, run_tasks, reached.step)
        train_loss, validation_loss = _losses(config, family, reached, stack, run_tasks)
        weights.append(torch.from_numpy(reached.weights))
        rollouts.append(codes[:, : config.num_rollouts])
        columns.append(
            {
                "step": np.full(len(runs), reached.step),
                "performance": performance,
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "generalization_gap": validation_loss - train_loss,
            }
        )
    return Shard(
        weights=torch.stack(weights, dim=1).flatten(0, 1),  # the snapshots of a run together
        rollouts=torch.stack(rollouts, dim=1).flatten(0, 1),
        properties=_property_table(config, family, runs, dealt, columns),
    )


def _losses(
    config: ZooConfig, family: TaskFamily, reached: TrainedSnapshots, stack: RNNStack, run_tasks: Sequence[Task]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Training and validation loss of each snapshot."""
    measured = [family.loss_examples(task, config.num_episodes) for task in run_tasks]
    accelerated = uses_kernels(config)
    validation = expected_losses(family, stack, [one.validation for one in measured], accelerated=accelerated)
    train = [one.train for one in measured if one.train is not None]
    if train:
        return expected_losses(family, stack, train, accelerated=accelerated), validation
    return (reached.losses if reached.step else validation), validation


def _property_table(
    config: ZooConfig,
    family: TaskFamily,
    runs: range,
    dealt: Sequence[DealtTask],
    columns: Sequence[dict[str, np.ndarray]],
) -> pa.Table:
    """Build the table of properties, with a row for each snapshot, in the order of the weights."""
    repeats = len(columns)
    table: dict[str, np.ndarray] = {"run": np.repeat(np.arange(runs.start, runs.stop), repeats)}
    table["spec"] = np.zeros(len(runs) * repeats, dtype=np.int64)
    for place, name in enumerate(family.task_columns):
        table[name] = np.repeat([dealt[run].task[place] for run in runs], repeats)
    for name in columns[0]:
        table[name] = np.stack([column[name] for column in columns], axis=1).ravel()
    table["weight_decay"] = np.repeat([weight_decay(config, family, run) for run in runs], repeats)
    table["seed"] = np.full(len(runs) * repeats, config.seed)
    table["split"] = np.repeat([dealt[run].split for run in runs], repeats)
    return pa.table(table)


def _log(folder: Path, **entry: float) -> None:
    with contextlib.suppress(OSError), (folder / "build.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")  # a full disk is the next shard's to report: this one is safe
