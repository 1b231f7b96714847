"""Flattened weights (paper, Section 3): an MLP on the vector of all weights.

The encoder is universal, but it must learn the permutation symmetry of hidden units from examples: train it with
permutation augmentation.
"""

from __future__ import annotations

from typing import Any

from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack


class FlattenedWeights(WeightEncoder):
    """An MLP on the flat weights.

    Args:
        spec: architecture of the RNNs.
        hidden_size: width of the three hidden layers.
        **options: arguments of `WeightEncoder`.
    """

    name = "flattened-weights"
    augmentable = True
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        hidden_size: int = 128,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        self.layers = mlp(spec.num_parameters, hidden_size, hidden_size, hidden_size, self.representation_size)

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs as `WeightEncoder.encode` defines."""
        assert isinstance(rnns, RNNStack)
        return self.layers(rnns.flatten())
