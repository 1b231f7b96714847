"""The same functions with other weights: training data for encoders that do not see that they are the same."""

from __future__ import annotations

from rnn2vec._seeding import torch_generator
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.stack import RNNStack


def augmented(
    encoder: WeightEncoder, rnns: RNNStack, *, seed: int, step: int, permutations: bool = True, signs: bool = False
) -> RNNStack:
    """RNNs as they are, or changed at random in ways that leave their functions as they are.

    Args:
        encoder: only what makes a difference to it is done.
        rnns: N RNNs.
        seed: where the changes come from ...
        step: ... in this update.
        permutations: renumber hidden units.
        signs: flip signs of hidden units.
    """
    weights = rnns.weights
    if permutations and encoder.augmentable:
        weights = symmetry.permute_randomly(rnns.spec, weights, torch_generator(seed, "augment", step))
    if signs and encoder.sign_augmentable:
        weights = symmetry.flip_randomly(rnns.spec, weights, torch_generator(seed, "augment signs", step))
    return RNNStack(rnns.spec, weights)
