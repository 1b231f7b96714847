"""The contract of an encoder: RNNs in, one short vector for each out.

What fits is checked here, once for all encoders. NaN weights are looked for only after a representation came out as
NaN: looking through 64 RNNs of 14,000 weights first would take longer than the smallest encoder does.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._shapes import Representation
from rnn2vec.rnn.blackbox import BlackBox, StackBlackBox
from rnn2vec.rnn.collection import RNNCollection, RNNs, count_rnns
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack


class WeightEncoder(nn.Module, ABC):
    """Maps N RNNs to N representations.

    Args:
        spec: the architecture of the RNNs.
        interface: their kinds of inputs and outputs.
        representation_size: entries of a representation, Z.
        unit_norm: whether representations are scaled to length 1.

    Raises:
        UsageError: the encoder does not read such RNNs (`obstacle`).
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
        obstacle = self.obstacle(spec)
        if obstacle is not None:
            raise UsageError(
                f"the {self.name} encoder does not read {spec.cell} RNNs: {obstacle}",
                remedy="take a probing encoder, which reads no weights, or flattened-weights.",
            )
        self.spec = spec
        self.interface = interface
        self.representation_size = representation_size
        self.unit_norm = unit_norm
        self.accelerated = False
        """Whether compiled kernels are used where the encoder has some for what it is given (`rnn.fused`)."""

    @classmethod
    def obstacle(cls, spec: RNNSpec) -> str | None:  # noqa: ARG003
        """Return why the encoder cannot read RNNs of this architecture; None if it can."""
        return None

    def forward(self, rnns: RNNs | RNNCollection | Sequence[RNNs]) -> Representation:
        """One representation for each RNN, `(N, Z)`, in the order given.

        Args:
            rnns: a stack; for encoders that only interrogate, anything that steps; or several of these, also of
                different architectures where the encoder takes them.

        Raises:
            UsageError: the RNNs are not of the kind that the encoder was made for, on another device or of another
                float type, or there are none.
            DataError: weights are NaN or infinite.
        """
        if isinstance(rnns, RNNCollection):
            return rnns.map(self.forward)
        if isinstance(rnns, Sequence):
            return RNNCollection(rnns).map(self.forward)
        self.admit(rnns)
        return self._finite(self.scaled(self.encode(rnns)), rnns)

    def admit(self, rnns: RNNs) -> None:
        """Check that RNNs can be encoded: there are some, they fit, and can be computed with.

        Args:
            rnns: N RNNs.

        Raises:
            UsageError: they are not of the kind that the encoder was made for, on another device or of another float
                type, or there are none.
        """
        self._require_common_ground(rnns)
        self.check(rnns)

    def _finite(self, representation: Representation, rnns: RNNs) -> Representation:
        """A representation that is one.

        Raises:
            DataError: it is NaN because of the RNNs.
        """
        if representation.isfinite().all():
            return representation
        if isinstance(rnns, RNNStack):
            rnns.require_finite()
        if not self._has_diverged(rnns):
            first = int((~representation.isfinite().all(dim=1)).nonzero()[0])
            raise DataError(
                f"RNN {first} of this {type(rnns).__name__} {self._fault(rnns, first)} with NaN or infinite numbers",
                remedy="its training has diverged, or its file is damaged: take an earlier checkpoint of it.",
            )
        return representation

    @torch.no_grad()
    def _has_diverged(self, rnns: RNNs) -> bool:
        """Return whether the encoder is at fault: its parameters are not finite, or an RNN of zeros overflows it."""
        if not all(parameter.isfinite().all() for parameter in self.parameters()):
            return True
        if not isinstance(rnns, RNNStack):
            return False
        silent = RNNStack.from_flat(rnns.spec, torch.zeros_like(rnns.flatten()[:1]))
        return not bool(self.scaled(self.encode(silent)).isfinite().all())

    def _fault(self, rnns: RNNs, place: int) -> str:  # noqa: ARG002
        """Return what an RNN does whose representation is not finite, for a message; encoders that ask say more."""
        return "has a representation"

    def scaled(self, representation: Float[Tensor, "*any Z"]) -> Float[Tensor, "*any Z"]:
        """What leaves the encoder: of length 1 with `unit_norm`, else as it is."""
        return nn.functional.normalize(representation, dim=-1) if self.unit_norm else representation

    def _require_common_ground(self, rnns: RNNs) -> None:
        """There are RNNs, and encoder and weights can be multiplied."""
        if not count_rnns(rnns):
            raise UsageError(f"{rnns} holds no RNN to encode", remedy="give at least one.")
        if not isinstance(rnns, RNNStack):
            return
        reference = next(itertools.chain(self.parameters(), self.buffers()), None)
        if reference is None:
            return
        given, own = ground_of(rnns.weights["readout.bias"]), ground_of(reference)
        if given != own:
            kind = "parameters" if any(True for _ in self.parameters()) else "buffers"
            raise UsageError(
                f"the RNNs' weights are {given}, the {self.name} encoder's are {own}",
                remedy=f"bring them together: rnns.to(next(encoder.{kind}())), or encoder.to(...).",
            )

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


def ground_of(tensor: Tensor) -> str:
    """A tensor's float type and device, in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def as_box(rnns: RNNs, interface: Interface) -> BlackBox:
    """Return the step-only view of RNNs."""
    if not isinstance(rnns, RNNStack):
        return rnns
    return StackBlackBox(rnns, input_kind=interface.input_kind, output_kind=interface.output_kind)


def require_same_sides(encoder: WeightEncoder, rnns: RNNs) -> None:
    """Check that RNNs have the inputs and outputs that a probing encoder was made for.

    Raises:
        UsageError: a size or a kind differs.
    """
    box, kinds = as_box(rnns, encoder.interface), encoder.interface
    given = _sides(box.input_size, box.input_kind, box.output_size, box.output_kind)
    wanted = _sides(encoder.spec.input_size, kinds.input_kind, encoder.spec.output_size, kinds.output_kind)
    if given != wanted:
        raise UsageError(
            f"the RNNs have {given}, but this {encoder.name} encoder was made for {wanted}",
            remedy="take an encoder that was trained on RNNs with these inputs and outputs.",
        )


def _sides(input_size: int, input_kind: str, output_size: int, output_kind: str) -> str:
    return f"{input_size} {input_kind} inputs and {output_size} {output_kind} outputs"


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
        return self.constant.expand(count_rnns(rnns), -1)
