"""Invariances of encoders to changes of the weights (paper, Appendix F.2, Figures 16 and 17).

Permuting hidden units keeps an RNN's function only if six parts of its weights are permuted together. Ideally a
representation changes exactly when the function does: it is invariant to the complete permutation and to sign flips,
and it moves when one part is left out. A movement is measured relative to the distance to an unrelated RNN:

    |E(changed) - E(rnn)| / |E(other) - E(rnn)|

0 means unmoved, 1 means as different as another RNN. For the RNNs themselves, E is their outputs on given inputs.
Everything is computed in float64, so that rounding (about 1e-15) cannot be mistaken for a small movement.
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
"""Movement below which a change counts as rounding."""

PARTS = ("input rows", "recurrent rows", "input bias", "recurrent bias", "recurrent columns", "reader columns")
"""Parts of the weights that must be permuted together. The reader is the next layer, or the readout."""

_ROWS = {
    "input rows": "weight_ih",
    "recurrent rows": "weight_hh",
    "input bias": "bias_ih",
    "recurrent bias": "bias_hh",
}

Change = Callable[[RNNStack], RNNStack]
"""A change of the weights."""
Measure = Callable[[RNNStack], Float[Tensor, "N K"]]
"""A function from RNNs to the vectors that are compared, one per RNN."""


def permuted(stack: RNNStack, generator: torch.Generator, *, left_out: str | None = None) -> RNNStack:
    """Permute the hidden units of every layer at random, with a different permutation for each RNN.

    Args:
        stack: N RNNs with at least 2 hidden units.
        generator: source of the permutations.
        left_out: one of `PARTS` to leave unpermuted; None to permute all.

    Raises:
        UsageError: if `left_out` is not one of `PARTS`.
    """
    if left_out is not None and left_out not in PARTS:
        raise UsageError(f"left_out={left_out!r}", remedy=f"give one of: {', '.join(PARTS)}.")
    for layer in range(stack.spec.num_layers):
        keys = torch.rand(len(stack), stack.spec.hidden_size, generator=generator)
        permutation = keys.argsort(dim=1).to(stack.weights["readout.bias"].device)
        whole = stack.permute_neurons(layer, permutation)
        stack = whole if left_out is None else _without(stack, whole, layer, permutation, left_out)
    return stack


def _without(before: RNNStack, after: RNNStack, layer: int, permutation: Tensor, part: str) -> RNNStack:
    """Undo one part of a permutation."""
    weights = dict(after.weights)
    if part in _ROWS:
        name = f"rnn.{_ROWS[part]}_l{layer}"
        weights[name] = before.weights[name]
        if part == "recurrent rows":  # the columns of this matrix are a separate part, permuted as before
            weights[name] = _columns(weights[name], permutation)
    else:
        *recurrent, reader = symmetry.reading(before.spec, layer)
        name = recurrent[0] if part == "recurrent columns" else reader
        weights[name] = _columns(weights[name], permutation.argsort(dim=1))
    return RNNStack(before.spec, weights)


def _columns(weight: Float[Tensor, "N R H"], permutation: Tensor) -> Float[Tensor, "N R H"]:
    return weight.gather(2, permutation.unsqueeze(1).expand_as(weight))


def changes(spec: RNNSpec, seed: int) -> dict[str, Change]:
    """List the changes to test, by name: `complete`, one that leaves out each of `PARTS`, and `signs`.

    Args:
        spec: the architecture; ReLU RNNs have no sign-flip symmetry, hence no `signs`.
        seed: seed of permutations and signs.
    """

    def permutation(left_out: str | None) -> Change:
        # All use the same permutations, so that the columns of the table differ only in the part left out.
        return lambda stack: permuted(stack, torch_generator(seed, "renumbered"), left_out=left_out)

    def flipped(stack: RNNStack) -> RNNStack:
        return RNNStack(stack.spec, symmetry.flip_randomly(stack.spec, stack.weights, torch_generator(seed, "signs")))

    result: dict[str, Change] = {"complete": permutation(None)}
    result |= {f"without {part}": permutation(part) for part in PARTS}
    return result if symmetry.candidate_gate(spec.cell) is None else {**result, "signs": flipped}


@dataclass(frozen=True)
class Movement:
    """The movement of a measure under one change over N RNNs, relative to the distance to other RNNs."""

    median: float
    """Median over the RNNs."""
    low: float
    """The 5th percentile."""
    high: float
    """The 95th percentile."""
    largest: float
    """Maximum, which decides if the measure is invariant."""

    @property
    def is_unmoved(self) -> bool:
        """True if the measure of every RNN moved by no more than rounding."""
        return self.largest < UNMOVED


@torch.no_grad()
def movements(measure: Measure, stack: RNNStack, *, seed: int = 0) -> dict[str, Movement]:
    """Measure how far each change moves a measure.

    Args:
        measure: function to a vector per RNN in float64, such as an encoder; see `representations` and `outputs`.
        stack: at least 2 RNNs; the reference distance of each is that to another RNN, drawn at random.
        seed: seed of permutations, signs and reference RNNs.

    Raises:
        UsageError: if there are fewer than 2 RNNs.
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
    """Turn an encoder into a measure: its representations, in float64."""
    return copy.deepcopy(encoder).double().eval()


def outputs(inputs: InputSequences) -> Measure:
    """Turn the RNNs' behaviour into a measure: their outputs on the inputs (N, B, T, I), flattened to (N, B*T*O)."""
    inputs = inputs.double()
    return lambda stack: stack(inputs)[0].flatten(1)


def invariance_table(
    encoders: Mapping[str, WeightEncoder], stack: RNNStack, inputs: InputSequences, *, seed: int = 0
) -> dict[str, dict[str, Movement]]:
    """Measure the table of Figures 16 and 17: a row for the RNNs themselves (`RNN`), and one for each encoder.

    Args:
        encoders: encoders by name.
        stack: N RNNs.
        inputs: sequences for the RNNs, `(N, B, T, I)`.
        seed: seed of permutations and signs, shared by all rows.
    """
    rows = {"RNN": movements(outputs(inputs), stack, seed=seed)}
    return rows | {name: movements(representations(encoder), stack, seed=seed) for name, encoder in encoders.items()}


@dataclass(frozen=True)
class Learned:
    """The movement of an encoder under a function-preserving change, before and after training."""

    before: float
    """Median movement before training."""
    after: float
    """Median movement after training."""

    @property
    def ratio(self) -> float:
        """Ratio of the movement after training to that before: 0 is a learned invariance, 1 is no change."""
        return self.after / self.before


def learned_invariance(
    before: Mapping[str, Mapping[str, Movement]], after: Mapping[str, Mapping[str, Movement]]
) -> dict[str, dict[str, Learned]]:
    """Compare the movements of encoders under function-preserving changes before and after training.

    Args:
        before: table of untrained encoders, from `invariance_table`.
        after: table of the same encoders, or some of them, after training.

    Returns:
        Comparisons by encoder, then by `complete` and `signs`, for the changes that moved the untrained encoder.
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
