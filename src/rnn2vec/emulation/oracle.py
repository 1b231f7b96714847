"""The ceiling of pre-training: an "encoder" that is given the answer.

The oracle maps the true task and snapshot step of an RNN to a representation, so that an emulator trained with it shows
what emulators can learn within a budget, as the task-blind encoder shows what needs no encoder at all. Its loss is not
a strict bound: two RNNs of one task and step differ, and an encoder that reads them can describe the difference.

It needs labels, which only pre-training on a zoo has (`Behaviour.labels`). Therefore it is no registered encoder: it
cannot embed anyone's RNNs.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec._seeding import seeded_modules
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import Property
from rnn2vec.zoo.store import Zoo

_HARMONICS = np.array([1, 2, 4])


class Oracle(WeightEncoder):
    """An MLP from labels to representations.

    Args:
        spec: architecture of the RNNs; not used.
        interface: kinds of their inputs and outputs.
        num_labels: numbers that label an RNN (`labels_of`), L.
        representation_size: entries of a representation, Z.
        unit_norm: whether representations are scaled to length 1.
        hidden_size: width of the hidden layer.
    """

    name = "oracle"

    def __init__(
        self,
        spec: RNNSpec,
        *,
        interface: Interface,
        num_labels: int,
        representation_size: int = 16,
        unit_norm: bool = True,
        hidden_size: int = 128,
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
        self.read_labels = mlp(num_labels, hidden_size, representation_size)

    def from_labels(self, labels: Float[Tensor, "N L"]) -> Representation:
        """Return the representations of N RNNs, given their labels."""
        return self.scaled(self.read_labels(labels))

    def check(self, rnns: RNNs) -> NoReturn:
        """Refuse: RNNs alone carry no labels.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"the oracle was given {type(rnns).__name__}: it reads the tasks and steps of a zoo, never an RNN",
            remedy="take a trained encoder; the oracle only shows what an emulator can learn in pre-training.",
        )

    def encode(self, rnns: RNNs) -> Representation:
        """Refuse, as `check` does."""
        self.check(rnns)


def build_encoder(name: str, spec: RNNSpec, *, seed: int, **options: Any) -> WeightEncoder:
    """Return a new encoder, or the oracle; arguments as for `encoders.build`.

    Raises:
        UsageError: there is no such encoder, or it has no such hyperparameter.
    """
    if name != Oracle.name:
        return encoders.build(name, spec, seed=seed, **options)
    with seeded_modules(seed, "encoder", name):
        return Oracle(spec, **options)


def labels_of(zoo: Zoo) -> Float32[np.ndarray, "N L"]:
    """Return the label of every snapshot of a zoo: its task and its step as numbers of order 1.

    Steps and properties with categories are one-hot, angles are directions with harmonics, other numbers have mean 0
    and standard deviation 1 over the zoo.
    """
    steps = zoo.column("step")
    parts = [(steps[:, None] == np.unique(steps)).astype(np.float32)]
    left = set(zoo.family.task_columns)
    for prop in zoo.family.properties:
        if set(prop.columns) <= left:
            parts.append(_features(prop, zoo))
            left -= set(prop.columns)
    return np.concatenate(parts, axis=1)


def _features(prop: Property, zoo: Zoo) -> Float32[np.ndarray, "N D"]:
    target = prop.target({column: zoo.column(column) for column in prop.columns})
    angles = prop.angles(target)
    if prop.period is not None and angles is not None:
        turns = (2 * np.pi / prop.period * angles[:, :, None] * _HARMONICS).reshape(len(target), -1)
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
    if prop.categories is not None:
        return target
    deviation = target.std(axis=0)
    return (target - target.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
