"""Layer-wise statistics (Unterthiner et al. 2020; paper, Section 3): a few numbers per weight tensor.

Each tensor is summarized by its mean, standard deviation, and quantiles 0, 1/4, 1/2, 3/4 and 1. These are invariant to
permutations of hidden units, but also to any other rearrangement of the entries, so RNNs with the same statistics can
behave differently.

The number of statistics depends only on the number of layers, not on the cell and the sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

NUM_STATISTICS = 7
"""Number of statistics per weight tensor."""


def layer_statistics(stack: RNNStack) -> Float[Tensor, "N S"]:
    """Compute seven statistics of each weight tensor, concatenated: mean, std, min, quartiles, max."""
    return torch.cat([_statistics(weight.flatten(1)) for weight in stack.weights.values()], dim=1)


def _statistics(numbers: Float[Tensor, "N K"]) -> Float[Tensor, "N 7"]:
    mean, std = numbers.mean(dim=1), numbers.std(dim=1, correction=0)
    return torch.cat([torch.stack([mean, std], dim=1), _quartiles(_in_order(numbers))], dim=1)


def _in_order(numbers: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """Sort each row in ascending order, which is most of the work here.

    NumPy's vectorized sort takes a tenth of the time of torch's. It has no gradients, which the weights of a zoo do not
    need.
    """
    if numbers.requires_grad or numbers.device.type != "cpu" or numbers.dtype not in {torch.float32, torch.float64}:
        return numbers.sort(dim=1).values
    return torch.from_numpy(np.sort(numbers.numpy(), axis=1))


def _quartiles(in_order: Float[Tensor, "N K"]) -> Float[Tensor, "N 5"]:
    """Compute quantiles 0, 1/4, 1/2, 3/4 and 1 of sorted rows with linear interpolation, like NumPy."""
    places = torch.linspace(0, in_order.shape[1] - 1, 5, dtype=torch.float64)
    below, above = places.floor().long(), places.ceil().long()
    return torch.lerp(in_order[:, below], in_order[:, above], (places - below).to(in_order))


class LayerwiseStatistics(WeightEncoder):
    """An MLP on layer-wise statistics.

    Args:
        spec: architecture of the RNNs.
        hidden_size: width of the three hidden layers.
        **options: arguments of `WeightEncoder`.
    """

    name = "layerwise-statistics"
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        hidden_size: int = 768,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        inputs = NUM_STATISTICS * len(spec.parameter_shapes)
        self.layers = mlp(inputs, hidden_size, hidden_size, hidden_size, self.representation_size)

    def check(self, rnns: RNNs) -> None:
        """Check that the RNNs have the same number of weight tensors; cells and sizes may differ.

        Raises:
            UsageError: if their number of layers differs, or a black box was given.
        """
        if not isinstance(rnns, RNNStack):
            super().check(rnns)  # a black box has no weights
            return
        given, own = (len(spec.parameter_shapes) for spec in (rnns.spec, self.spec))
        if given != own:
            raise UsageError(
                f"the RNNs ({rnns.spec}) have {given} weight tensors, but this {self.name} encoder was made for "
                f"statistics of {own} ({self.spec})",
                remedy=f"give RNNs of {self.spec.num_layers} layers of such a cell, or take a probing encoder.",
            )

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs as `WeightEncoder.encode` defines."""
        assert isinstance(rnns, RNNStack)
        return self.layers(layer_statistics(rnns))
