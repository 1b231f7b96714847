"""The paper's Table 1 as a measurement: how encoders grow with the RNN, and what they can and cannot tell apart.

The paper argues that an encoder is *universal* if it can approximate any function of the weights. Two counterexamples
make it concrete, one on each side:

- `same_statistics`: RNNs with the same layer-wise statistics and different behaviour. An encoder that cannot tell
  them apart (statistics) cannot say what they do.
- `same_behaviour`: RNNs with different weights and the same behaviour for every input, beyond any renumbering. An
  encoder that cannot tell them apart (probing) is no universal function of the *weights*, and for saying what an RNN
  does that is a virtue: all that it gives up is what makes no difference.
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


@dataclass(frozen=True)
class Growth:
    """An encoder's parameters against the hidden size N of the RNNs that it reads."""

    hidden_sizes: tuple[int, ...]
    """N."""
    parameters: tuple[int, ...]
    """Of the encoder, for each N."""

    @property
    def exponent(self) -> float:
        """The p of a growth by a + b N^p: 0 where the number is the same for all N.

        Fitted to the increases from each N to the next, which the constant a has no part in. Terms of lower order
        pull it down a little: the 2 of flattened weights is seen as 1.95.
        """
        increases = np.diff(self.parameters)
        if not increases.any():
            return 0.0
        return float(np.polyfit(np.log(self.hidden_sizes[:-1]), np.log(increases), 1)[0])


def growth(name: str, spec: RNNSpec, interface: Interface, hidden_sizes: Sequence[int] = HIDDEN_SIZES) -> Growth:
    """Count an encoder's parameters for RNNs of several sizes.

    Args:
        name: the encoder's.
        spec: the architecture; its hidden size is replaced.
        interface: kinds of the RNNs' inputs and outputs.
        hidden_sizes: growing by the same factor each time, at least 3.

    Raises:
        UsageError: the sizes do not grow by one factor.
    """
    factors = {after / before for before, after in itertools.pairwise(hidden_sizes)}
    if len(hidden_sizes) < 3 or len(factors) != 1 or factors.pop() <= 1:
        raise UsageError(f"hidden sizes {tuple(hidden_sizes)}", remedy="give at least 3, such as 8, 16, 32.")
    counts: list[int] = []
    for size in hidden_sizes:
        with torch.device("meta"):  # shapes alone: no memory, no random numbers
            encoder = encoders.ENCODERS[name](dataclasses.replace(spec, hidden_size=size), interface=interface)
        counts.append(count_parameters(encoder))
    return Growth(tuple(hidden_sizes), tuple(counts))


def same_statistics(stack: RNNStack, generator: torch.Generator) -> RNNStack:
    """RNNs with the same numbers in every weight tensor, at other places: all layer-wise statistics are the same."""
    shuffled: dict[str, Tensor] = {}
    for name, weight in stack.weights.items():
        order = torch.rand(weight.flatten(1).shape, generator=generator).argsort(dim=1).to(weight.device)
        shuffled[name] = weight.flatten(1).gather(1, order).view_as(weight)
    return RNNStack(stack.spec, shuffled)


def same_behaviour(stack: RNNStack, generator: torch.Generator) -> tuple[RNNStack, RNNStack]:
    """Two versions of each RNN that do the same for every input, and are no renumbering of each other.

    The first hidden unit of every layer is made mute: nothing reads it. What it computes is then without consequence,
    and the second version computes something else there.
    """
    spec = stack.spec
    mute = dict(stack.weights)
    for layer in range(spec.num_layers):
        for name in symmetry.reading(spec, layer):
            columns = torch.arange(spec.hidden_size, device=mute[name].device)
            mute[name] = torch.where(columns == 0, 0.0, mute[name])
    other = dict(mute)
    for layer in range(spec.num_layers):
        for name in symmetry.computing(layer):
            rows = torch.arange(spec.num_gates * spec.hidden_size, device=mute[name].device)
            is_mute_unit = (rows % spec.hidden_size == 0).view(-1, *[1] * (mute[name].dim() - 2))
            factors = 2 * torch.rand(mute[name].shape, generator=generator).to(mute[name])  # columns of 0 stay 0
            other[name] = torch.where(is_mute_unit, factors * mute[name], mute[name])
    return RNNStack(spec, mute), RNNStack(spec, other)


@dataclass(frozen=True)
class EncoderRow:
    """One row of the table. Movements are shares of the distance between any two RNNs."""

    growth: Growth | None
    """Parameters against hidden size; None for the RNNs themselves."""
    permuted: Movement
    """Under a complete renumbering of the hidden units."""
    same_statistics: float
    """Median distance between RNNs with the same statistics and different behaviour."""
    same_behaviour: float
    """Median distance between RNNs with the same behaviour and different weights."""

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON-ready values."""
        exponent = None if self.growth is None else self.growth.exponent
        return {**dataclasses.asdict(self), "exponent": exponent}


@torch.no_grad()
def encoder_table(
    models: Mapping[str, WeightEncoder], stack: RNNStack, inputs: InputSequences, *, seed: int = 0
) -> dict[str, EncoderRow]:
    """Table 1, measured: a row for the RNNs' outputs (`RNN`), and one for each encoder.

    Args:
        models: encoders by their names in the registry.
        stack: at least 2 RNNs.
        inputs: sequences for the RNNs, `(N, B, T, I)`.
        seed: where permutations and counterexamples come from.
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
    at = measure(scale)
    apart = (at - at.roll(1, dims=0)).norm(dim=1)
    return float(((measure(one) - measure(other)).norm(dim=1) / apart).median())
