"""RNNs and their rollouts, ready for training an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.emulation.oracle import labels_of
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn import fused
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split
from rnn2vec.zoo.store import Zoo


@dataclass(frozen=True)
class Behaviour:
    """RNNs with their inputs and outputs on some of their own rollouts."""

    rnns: RNNStack
    """N RNNs."""
    inputs: InputSequences
    """Inputs of each RNN, `(N, B, T, I)`."""
    outputs: OutputSequences
    """Outputs of each RNN, `(N, B, T, O)`."""
    before_end: Bool[Tensor, "N B T"] | None
    """Mask of the steps up to a sequence's end; None if no sequence ends early."""
    labels: Float[Tensor, "N L"] | None = None
    """True task and snapshot step of each RNN (`oracle.labels_of`); None if they are unknown."""

    def select(self, part: slice) -> Behaviour:
        """Return some of the RNNs, and their behaviour."""
        before_end = None if self.before_end is None else self.before_end[part]
        labels = None if self.labels is None else self.labels[part]
        return Behaviour(self.rnns.select(part), self.inputs[part], self.outputs[part], before_end, labels)


@runtime_checkable
class TrainingData(Protocol):
    """The RNNs of one part of a collection, with their behaviour."""

    @property
    def steps(self) -> Int[np.ndarray, " N"]:
        """Number of updates of each RNN before it was saved."""
        ...

    def draw(self, generator: np.random.Generator, num_rnns: int, num_rollouts: int) -> Behaviour:
        """Draw different RNNs of one architecture, at most `num_rnns`, with `num_rollouts` random rollouts each."""
        ...

    def all(self, num_rollouts: int) -> list[Behaviour]:
        """Return every RNN, in order, on the same number of rollouts: one piece for each architecture."""
        ...


@runtime_checkable
class Source(Protocol):
    """A collection of RNNs with rollouts for pre-training: a zoo, or RNNs from elsewhere."""

    @property
    def spec(self) -> RNNSpec:
        """Architecture of the RNNs, or the most frequent one."""
        ...

    @property
    def interface(self) -> Interface:
        """Kinds of inputs and outputs of all RNNs."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return `folder`, a readable name, and `checksum`, that of the content."""
        ...

    def prepare(self, encoder: WeightEncoder) -> None:
        """Give a new encoder what it takes from the RNNs and their inputs without training."""
        ...

    def part(self, split: Split, *, device: str, num_runs: int | None = None) -> TrainingData:
        """Return the RNNs of the `train` or the `validation` split: of its first `num_runs` runs, or of all."""
        ...


class ZooSource:
    """A zoo as a source of training data.

    Args:
        zoo: the zoo.
    """

    def __init__(self, zoo: Zoo) -> None:
        self._zoo = zoo
        self.spec = zoo.spec
        self.interface = zoo.family.interface

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        return self._zoo.identity()

    def prepare(self, encoder: WeightEncoder) -> None:
        """See `Source.prepare`: the interface of a task family says it all."""

    def part(self, split: Split, *, device: str, num_runs: int | None = None) -> TrainingData:
        """See `Source.part`; errors as for `SplitData`."""
        return SplitData(self._zoo, split, device=device, num_runs=num_runs)


class SplitData:
    """All snapshots of one split of a zoo, in memory.

    Args:
        zoo: the zoo.
        split: part of the zoo.
        device: device of RNNs and rollouts.
        num_runs: number of runs of the split, starting with the first; all by default.

    Raises:
        UsageError: no snapshot is in the split.
        DataError: weights are NaN or infinite.
    """

    def __init__(self, zoo: Zoo, split: Split, *, device: str = "cpu", num_runs: int | None = None) -> None:
        self.accelerated = False
        """True to recompute outputs with compiled kernels."""
        self.indices = zoo.split(split)
        """Rows of the zoo that these snapshots are."""
        if not len(self.indices):
            raise UsageError(
                f"{zoo.folder} has no RNN in its {split} split",
                remedy="build a zoo of more runs: two have both a training and a validation task.",
            )
        if num_runs is not None:
            self.indices = _of_first_runs(zoo, self.indices, num_runs, split)
        self.family = zoo.family
        self.rnns = _finite(zoo.rnns(self.indices), f"{zoo.folder}, {split} split").to(device)
        self.codes = zoo.rollouts(self.indices)
        self.steps = zoo.column("step")[self.indices]
        """Number of updates before each snapshot, `(N,)`."""
        self.tasks = zoo.tasks(self.indices)
        self._labels = torch.from_numpy(labels_of(zoo)[self.indices]).to(device)

    def __len__(self) -> int:
        return len(self.indices)

    @torch.no_grad()
    def behaviour(self, rnns: Int[np.ndarray, " M"], rollouts: Int[np.ndarray, "M B"]) -> Behaviour:
        """Return the chosen RNNs on the chosen rollouts, with recomputed outputs.

        Args:
            rnns: rows of this split.
            rollouts: numbers of stored rollouts, for each RNN.
        """
        chosen = torch.from_numpy(rnns)
        codes = self.codes[chosen[:, None], torch.from_numpy(rollouts)]
        stack = self.rnns.select(chosen.to(self.rnns.weights["readout.bias"].device))
        tasks = [self.tasks[rnn] for rnn in rnns.tolist()]
        inputs = self.family.rollout_inputs(codes, tasks).to(self.rnns.weights["readout.bias"].device)
        outputs, _ = fused.run(stack, inputs) if self.accelerated and fused.suits(stack) else stack(inputs)
        before_end = self.family.before_end(codes)
        before_end = None if before_end is None else before_end.to(inputs.device)
        return Behaviour(stack, inputs, outputs, before_end, self._labels[chosen.to(inputs.device)])

    def draw(self, generator: np.random.Generator, num_rnns: int, num_rollouts: int) -> Behaviour:
        """See `TrainingData.draw`."""
        count = min(num_rnns, len(self))
        rnns = generator.choice(len(self), size=count, replace=False)
        return self.behaviour(rnns, generator.integers(self.codes.shape[1], size=(count, num_rollouts)))

    def all(self, num_rollouts: int) -> list[Behaviour]:
        """See `TrainingData.all`: the first rollouts of each."""
        return [self.first_rollouts(num_rollouts)]

    def first_rollouts(self, count: int) -> Behaviour:
        """Return every RNN on its first `count` rollouts, or on all of them if fewer are stored."""
        count = min(count, self.codes.shape[1])
        everyone = np.arange(len(self))
        return self.behaviour(everyone, np.broadcast_to(np.arange(count), (len(self), count)).copy())


def _of_first_runs(zoo: Zoo, indices: Int[np.ndarray, " N"], num_runs: int, split: Split) -> Int[np.ndarray, " M"]:
    """Select the snapshots of the first runs of a split; tasks are dealt in turn, so these cover the tasks evenly."""
    runs = zoo.column("run")[indices]
    first = np.unique(runs)[:num_runs]
    if len(first) < num_runs:
        raise UsageError(
            f"{num_runs} runs of {zoo.folder}, which has {len(first)} in its {split} split",
            remedy=f"give at most {len(first)}.",
        )
    return indices[np.isin(runs, first)]


def _finite(stack: RNNStack, where: str) -> RNNStack:
    """Return a stack unchanged if its weights are finite: one NaN would make the whole encoder NaN in one update."""
    try:
        stack.require_finite()
    except DataError as error:
        remedy = "run `rnn2vec zoo verify` for a list of damaged RNNs; train those runs with a lower learning rate."
        raise DataError(f"{where}: {error.problem}", remedy=remedy) from error
    return stack
