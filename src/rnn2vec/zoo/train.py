"""Train the runs of one shard, stopping at every snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from rnn2vec._errors import DataError
from rnn2vec._seeding import numpy_generator
from rnn2vec.rnn.cells.base import uniform
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import Task, TaskFamily
from rnn2vec.tasks.examples import Examples, FrameExamples, SequenceExamples
from rnn2vec.zoo.backends.base import Backend, Batches, RunExamples, RunFrames, RunSequences, TrainingState
from rnn2vec.zoo.config import ZooConfig

STEPS_PER_CALL = 250
"""Updates per call of a backend: bounds the memory of the batches, and how long a build stays silent."""


@dataclass(frozen=True)
class TrainedSnapshots:
    """All runs of a shard after the same number of updates."""

    step: int
    """Updates made."""
    weights: Float32[np.ndarray, "N P"]
    """Flat weights, a copy."""
    losses: Float64[np.ndarray, " N"]
    """Training loss: that of the last batch, before its update; NaN before the first."""


def train_runs(
    config: ZooConfig, family: TaskFamily, spec: RNNSpec, backend: Backend, runs: Sequence[int], tasks: Sequence[Task]
) -> Iterator[TrainedSnapshots | int]:
    """Train some runs side by side.

    What a run becomes depends on the config and its own number, not on its neighbours.

    Args:
        config: the zoo's config.
        family: the task family.
        spec: the RNNs' architecture.
        backend: what does the arithmetic.
        runs: the numbers of the runs.
        tasks: the task of each.

    Yields:
        The snapshots as they are reached, and between them the updates made so far.
    """
    examples = [family.examples(task) for task in tasks]
    generators = [numpy_generator(config.seed, "run", run, "batches") for run in runs]
    state = TrainingState.start(_initial_weights(config, spec, runs))
    padded = pad_examples(examples, family.most_examples)
    decay = np.array([weight_decay(config, family, run) for run in runs])
    for snapshot_step in config.snapshot_steps:
        while state.step < snapshot_step:
            count = min(STEPS_PER_CALL, snapshot_step - state.step)
            rates = np.array([config.learning_rate(step) for step in range(state.step, state.step + count)])
            batches = draw_batches(examples, family.most_examples, count, config.batch_size, generators)
            backend.train(spec, padded, state, batches, rates, decay)
            yield state.step
        losses = state.losses.copy() if state.step else np.full(len(runs), np.nan)
        yield TrainedSnapshots(state.step, state.weights.copy(), losses)


def weight_decay(config: ZooConfig, family: TaskFamily, run: int) -> float:
    """Return the weight decay of a run: the config's, or one drawn from the family's."""
    if config.weight_decay is not None:
        return config.weight_decay
    return float(numpy_generator(config.seed, "run", run, "weight-decay").choice(family.weight_decays))


def pad_examples(examples: Sequence[Examples], most: int) -> RunExamples:
    """Collect the examples of several tasks of one family in arrays over runs.

    Sequences are padded to `most` examples with a task's first one; images are the same for all tasks.
    """
    first = examples[0]
    if isinstance(first, FrameExamples):
        maps = [one.pixel_map for one in examples if isinstance(one, FrameExamples)]
        weights = _stacked([one.step_weights for one in examples])
        return RunFrames(first.images, first.labels, first.values, np.stack(maps), weights)

    def pad(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([rows, np.repeat(rows[:1], most - len(rows), axis=0)])

    sequences = [one for one in examples if isinstance(one, SequenceExamples)]
    weights = _stacked([None if one.step_weights is None else pad(one.step_weights) for one in sequences])
    inputs, targets = ([pad(getattr(one, part)) for one in sequences] for part in ("inputs", "targets"))
    return RunSequences(np.stack(inputs), np.stack(targets), weights)


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return the weights of all runs, or None if no run has any."""
    given = [array for array in arrays if array is not None]
    if given and len(given) < len(arrays):
        raise DataError("weights per step in some tasks of a family", remedy="give them in all tasks or in none.")
    return np.stack(given) if given else None


def draw_batches(
    examples: Sequence[Examples],
    most: int,
    num_steps: int,
    batch_size: int,
    generators: Sequence[np.random.Generator],
) -> Batches:
    """Draw batches of `batch_size` examples for each run, as weighted rows (see `backends.base`).

    Where no task has more examples than a batch, equal draws are merged: row e is example e, its weight the share of
    the batch that drew it. This is the same loss and gradient.

    Args:
        examples: those of each run's task.
        most: examples of the family's task that has most: rows of a merged batch.
        num_steps: batches.
        batch_size: draws in each.
        generators: one for each run.
    """
    drawn = np.stack(
        [
            generator.choice(len(one), size=(num_steps, batch_size), p=one.weights)
            for one, generator in zip(examples, generators, strict=True)
        ]
    )
    if most > batch_size:
        return Batches(drawn.astype(np.int32), np.full(drawn.shape, 1 / batch_size, dtype=np.float32))
    counts = (drawn[..., None] == np.arange(most)).sum(axis=2)
    rows = np.broadcast_to(np.arange(most, dtype=np.int32), counts.shape)
    return Batches(rows.copy(), (counts / batch_size).astype(np.float32))


def _initial_weights(config: ZooConfig, spec: RNNSpec, runs: Sequence[int]) -> Float32[np.ndarray, "N P"]:
    """Return the weights of each run at the start: drawn by the cell, the readout as in PyTorch."""
    return np.stack(
        [_initial(spec, numpy_generator(config.seed, "run", run, "initial-weights")) for run in runs]
    ).astype(np.float32)


def _initial(spec: RNNSpec, generator: np.random.Generator) -> Float64[np.ndarray, " P"]:
    drawn: list[np.ndarray] = []
    for layer in range(spec.num_layers):
        shapes = spec.cell_type.shapes(spec.hidden_size if layer else spec.input_size, spec.hidden_size)
        drawn += [spec.cell_type.initial(name, shape, spec.hidden_size, generator) for name, shape in shapes.items()]
    readout = [spec.parameter_shapes[name] for name in ("readout.weight", "readout.bias")]
    drawn += [uniform(shape, spec.hidden_size, generator) for shape in readout]
    return np.concatenate([one.ravel() for one in drawn])
