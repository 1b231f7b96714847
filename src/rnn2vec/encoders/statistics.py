"""Layer-wise statistics (Unterthiner et al. 2020; paper, Section 3): a few numbers per weight tensor.

Each tensor is summed up by its mean, standard deviation, and quantiles 0, 1/4, 1/2, 3/4 and 1. Hidden units can be
renumbered without changing any of them, but so can much else: RNNs with the same statistics can do different things.

RNNs of every cell and size have the same number of them, as long as they have the same number of layers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

NUM_STATISTICS = 7


def layer_statistics(stack: RNNStack) -> Float[Tensor, "N S"]:
    """Seven statistics of each weight tensor of each RNN, side by side: mean, std, min, quartiles, max."""
    return torch.cat([_statistics(weight.flatten(1)) for weight in stack.weights.values()], dim=1)


def _statistics(numbers: Float[Tensor, "N K"]) -> Float[Tensor, "N 7"]:
    levels = torch.linspace(0, 1, 5, dtype=numbers.dtype, device=numbers.device)
    mean, std = numbers.mean(dim=1), numbers.std(dim=1, correction=0)
    return torch.cat([torch.stack([mean, std], dim=1), numbers.quantile(levels, dim=1).T], dim=1)


class LayerwiseStatistics(WeightEncoder):
    """An MLP on layer-wise statistics.

    Args:
        spec: the architecture of the RNNs.
        interface: not looked at; every encoder has it.
        representation_size: entries of a representation.
        unit_norm: whether representations are scaled to length 1.
        hidden_size: width of the three hidden layers.
    """

    name = "layerwise-statistics"
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        interface: Interface,
        representation_size: int = 16,
        unit_norm: bool = True,
        hidden_size: int = 768,
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
        inputs = NUM_STATISTICS * len(spec.parameter_shapes)
        self.layers = mlp(inputs, hidden_size, hidden_size, hidden_size, representation_size)

    def check(self, rnns: RNNs) -> None:
        """Check that the RNNs have as many weight tensors, and so as many statistics; cells and sizes may differ."""
        if not isinstance(rnns, RNNStack):
            super().check(rnns)  # a black box has no weights
        elif rnns.spec.num_layers != self.spec.num_layers:
            given, own = (len(spec.parameter_shapes) for spec in (rnns.spec, self.spec))
            raise UsageError(
                f"the RNNs ({rnns.spec}) have {given} weight tensors, but this {self.name} encoder was made for "
                f"statistics of {own} ({self.spec})",
                remedy=f"give RNNs of {self.spec.num_layers} layers, of any cell and size, or take a probing encoder.",
            )

    def encode(self, rnns: RNNs) -> Representation:
        """See `WeightEncoder.encode`."""
        assert isinstance(rnns, RNNStack)
        return self.layers(layer_statistics(rnns))
