"""The contract of an encoder: RNNs in, one short vector for each out."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

RNNs = RNNStack | BlackBox
"""What an encoder may be given: weights, or for encoders that only interrogate, anything that steps."""


class WeightEncoder(nn.Module, ABC):
    """Maps N RNNs to N representations.

    Args:
        spec: the architecture of the RNNs.
        interface: their kinds of inputs and outputs.
        representation_size: entries of a representation, Z.
        unit_norm: whether representations are scaled to length 1.
    """

    name: ClassVar[str]
    """The name in the registry."""
    augmentable: ClassVar[bool] = False
    """Whether renumbered hidden units look new to it, so that training gains from permutation augmentation."""
    sign_augmentable: ClassVar[bool] = False
    """Whether hidden units with flipped signs look new to it, so that training gains from sign augmentation."""

    def __init__(
        self, spec: RNNSpec, *, interface: Interface, representation_size: int = 16, unit_norm: bool = True
    ) -> None:
        super().__init__()
        self.spec = spec
        self.interface = interface
        self.representation_size = representation_size
        self.unit_norm = unit_norm

    def forward(self, rnns: RNNs) -> Representation:
        """One representation for each RNN, `(N, Z)`.

        Raises:
            UsageError: the RNNs are not of the kind that the encoder was made for.
        """
        self.check(rnns)
        representation = self.encode(rnns)
        return nn.functional.normalize(representation, dim=1) if self.unit_norm else representation

    def check(self, rnns: RNNs) -> None:
        """Check that the RNNs fit the encoder: the same spec, unless a subclass asks for less.

        Raises:
            UsageError: they do not.
        """
        if not isinstance(rnns, RNNStack):
            raise UsageError(
                f"the {self.name} encoder reads weights, but was given a black box ({type(rnns).__name__})",
                remedy="give an RNNStack, or take a probing encoder.",
            )
        if rnns.spec != self.spec:
            raise UsageError(
                f"the RNNs are {rnns.spec}, but this {self.name} encoder reads {self.spec}",
                remedy="take an encoder that was trained on RNNs of this architecture, or a probing encoder, "
                "which asks only for the same inputs and outputs.",
            )

    @abstractmethod
    def encode(self, rnns: RNNs) -> Representation:
        """The representations, before they are scaled; `check` has passed."""


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them: `mlp(70, 768, 16)` has one hidden layer of 768."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


class TaskBlindEncoder(WeightEncoder):
    """Part (b) of the task-blind floor: the same learned vector for every RNN.

    An emulator that is pre-trained with it shows what can be imitated without looking at the RNN at all.
    """

    name = "task-blind"

    def __init__(
        self, spec: RNNSpec, *, interface: Interface, representation_size: int = 16, unit_norm: bool = True
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
        self.constant = nn.Parameter(torch.randn(representation_size))

    def check(self, rnns: RNNs) -> None:
        """Any RNN will do."""

    def encode(self, rnns: RNNs) -> Tensor:
        """N times the same vector."""
        num_rnns = len(rnns) if isinstance(rnns, RNNStack) else rnns.num_rnns
        return self.constant.expand(num_rnns, -1)
