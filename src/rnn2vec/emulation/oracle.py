"""The ceiling of pre-training: an "encoder" that receives the answer.

The oracle maps the true task and snapshot step of an RNN to a representation, so that an emulator trained with it shows
what emulators can learn within a budget, as the task-blind encoder shows what needs no encoder at all. Its loss is not
a strict bound: two RNNs of one task and step differ, and an encoder that reads them can describe the difference.

It needs labels, which are available in pre-training on a zoo only (`Behaviour.labels`). It is therefore not a
registered encoder: it cannot embed other RNNs.
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
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import Property
from rnn2vec.zoo.store import Zoo

_HARMONICS = np.array([1, 2, 4])


class Oracle(WeightEncoder):
    """An MLP from labels to representations.

    Args:
        spec: architecture of the RNNs; not used.
        num_labels: size of the label of an RNN (`labels_of`), L.
        hidden_size: width of the hidden layer.
        **options: arguments of `WeightEncoder`.
    """

    name = "oracle"

    def __init__(self, spec: RNNSpec, *, num_labels: int, hidden_size: int = 128, **options: Any) -> None:
        super().__init__(spec, **options)
        self.read_labels = mlp(num_labels, hidden_size, self.representation_size)

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
            remedy="use a trained encoder; the oracle only shows what an emulator can learn in pre-training.",
        )

    def encode(self, rnns: RNNs) -> Representation:
        """Refuse, as `check` does."""
        self.check(rnns)


def build_encoder(name: str, spec: RNNSpec, *, seed: int, **options: Any) -> WeightEncoder:
    """Return a new encoder, or the oracle; arguments as for `encoders.build`.

    Raises:
        UsageError: if the encoder or a hyperparameter is unknown.
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
