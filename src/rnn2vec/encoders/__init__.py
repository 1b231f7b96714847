"""Encoders: from RNNs to representations, behind one contract (`base`) and one registry."""

from __future__ import annotations

from typing import Any

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._seeding import seeded_modules
from rnn2vec.encoders.base import TaskBlindEncoder, WeightEncoder
from rnn2vec.encoders.dws import DWSNet
from rnn2vec.encoders.dws_complete import CompleteDWSNet
from rnn2vec.encoders.flattened import FlattenedWeights
from rnn2vec.encoders.probing import InteractiveProbing, NoninteractiveProbing
from rnn2vec.encoders.statistics import LayerwiseStatistics
from rnn2vec.encoders.transformer import ParameterTransformer
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

ENCODERS: dict[str, type[WeightEncoder]] = {
    encoder.name: encoder
    for encoder in (
        LayerwiseStatistics,
        FlattenedWeights,
        ParameterTransformer,
        DWSNet,
        CompleteDWSNet,
        NoninteractiveProbing,
        InteractiveProbing,
        TaskBlindEncoder,
    )
}
"""Every encoder by name."""


def build(
    name: str,
    spec: RNNSpec,
    *,
    representation_size: int = 16,
    interface: Interface | None = None,
    seed: int = 0,
    **hyperparameters: Any,
) -> WeightEncoder:
    """Make an encoder with new weights.

    Args:
        name: such as `"interactive-probing"`.
        spec: the architecture of the RNNs.
        representation_size: entries of a representation.
        interface: kinds of the RNNs' inputs and outputs; continuous by default. Families have theirs.
        seed: where the new weights come from.
        **hyperparameters: arguments of the encoder's class.

    Raises:
        UsageError: there is no such encoder, or it has no such hyperparameter.
    """
    if name not in ENCODERS:
        raise unknown_name("encoder", name, ENCODERS)
    with seeded_modules(seed, "encoder", name):
        try:
            return ENCODERS[name](
                spec, interface=interface or Interface(), representation_size=representation_size, **hyperparameters
            )
        except TypeError as error:
            raise UsageError(
                f"hyperparameters {hyperparameters} of {name}: {error}", remedy="leave the unknown ones out."
            ) from error
