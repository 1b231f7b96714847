"""The paper's Table 1, measured: the growth of encoders with the RNN's size, and the RNNs they can distinguish.

The paper calls an encoder *universal* if it can approximate any function of the weights. Two constructions test this,
one in each direction:

- `same_statistics`: RNNs with the same layer-wise statistics and different behaviour. An encoder that does not
  distinguish them (statistics) cannot represent their behaviour.
- `same_behaviour`: RNNs with different weights, not related by a permutation, and the same behaviour for every input.
  An encoder that does not distinguish them (probing) is not universal in the *weights*. For representing behaviour that
  is an advantage, since it ignores only what has no effect.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec._seeding import torch_generator
from rnn2vec._shapes import InputSequences
from rnn2vec.encoders.base import WeightEncoder, count_parameters
from rnn2vec.experiments.invariance import Measure, Movement, movements, outputs, representations
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

HIDDEN_SIZES = (8, 16, 32, 64, 128, 256)
"""Hidden sizes for which encoder parameters are counted by default."""


@dataclass(frozen=True)
class Growth:
    """The number of an encoder's parameters as a function of the RNNs' hidden size N."""

    hidden_sizes: tuple[int, ...]
    """Hidden sizes N."""
    parameters: tuple[int, ...]
    """Number of the encoder's parameters for each N."""

    @property
    def exponent(self) -> float:
        """Exponent p of the growth a + b N^p; 0 if the number does not depend on N.

        The exponent is fitted to the increases between successive N, which do not depend on a. Terms of lower order
        bias it slightly downwards: the fit gives 1.95 for flattened weights instead of 2.
        """
        increases = np.diff(self.parameters)
        if not increases.any():
            return 0.0
        return float(np.polyfit(np.log(self.hidden_sizes[:-1]), np.log(increases), 1)[0])


def growth(name: str, spec: RNNSpec, interface: Interface, hidden_sizes: Sequence[int] = HIDDEN_SIZES) -> Growth:
    """Count an encoder's parameters for RNNs of several sizes.

    Args:
        name: name of the encoder in the registry.
        spec: architecture of the RNNs; its hidden size is replaced.
        interface: kinds of the RNNs' inputs and outputs.
        hidden_sizes: at least 3 sizes that grow by a constant factor.

    Raises:
        UsageError: if the sizes do not grow by a constant factor.
    """
    factors = {after / before for before, after in itertools.pairwise(hidden_sizes)}
    if len(hidden_sizes) < 3 or len(factors) != 1 or factors.pop() <= 1:
        raise UsageError(
            f"hidden sizes {tuple(hidden_sizes)}",
            remedy="give at least 3 that grow by a constant factor, such as 8, 16, 32.",
        )
    counts: list[int] = []
    for size in hidden_sizes:
        with torch.device("meta"):  # shapes alone: no memory, no random numbers
            encoder = encoders.ENCODERS[name](dataclasses.replace(spec, hidden_size=size), interface=interface)
        counts.append(count_parameters(encoder))
    return Growth(tuple(hidden_sizes), tuple(counts))


def same_statistics(stack: RNNStack, generator: torch.Generator) -> RNNStack:
    """Shuffle the entries of every weight tensor, which keeps all layer-wise statistics.

    Args:
        stack: N RNNs.
        generator: source of the shuffles, different for each RNN and tensor.
    """
    shuffled: dict[str, Tensor] = {}
    for name, weight in stack.weights.items():
        order = torch.rand(weight.flatten(1).shape, generator=generator).argsort(dim=1).to(weight.device)
        shuffled[name] = weight.flatten(1).gather(1, order).view_as(weight)
    return RNNStack(stack.spec, shuffled)


def same_behaviour(stack: RNNStack, generator: torch.Generator) -> tuple[RNNStack, RNNStack]:
    """Build two versions of each RNN with the same behaviour that are not related by a permutation.

    The first hidden unit of every layer is disconnected from all its readers, so its activity has no effect. The second
    version has different weights in this unit.

    Args:
        stack: N RNNs.
        generator: source of the different weights.
    """
    spec = stack.spec
    mute = dict(stack.weights)
    for layer in range(spec.num_layers):
        for name in symmetry.reading(spec, layer):
            columns = torch.arange(spec.hidden_size, device=mute[name].device)
            mute[name] = torch.where(columns == 0, 0.0, mute[name])
    other = dict(mute)
    for layer in range(spec.num_layers):
        for name in symmetry.rows_of(spec, layer):
            rows = torch.arange(mute[name].shape[1], device=mute[name].device)
            is_mute_unit = (rows % spec.hidden_size == 0).view(-1, *[1] * (mute[name].dim() - 2))
            factors = 2 * torch.rand(mute[name].shape, generator=generator).to(mute[name])  # columns of 0 stay 0
            other[name] = torch.where(is_mute_unit, factors * mute[name], mute[name])
    return RNNStack(spec, mute), RNNStack(spec, other)


@dataclass(frozen=True)
class EncoderRow:
    """A row of the table; distances are relative to the distance between two RNNs of the stack."""

    growth: Growth | None
    """Number of parameters against hidden size; None for the RNNs themselves."""
    permuted: Movement
    """Movement under a complete permutation of the hidden units."""
    same_statistics: float
    """Median distance between RNNs with the same statistics and different behaviour."""
    same_behaviour: float
    """Median distance between RNNs with the same behaviour and different weights."""

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON-ready values."""
        exponent = None if self.growth is None else self.growth.exponent
        return {**dataclasses.asdict(self), "exponent": exponent}


@torch.no_grad()
def encoder_table(
    models: Mapping[str, WeightEncoder], stack: RNNStack, inputs: InputSequences, *, seed: int = 0
) -> dict[str, EncoderRow]:
    """Measure Table 1: a row for the RNNs' outputs (`RNN`), and one for each encoder.

    Args:
        models: encoders by their names in the registry.
        stack: at least 2 RNNs.
        inputs: sequences for the RNNs, `(N, B, T, I)`.
        seed: seed of permutations and constructions.

    Raises:
        UsageError: if there are fewer than 2 RNNs.
    """
    stack = stack.to(torch.float64)
    shuffled = same_statistics(stack, torch_generator(seed, "same statistics"))
    one, other = same_behaviour(stack, torch_generator(seed, "same behaviour"))
    measures: dict[str, Measure] = {"RNN": outputs(inputs)}
    measures |= {name: representations(encoder) for name, encoder in models.items()}
    rows: dict[str, EncoderRow] = {}
    for name, measure in measures.items():
        grown = growth(name, stack.spec, models[name].interface) if name in models else None
        permuted = movements(measure, stack, seed=seed)["complete"]
        distances = [_distance(measure, a, b, stack) for a, b in ((stack, shuffled), (one, other))]
        rows[name] = EncoderRow(grown, permuted, *distances)
    return rows


def _distance(measure: Measure, one: RNNStack, other: RNNStack, scale: RNNStack) -> float:
    reference = measure(scale)
    unrelated = (reference - reference.roll(1, dims=0)).norm(dim=1)
    return float(((measure(one) - measure(other)).norm(dim=1) / unrelated).median())
