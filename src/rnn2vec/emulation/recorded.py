"""RNNs and inputs from elsewhere as training data: no tasks, no environment, only the outputs of the RNNs.

The RNNs may differ in architecture as long as their inputs and outputs have the same size; each update draws RNNs of
one architecture, in proportion to its frequency. Numbers may have any unit, so the emulator works in standard units:
inputs are mapped from their range to [-1, 1], and continuous outputs to their distance from the centre in spreads, at
most 10. Predicting the mean of all outputs then has a mean squared error of about 1.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.emulation.data import Behaviour, TrainingData
from rnn2vec.emulation.sequences import Sequences
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.rnn.interface import Interface, Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split

_LARGEST_OUTPUT = 10.0
_ROLLOUTS_FOR_SCALE = 10


class Recorded:
    """Any RNNs with input sequences, as a source of training data.

    Args:
        stacks: RNNs, one stack for each architecture.
        sequences: input sequences of all RNNs, in order.
        is_validation: mask of the RNNs held out for validation.
        output_kind: kind of the outputs; by default tokens if the inputs are tokens and inputs and outputs have equal
            size.

    Raises:
        UsageError: if the RNNs differ in inputs or outputs, or one of the parts is empty.
        DataError: if weights are NaN or infinite.
    """

    def __init__(
        self,
        stacks: Sequence[RNNStack],
        sequences: Sequences,
        is_validation: Bool[np.ndarray, " N"],
        *,
        output_kind: Kind | None = None,
    ) -> None:
        sizes = {(stack.spec.input_size, stack.spec.output_size) for stack in stacks}
        if len(sizes) != 1:
            given = ", ".join(f"{inputs} inputs and {outputs} outputs" for inputs, outputs in sorted(sizes))
            raise UsageError(f"RNNs with {given}", remedy="one encoder takes RNNs that agree in both: choose one kind.")
        if is_validation.all() or not is_validation.any():
            raise UsageError(
                f"{int(is_validation.sum())} of {len(is_validation)} RNNs for validation",
                remedy="give at least one RNN (or one run) for training and one for validation; hundreds work better.",
            )
        for stack in stacks:
            stack.require_finite()
        self._stacks, self._sequences, self._is_validation = list(stacks), sequences, is_validation
        counts: Counter[RNNSpec] = Counter()
        for stack in stacks:
            counts[stack.spec] += len(stack)
        self.spec = counts.most_common(1)[0][0]
        self.interface = kinds_of(sequences, self.spec, output_kind)
        if self.interface.output_kind == "continuous":
            self.interface = dataclasses.replace(self.interface, output_scale=_scale(self._outputs()))

    @torch.no_grad()
    def _outputs(self) -> Tensor:
        """Return the outputs of the training RNNs on their first sequences, `(...,)`."""
        answers: list[Tensor] = []
        for stack, rows in zip(self._stacks, self._rows(), strict=True):
            chosen = np.flatnonzero(~self._is_validation[rows])
            if len(chosen):
                count = min(_ROLLOUTS_FOR_SCALE, self._sequences.numbers[0])
                numbers = np.broadcast_to(np.arange(count), (len(chosen), count))
                outputs, _ = stack.select(torch.from_numpy(chosen))(self._sequences.take(rows[chosen], numbers))
                answers.append(outputs.flatten())
        return torch.cat(answers)

    def _rows(self) -> list[np.ndarray]:
        """Return the numbers of the RNNs of each stack."""
        ends = np.cumsum([len(stack) for stack in self._stacks])
        return [np.arange(end - len(stack), end) for end, stack in zip(ends, self._stacks, strict=True)]

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(group).tobytes() for group in self._sequences.groups))
        digest.update(self._is_validation.tobytes())
        for stack in self._stacks:
            digest.update(stack.flatten().cpu().contiguous().numpy().tobytes())
        return {"folder": f"{len(self._is_validation)} recorded RNNs", "checksum": digest.hexdigest()}

    def probes(self, most: int, longest: int) -> Float[Tensor, "M L I"]:
        """Return sequences that can probe; see `Sequences.probes`."""
        return self._sequences.probes(most, longest)

    def prepare(self, encoder: WeightEncoder) -> None:
        """Let random probing ask sequences of these, and read answers in the unit of the training RNNs.

        Raises:
            UsageError: it asks more or longer sequences than there are.
        """
        if not isinstance(encoder, RandomProbing):
            return
        probes = self._sequences.probes(encoder.num_sequences, encoder.sequence_length)
        if probes.shape != encoder.probes.shape:
            wanted, there = (f"{one.shape[0]} sequences of {one.shape[1]} steps" for one in (encoder.probes, probes))
            number, length = probes.shape[:2]
            raise UsageError(
                f"random-probing asks {wanted}; the inputs have {there}",
                remedy=f"give it num_sequences={number} and sequence_length={length}, or more inputs.",
            )
        encoder.ask(probes)
        rows = zip(self._stacks, self._rows(), strict=True)
        seen = [stack.select(torch.from_numpy(np.flatnonzero(~self._is_validation[mine]))) for stack, mine in rows]
        encoder.standardize([stack for stack in seen if len(stack)])

    def part(self, split: Split, *, device: str, num_runs: int | None = None) -> TrainingData:
        """See `Source.part`.

        Raises:
            UsageError: if `num_runs` is given, since the runs of these RNNs are not recorded.
        """
        if num_runs is not None:
            raise UsageError(f"train_runs={num_runs} of recorded RNNs", remedy="give fewer RNNs instead.")
        wanted = self._is_validation if split == "validation" else ~self._is_validation
        pieces: list[tuple[RNNStack, np.ndarray]] = []
        for stack, rows in zip(self._stacks, self._rows(), strict=True):
            chosen = np.flatnonzero(wanted[rows])
            if len(chosen):
                pieces.append((stack.select(torch.from_numpy(chosen)).to(device), rows[chosen]))
        return RecordedPart(pieces, self._sequences, self.interface)


class RecordedPart:
    """Some of the RNNs; see `TrainingData`.

    Args:
        pieces: RNNs of each architecture, with their numbers.
        sequences: input sequences of all RNNs, by number.
        interface: kinds and ranges of inputs and outputs, which define the standard units.
    """

    def __init__(
        self, pieces: list[tuple[RNNStack, Int[np.ndarray, " _"]]], sequences: Sequences, interface: Interface
    ) -> None:
        self._pieces = pieces
        self._sequences = sequences
        self._interface = interface
        self._sizes = np.array([len(rows) for _, rows in pieces])
        self.steps = np.zeros(self._sizes.sum(), dtype=np.int64)

    def draw(self, generator: np.random.Generator, num_rnns: int, num_rollouts: int) -> Behaviour:
        """See `TrainingData.draw`."""
        piece = int(generator.choice(len(self._pieces), p=self._sizes / self._sizes.sum()))
        size = int(self._sizes[piece])
        chosen = generator.choice(size, size=min(num_rnns, size), replace=False)
        counts = np.array(self._sequences.numbers)
        group = 0 if len(counts) == 1 else int(generator.choice(len(counts), p=counts / counts.sum()))
        numbers = generator.integers(counts[group], size=(len(chosen), num_rollouts))
        return self._behaviour(piece, chosen, numbers, group)

    def all(self, num_rollouts: int) -> list[Behaviour]:
        """See `TrainingData.all`: the first sequences of the middle group of lengths."""
        group = len(self._sequences.groups) // 2
        numbers = np.arange(min(num_rollouts, self._sequences.numbers[group]))
        return [
            self._behaviour(piece, np.arange(size), np.broadcast_to(numbers, (size, len(numbers))), group)
            for piece, size in enumerate(self._sizes)
        ]

    @torch.no_grad()
    def _behaviour(self, piece: int, chosen: np.ndarray, numbers: np.ndarray, group: int) -> Behaviour:
        stack, rows = self._pieces[piece]
        selected = stack.select(torch.from_numpy(chosen))
        inputs = self._sequences.take(rows[chosen], numbers, group).to(stack.weights["readout.bias"])
        outputs, _ = selected(inputs)
        return Behaviour(selected, self._standard_inputs(inputs), self._standard_outputs(outputs), None)

    def _standard_inputs(self, inputs: InputSequences) -> InputSequences:
        if self._interface.input_kind == "categorical":
            return inputs
        low, high = self._interface.input_range
        return (inputs - (low + high) / 2) * (2 / (high - low))

    def _standard_outputs(self, outputs: OutputSequences) -> OutputSequences:
        if self._interface.output_kind == "categorical":
            return outputs
        centre, spread = self._interface.output_scale
        return ((outputs - centre) / spread).clamp(-_LARGEST_OUTPUT, _LARGEST_OUTPUT)


def kinds_of(sequences: Sequences, spec: RNNSpec, output_kind: Kind | None = None) -> Interface:
    """Return the interface of RNNs that read some sequences.

    Args:
        sequences: inputs like those that the RNNs are made for.
        spec: the RNNs' architecture.
        output_kind: kind of the outputs; by default tokens where inputs are tokens and there are as many outputs.
    """
    same_tokens = sequences.kind == "categorical" and spec.input_size == spec.output_size
    return Interface(
        input_kind=sequences.kind,
        output_kind=output_kind or ("categorical" if same_tokens else "continuous"),
        first_input=sequences.first_input,
        input_range=sequences.range,
    )


def _scale(outputs: Tensor) -> tuple[float, float]:
    """Compute the centre and spread of numbers, robust against a few RNNs that diverge.

    They are the median, and the standard deviation of a normal distribution with the same 5 % and 95 % quantiles.
    """
    low, centre, high = np.quantile(outputs.double().numpy(), [0.05, 0.5, 0.95])
    spread = (high - low) / (2 * 1.645)
    return float(centre), float(spread) if spread > 0 else 1.0


def split_by_run(runs: Sequence[Any] | np.ndarray, share: float, seed: int) -> Bool[np.ndarray, " N"]:
    """Return a mask of held-out RNNs: those of a share of the runs, drawn at random, at least one run.

    Args:
        runs: training run of each RNN; the snapshots of a run stay together.
        share: share of the runs to hold out, between 0 and 1.
        seed: seed of the draw.

    Raises:
        UsageError: if the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UsageError(f"validation_share={share}", remedy="give a number between 0 and 1, such as 0.2.")
    _, numbers = np.unique(np.asarray(runs), return_inverse=True)
    count = max(1, round(share * (numbers.max() + 1)))
    chosen = numpy_generator(seed, "validation RNNs").permutation(numbers.max() + 1)[:count]
    return np.isin(numbers, chosen)
