"""Verdicts on two RNNs: equal weights, equal up to a symmetry, equal as far as asked, near, or different.

Weights come first, because they give a proof in milliseconds. Permuting hidden units and flipping their signs leaves
the function as it is and only moves and negates numbers, which is exact: each unit is described by the numbers that no
permutation touches, units with equal descriptions are matched, and the match counts only if every weight then agrees
bit for bit. Otherwise both RNNs answer the same inputs, and the verdict says on how many and how far apart they were.

Black boxes that answer at random are compared by their distributions: a permutation test on the energy distance
(Szekely and Rizzo 2004) between repeated answers, whose level is exact whatever the distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec.encoders.random_probing import step_by_step
from rnn2vec.inspection.difference import Disagreement, answer_distance, require_comparable, shortest
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.reading.files import load_rnn
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.zoo.store import Zoo

Kind = Literal["identical", "symmetric", "same function", "near", "different"]
_ROUNDING = 1e-4
"""Largest distance that float32 rounding explains: total variation, or spreads of the outputs."""


@dataclass(frozen=True)
class Verdict:
    """Relation of two RNNs, with what it is based on."""

    kind: Kind
    """Relation. `identical`: the same weights; `symmetric`: the same up to permutations and signs of hidden units;
    `same function`: the same answers on all inputs that were tried; `near`: answers that differ by less than the
    margin; `different`."""
    num_sequences: int = 0
    """Inputs that both RNNs read; 0 where the weights decide."""
    num_steps: int = 0
    """Steps of each input."""
    mean_distance: float = 0.0
    """Mean distance of answers: total variation of tokens, or the largest difference of an output in spreads."""
    largest_distance: float = 0.0
    """Largest distance of answers."""
    shortest: Disagreement | None = None
    """Shortest input found on which answers differ by more than the margin."""

    def describe(self) -> str:
        """Return the verdict as a sentence."""
        asked = f"on {self.num_sequences:,} inputs of {self.num_steps} steps"
        distances = f"{self.mean_distance:.2g} apart on average, {self.largest_distance:.2g} at most"
        return {
            "identical": "identical: the same weights, bit for bit",
            "symmetric": "the same function: equal weights up to the order and signs of hidden units, matched exactly",
            "same function": f"the same function as far as asked: {asked} answers are {self.largest_distance:.2g} "
            f"apart at most (rounding: up to {_ROUNDING:g}); at most {self._unseen:.0%} of such inputs may differ",
            "near": f"near, but not the same: {asked} answers are {distances}",
            "different": f"different: {asked} answers are {distances}",
        }[self.kind]

    @property
    def _unseen(self) -> float:
        """Upper 95 % bound of the share of such inputs on which the RNNs differ, none of n having shown it."""
        return 1 - 0.05 ** (1 / max(1, self.num_sequences))

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-ready values."""
        names = ("kind", "num_sequences", "num_steps", "mean_distance", "largest_distance")
        return {**{name: getattr(self, name) for name in names}, "text": self.describe()}


@torch.no_grad()
def compare(
    one: RNNStack,
    other: RNNStack,
    inputs: Float[Tensor, "B T I"],
    interface: Interface,
    *,
    margin: float = 0.5,
) -> Verdict:
    """Compare two RNNs by their weights, then by their answers.

    Args:
        one: an RNN.
        other: another with the same inputs and outputs.
        inputs: sequences that both read where the weights do not decide.
        interface: kinds of inputs and outputs, and the unit of continuous outputs.
        margin: distance of answers above which RNNs are different.

    Raises:
        UsageError: if the RNNs cannot be compared.
    """
    require_comparable(one, other, interface, margin)
    if one.spec == other.spec:
        if torch.equal(one.flatten(), other.flatten()):
            return Verdict("identical")
        if is_symmetric(one, other):
            return Verdict("symmetric")
    distances = answer_distance(one(inputs[None])[0][0], other(inputs[None])[0][0], interface)
    largest = float(distances.max())
    kind: Kind = "same function" if largest <= _ROUNDING else "near" if largest <= margin else "different"
    return Verdict(kind, len(inputs), inputs.shape[1], float(distances.mean()), largest)


def compare_and_search(
    one: RNNStack,
    other: RNNStack,
    inputs: Float[Tensor, "B T I"],
    interface: Interface,
    *,
    margin: float = 0.5,
    max_length: int = 32,
    seed: int = 0,
) -> Verdict:
    """Compare two RNNs, and search for the shortest input that tells them apart unless their weights prove them equal.

    Args and errors are those of `compare` and of `rnn2vec.inspection.difference.shortest`.
    """
    verdict = compare(one, other, inputs, interface, margin=margin)
    if verdict.kind in {"identical", "symmetric"}:
        return verdict
    found = shortest(one, other, interface, margin=margin, max_length=max_length, seed=seed)
    kind: Kind = verdict.kind if found is None else "different"
    asked = (verdict.num_sequences, verdict.num_steps, verdict.mean_distance, verdict.largest_distance)
    return Verdict(kind, *asked, found)


# -- symmetries ------------------------------------------------------------------------------------


def is_symmetric(one: RNNStack, other: RNNStack) -> bool:
    """Return True if two RNNs of one architecture are equal up to the order and the signs of hidden units.

    Units with equal weights of their own may make the answer a false "no", never a false "yes".
    """
    spec, aligned = one.spec, dict(other.weights)
    for layer in range(spec.num_layers):
        mine, my_signs = _units(RNNStack(spec, one.weights), layer)
        theirs, their_signs = _units(RNNStack(spec, aligned), layer)
        if sorted(mine) != sorted(theirs):
            return False
        permutation = torch.empty(spec.hidden_size, dtype=torch.long)
        permutation[sorted(range(spec.hidden_size), key=mine.__getitem__)] = torch.tensor(
            sorted(range(spec.hidden_size), key=theirs.__getitem__)
        )
        aligned = symmetry.permute_neurons(spec, aligned, layer, permutation)
        if symmetry.candidate_gate(spec.cell) is not None:
            aligned = symmetry.flip_signs(spec, aligned, layer, my_signs * their_signs[permutation])
    return all(torch.equal(one.weights[name], aligned[name]) for name in aligned)


def _units(stack: RNNStack, layer: int) -> tuple[list[bytes], Float[Tensor, " H"]]:
    """Describe each hidden unit of a layer by numbers that permuting and flipping leave as they are; and its sign."""
    spec, weights = stack.spec, {name: weight[0] for name, weight in stack.weights.items()}
    recurrent = [name for name in symmetry.reading(spec, layer) if name in symmetry.rows_of(spec, layer)]
    flips = symmetry.candidate_gate(spec.cell) is not None
    signed: list[Tensor] = [weights["readout.weight"].T] if layer + 1 == spec.num_layers else []
    unsigned: list[Tensor] = []
    square: list[Tensor] = []
    for name, gates in symmetry.rows_of(spec, layer).items():
        for gate, rows in zip(gates, weights[name].unflatten(0, (len(gates), spec.hidden_size)), strict=True):
            if name in recurrent:
                square.append(rows.abs())
            else:
                is_signed = flips and gate == spec.cell_type.candidate
                (signed if is_signed else unsigned).append(rows.reshape(spec.hidden_size, -1))
    signed_part = torch.cat([torch.empty(spec.hidden_size, 0), *signed], dim=1)
    signs = torch.ones(spec.hidden_size)
    if flips:
        first = (signed_part != 0).int().argmax(dim=1, keepdim=True)
        signs = torch.where(signed_part.gather(1, first)[:, 0] < 0, -1.0, 1.0)
    described = _as_bytes(signs[:, None] * signed_part, *unsigned)
    if len(set(described)) < len(described):
        sorts = [part.sort(dim=1).values for matrix in square for part in (matrix, matrix.T)]
        described = _as_bytes(signs[:, None] * signed_part, *unsigned, *sorts)
    return described, signs


def _as_bytes(*parts: Float[Tensor, "H _"]) -> list[bytes]:
    numbers = (torch.cat(parts, dim=1) + 0.0).numpy()  # -0.0 becomes 0.0: their bytes differ
    return [row.tobytes() for row in numbers]


# -- black boxes that answer at random -------------------------------------------------------------


@dataclass(frozen=True)
class EqualityTest:
    """A test of the hypothesis that two black boxes answer alike."""

    p_value: float
    """Probability of a distance at least as large if they do; a test at level a rejects where it is at most a."""
    distance: float
    """Energy distance between the distributions of their answers."""


@torch.no_grad()
def equality_test(
    one: BlackBox,
    other: BlackBox,
    inputs: Float[Tensor, "M L I"],
    *,
    repetitions: int = 20,
    permutations: int = 999,
    seed: int = 0,
) -> EqualityTest:
    """Test whether two black boxes that may answer at random have the same distribution of answers.

    Args:
        one: a black box of one RNN; its randomness is its own.
        other: another with the same inputs and outputs.
        inputs: sequences that both read.
        repetitions: independent readings by each.
        permutations: relabellings of the readings; the smallest p-value is 1 / (permutations + 1).
        seed: draws the relabellings.

    Raises:
        UsageError: if a box holds several RNNs, or sizes differ, or there are fewer than 2 repetitions.
    """
    sizes = {(box.num_rnns, box.input_size, box.output_size) for box in (one, other)}
    if len(sizes) > 1 or one.num_rnns != 1 or repetitions < 2:
        raise UsageError(
            f"{repetitions} readings of boxes with (RNNs, inputs, outputs) {sorted(sizes)}",
            remedy="give two boxes of one RNN each with the same inputs and outputs, and at least 2 repetitions.",
        )
    readings = [step_by_step(box, inputs)[0].flatten() for box in (one, other) for _ in range(repetitions)]
    answers = torch.stack(readings).double().numpy()
    apart = np.linalg.norm(answers[:, None] - answers[None], axis=2)
    labels = np.repeat([False, True], repetitions)
    observed = _energy(apart, labels)
    generator = numpy_generator(seed, "equality test")
    drawn = [_energy(apart, generator.permutation(labels)) for _ in range(permutations)]
    at_least = sum(value >= observed - 1e-12 * abs(observed) for value in drawn)
    return EqualityTest((at_least + 1) / (permutations + 1), float(observed))


def _energy(apart: np.ndarray, labels: np.ndarray) -> float:
    """Return the energy distance of two groups from the distances of all pairs."""
    between = apart[labels][:, ~labels].mean()
    return float(2 * between - apart[labels][:, labels].mean() - apart[~labels][:, ~labels].mean())


def read_member(name: str, *, open_zoo: Callable[[str], Zoo] = Zoo.open, **hints: Unpack[Hints]) -> RNNStack:
    """Read an RNN of an index again by its name: a checkpoint's path, or `ZOO#NUMBER`.

    Args:
        name: the name.
        open_zoo: opens the zoo of a name; a cache can save reading its manifest for every RNN.
        **hints: what a checkpoint leaves open, see `rnn2vec.rnn.state_dicts.Hints`.

    Raises:
        UsageError: if there is no such file.
        DataError: if the file is damaged.
    """
    place = place_in_zoo(name)
    if place is not None:
        return open_zoo(place[0]).rnns([place[1]])
    return load_rnn(Path(name), **hints)


def place_in_zoo(name: str) -> tuple[str, int] | None:
    """Return the folder and the row that a name `ZOO#NUMBER` of an index states; None for a checkpoint."""
    zoo, _, row = name.rpartition("#")
    return (zoo, int(row)) if zoo and row.isdigit() and Path(zoo).is_dir() else None
