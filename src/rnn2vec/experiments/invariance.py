"""Which changes of the weights an encoder notices (paper, Appendix F.2, Figures 16 and 17).

Six parts of an RNN's weights must be renumbered together for its function to stay. Ideally a representation stays
exactly when the function does: unmoved by the complete renumbering and by flipped signs, moved when any part is left
behind. How far something moved is said as a share of how far it would be to an entirely different RNN:

    |E(changed) - E(rnn)| / |E(other) - E(rnn)|

0 is unmoved; 1 is as different as another RNN. For the RNNs themselves E is their outputs on given inputs. Everything
is computed in float64, so that rounding (about 1e-15) and being moved a little cannot be mistaken for each other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import torch_generator
from rnn2vec._shapes import InputSequences
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

UNMOVED = 1e-10
"""Shares below are rounding: unmoved."""

PARTS = ("input rows", "recurrent rows", "input bias", "recurrent bias", "recurrent columns", "reader columns")
"""What must be renumbered together. The reader is the next layer, or the readout."""

_ROWS = {
    "input rows": "weight_ih",
    "recurrent rows": "weight_hh",
    "input bias": "bias_ih",
    "recurrent bias": "bias_hh",
}

Change = Callable[[RNNStack], RNNStack]
Measure = Callable[[RNNStack], Float[Tensor, "N K"]]
"""What is compared: a vector for each RNN."""


def renumbered(stack: RNNStack, generator: torch.Generator, *, left_out: str | None = None) -> RNNStack:
    """Renumber the hidden units of every layer at random, each RNN in its own way; one part can stay behind.

    Args:
        stack: N RNNs with at least 2 hidden units.
        generator: where the permutations are drawn from.
        left_out: one of `PARTS`.

    Raises:
        UsageError: there is no such part.
    """
    if left_out is not None and left_out not in PARTS:
        raise UsageError(f"left_out={left_out!r}", remedy=f"leave one of these out: {', '.join(PARTS)}.")
    for layer in range(stack.spec.num_layers):
        keys = torch.rand(len(stack), stack.spec.hidden_size, generator=generator)
        permutation = keys.argsort(dim=1).to(stack.weights["readout.bias"].device)
        whole = stack.permute_neurons(layer, permutation)
        stack = whole if left_out is None else _without(stack, whole, layer, permutation, left_out)
    return stack


def _without(before: RNNStack, after: RNNStack, layer: int, permutation: Tensor, part: str) -> RNNStack:
    """Undo one part of a renumbering."""
    weights = dict(after.weights)
    if part in _ROWS:
        name = f"rnn.{_ROWS[part]}_l{layer}"
        weights[name] = before.weights[name]
        if part == "recurrent rows":  # its columns are a part of their own
            weights[name] = _columns(weights[name], permutation)
    else:
        recurrent, reader = symmetry.reading(before.spec, layer)
        name = recurrent if part == "recurrent columns" else reader
        weights[name] = _columns(weights[name], permutation.argsort(dim=1))
    return RNNStack(before.spec, weights)


def _columns(weight: Float[Tensor, "N R H"], permutation: Tensor) -> Float[Tensor, "N R H"]:
    return weight.gather(2, permutation.unsqueeze(1).expand_as(weight))


def changes(spec: RNNSpec, seed: int) -> dict[str, Change]:
    """The changes that are looked at, by name: `complete`, one for each of `PARTS` left out, and `signs`.

    Args:
        spec: the architecture; ReLU RNNs have no signs to flip.
        seed: where permutations and signs come from.
    """

    def renumbering(left_out: str | None) -> Change:
        # The same permutations for all, so that the columns of the table differ in what is left out alone.
        return lambda stack: renumbered(stack, torch_generator(seed, "renumbered"), left_out=left_out)

    def flipped(stack: RNNStack) -> RNNStack:
        return RNNStack(stack.spec, symmetry.flip_randomly(stack.spec, stack.weights, torch_generator(seed, "signs")))

    result: dict[str, Change] = {"complete": renumbering(None)}
    result |= {f"without {part}": renumbering(part) for part in PARTS}
    return result if symmetry.candidate_gate(spec.cell) is None else {**result, "signs": flipped}


@dataclass(frozen=True)
class Movement:
    """How far a measure of N RNNs moved under one change, as shares of the way to other RNNs."""

    median: float
    """Of the RNNs."""
    low: float
    """The 5th percentile."""
    high: float
    """The 95th percentile."""
    largest: float
    """Of all; what an invariance is judged by."""

    @property
    def is_unmoved(self) -> bool:
        """Whether no RNN's measure moved by more than rounding."""
        return self.largest < UNMOVED


@torch.no_grad()
def movements(measure: Measure, stack: RNNStack, *, seed: int = 0) -> dict[str, Movement]:
    """How far each change moves a measure.

    Args:
        measure: a vector for each RNN, such as an encoder in float64; see `representations` and `outputs`.
        stack: at least 2 RNNs. Each one's `other` is drawn from the rest.
        seed: where permutations, signs and the choice of others come from.

    Raises:
        UsageError: there are fewer than 2 RNNs.
    """
    if len(stack) < 2:
        raise UsageError(f"{len(stack)} RNN to compare with others", remedy="give at least 2 RNNs.")
    stack = stack.to(torch.float64)
    steps = torch.randint(1, len(stack), (len(stack),), generator=torch_generator(seed, "others"))
    original = measure(stack)
    other = original[(torch.arange(len(stack)) + steps) % len(stack)]
    scale = (other - original).norm(dim=1)
    result: dict[str, Movement] = {}
    for name, change in changes(stack.spec, seed).items():
        moved = (measure(change(stack)) - original).norm(dim=1)
        shares = torch.where(moved == 0, 0.0, moved / scale).cpu().numpy()  # 0 of 0 is unmoved
        low, median, high = np.quantile(shares, [0.05, 0.5, 0.95])
        result[name] = Movement(float(median), float(low), float(high), float(shares.max()))
    return result


def representations(encoder: WeightEncoder) -> Measure:
    """An encoder as a measure: its representations, in float64."""
    return copy.deepcopy(encoder).double().eval()


def outputs(inputs: InputSequences) -> Measure:
    """The RNNs themselves as a measure: all outputs on these inputs, one set of sequences for each RNN."""
    inputs = inputs.double()
    return lambda stack: stack(inputs)[0].flatten(1)


def invariance_table(
    encoders: Mapping[str, WeightEncoder], stack: RNNStack, inputs: InputSequences, *, seed: int = 0
) -> dict[str, dict[str, Movement]]:
    """The table of Figures 16 and 17: a row for the RNNs themselves (`RNN`), and one for each encoder.

    Args:
        encoders: by name.
        stack: N RNNs.
        inputs: sequences for the RNNs, `(N, B, T, I)`.
        seed: where permutations and signs come from; the same in every row.
    """
    rows = {"RNN": movements(outputs(inputs), stack, seed=seed)}
    return rows | {name: movements(representations(encoder), stack, seed=seed) for name, encoder in encoders.items()}


@dataclass(frozen=True)
class Learned:
    """What training did to how far an encoder is moved by a change that leaves every RNN's function as it is."""

    before: float
    """Median share before training."""
    after: float
    """Median share after it."""

    @property
    def ratio(self) -> float:
        """What is left of it: 0 is an invariance learned, 1 is nothing learned."""
        return self.after / self.before


def learned_invariance(
    before: Mapping[str, Mapping[str, Movement]], after: Mapping[str, Mapping[str, Movement]]
) -> dict[str, dict[str, Learned]]:
    """What training did to the encoders that are moved by changes of the weights alone, not of the function.

    Args:
        before: of untrained encoders, as `invariance_table` makes it.
        after: of the same encoders, or some of them, trained.

    Returns:
        By encoder, and by `complete` and `signs` where that moved it.
    """
    result: dict[str, dict[str, Learned]] = {}
    for name, row in before.items():
        if name not in after:
            continue
        moved = {
            change: Learned(row[change].median, after[name][change].median)
            for change in ("complete", "signs")
            if change in row and not row[change].is_unmoved
        }
        if moved:
            result[name] = moved
    return result
