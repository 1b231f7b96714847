"""Augmentation with function-preserving changes of the weights, for encoders that are not invariant to them."""

from __future__ import annotations

from rnn2vec._seeding import torch_generator
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.stack import RNNStack


def augmented(
    encoder: WeightEncoder, rnns: RNNStack, *, seed: int, step: int, permutations: bool = True, signs: bool = False
) -> RNNStack:
    """Change the weights of RNNs at random without changing their functions.

    Changes to which the encoder is invariant are skipped.

    Args:
        encoder: encoder to be trained on the RNNs.
        rnns: N RNNs.
        seed: seed of the run.
        step: number of the update, which selects the random stream.
        permutations: permute hidden units.
        signs: flip the signs of hidden units.
    """
    weights = rnns.weights
    if permutations and encoder.augmentable:
        weights = symmetry.permute_randomly(rnns.spec, weights, torch_generator(seed, "augment", step))
    if signs and encoder.sign_augmentable:
        weights = symmetry.flip_randomly(rnns.spec, weights, torch_generator(seed, "augment signs", step))
    return RNNStack(rnns.spec, weights)
