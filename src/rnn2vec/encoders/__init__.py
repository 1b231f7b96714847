"""Encoders, which map RNNs to representations: one contract (`base`), one file per idea, and a builder by name.

Examples:
    >>> "dwsnet" in encoders.ENCODERS
    True
    >>> encoder = encoders.build("dwsnet", spec, seed=1)
    >>> encoder(gru_stack).shape
    torch.Size([3, 16])
"""

from __future__ import annotations

from typing import Any

from rnn2vec._errors import UsageError
from rnn2vec._registry import ENCODERS
from rnn2vec._seeding import seeded_modules
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

__all__ = ["ENCODERS", "build"]


def build(
    name: str,
    spec: RNNSpec,
    *,
    representation_size: int = 16,
    interface: Interface | None = None,
    seed: int = 0,
    **hyperparameters: Any,
) -> WeightEncoder:
    """Build an encoder with new weights.

    Args:
        name: registered name, such as `"interactive-probing"`.
        spec: architecture of the RNNs.
        representation_size: size of a representation.
        interface: kinds of the RNNs' inputs and outputs, such as those of a task family; continuous by default.
        seed: seed of the new weights.
        **hyperparameters: arguments of the encoder's class.

    Raises:
        UsageError: if the encoder or a hyperparameter is unknown.
    """
    encoder = ENCODERS[name]
    with seeded_modules(seed, "encoder", name):
        try:
            return encoder(
                spec, interface=interface or Interface(), representation_size=representation_size, **hyperparameters
            )
        except TypeError as error:
            raise UsageError(
                f"hyperparameters {hyperparameters} of {name}: {error}", remedy="leave the unknown ones out."
            ) from error
