"""The contract of an encoder, which maps each RNN to a short vector.

Inputs are checked here, once for all encoders. Weights are checked for NaN only if a representation is NaN, since
checking 64 RNNs of 14,000 weights first would take longer than the smallest encoder.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

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
    """Map from N RNNs to N representations.

    Examples:
        >>> encoder = encoders.build("layerwise-statistics", spec)
        >>> isinstance(encoder, WeightEncoder)
        True
        >>> encoder(gru_stack).shape
        torch.Size([3, 16])

    Args:
        spec: architecture of the RNNs.
        interface: kinds of their inputs and outputs.
        representation_size: size of a representation, Z.
        unit_norm: scale representations to length 1.

    Raises:
        UsageError: if the encoder cannot read such RNNs (`obstacle`).
    """

    name: ClassVar[str]
    """Name in the registry."""
    augmentable: ClassVar[bool] = False
    """True if representations change when hidden units are permuted, so that permutation augmentation helps."""
    sign_augmentable: ClassVar[bool] = False
    """True if representations change when the signs of hidden units are flipped, so that sign augmentation helps."""

    def __init__(
        self, spec: RNNSpec, *, interface: Interface, representation_size: int = 16, unit_norm: bool = True
    ) -> None:
        super().__init__()
        obstacle = self.obstacle(spec)
        if obstacle is not None:
            raise UsageError(
                f"the {self.name} encoder does not read {spec.cell} RNNs: {obstacle}",
                remedy="use a probing encoder, which reads no weights, or flattened-weights.",
            )
        self.spec = spec
        self.interface = interface
        self.representation_size = representation_size
        self.unit_norm = unit_norm
        self.accelerated = False
        """True to use compiled kernels if the encoder has some for its inputs (`rnn.fused`)."""

    @classmethod
    def obstacle(cls, spec: RNNSpec) -> str | None:  # noqa: ARG003
        """Return the reason why the encoder cannot read RNNs of this architecture; None if it can."""
        return None

    def forward(self, rnns: RNNs | RNNCollection | Sequence[RNNs]) -> Representation:
        """Compute a representation for each RNN, `(N, Z)`, in the given order.

        Args:
            rnns: a stack; for probing encoders, any black box; or several of these, of different architectures if the
                encoder supports them.

        Raises:
            UsageError: if the RNNs do not fit the encoder, are on another device or of another float type, or there are
                none.
            DataError: if weights are NaN or infinite.
        """
        if isinstance(rnns, RNNCollection):
            return rnns.map(self.forward)
        if isinstance(rnns, Sequence):
            return RNNCollection(rnns).map(self.forward)
        self.admit(rnns)
        return self._finite(self.scaled(self.encode(rnns)), rnns)

    def admit(self, rnns: RNNs) -> None:
        """Check that RNNs can be encoded: that there are some, that they fit, and that device and float type agree.

        Args:
            rnns: N RNNs.

        Raises:
            UsageError: if they cannot be encoded.
        """
        self._require_common_ground(rnns)
        self.check(rnns)

    def _finite(self, representation: Representation, rnns: RNNs) -> Representation:
        """Return a representation unchanged if it is finite, or if the encoder is at fault.

        Raises:
            DataError: if it is not finite because of an RNN.
        """
        if representation.isfinite().all():
            return representation
        if isinstance(rnns, RNNStack):
            rnns.require_finite()
        if not self._has_diverged(rnns):
            first = int((~representation.isfinite().all(dim=1)).nonzero()[0])
            raise DataError(
                f"RNN {first} of this {type(rnns).__name__} {self._fault(rnns, first)} with NaN or infinite numbers",
                remedy="its training has diverged, or its file is damaged: use an earlier checkpoint of it.",
            )
        return representation

    @torch.no_grad()
    def _has_diverged(self, rnns: RNNs) -> bool:
        """Return True if the encoder is at fault: its parameters are not finite, or an RNN of zeros overflows it."""
        if not all(parameter.isfinite().all() for parameter in self.parameters()):
            return True
        if not isinstance(rnns, RNNStack):
            return False
        silent = RNNStack.from_flat(rnns.spec, torch.zeros_like(rnns.flatten()[:1]))
        return not bool(self.scaled(self.encode(silent)).isfinite().all())

    def _fault(self, rnns: RNNs, place: int) -> str:  # noqa: ARG002
        """Describe the fault of an RNN whose representation is not finite; probing encoders say more."""
        return "has a representation"

    def scaled(self, representation: Float[Tensor, "*any Z"]) -> Float[Tensor, "*any Z"]:
        """Scale a representation to length 1 if `unit_norm` is set."""
        return nn.functional.normalize(representation, dim=-1) if self.unit_norm else representation

    def _require_common_ground(self, rnns: RNNs) -> None:
        """Check that there are RNNs, and that their device and float type are those of the encoder."""
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
        """Check that the RNNs fit the encoder: the same spec, unless a subclass requires less.

        Raises:
            UsageError: if they do not.
        """
        if not isinstance(rnns, RNNStack):
            raise UsageError(
                f"the {self.name} encoder reads weights, but was given a black box ({type(rnns).__name__})",
                remedy="give an RNNStack, or use a probing encoder.",
            )
        if rnns.spec != self.spec:
            raise UsageError(
                f"the RNNs are {rnns.spec}, but this {self.name} encoder reads {self.spec}",
                remedy="use an encoder that was trained on RNNs of this architecture, or a probing encoder, "
                "which requires the same inputs and outputs only.",
            )

    @abstractmethod
    def encode(self, rnns: RNNs) -> Representation:
        """Compute the representations before scaling; `check` has passed."""


def ground_of(tensor: Tensor) -> str:
    """Describe a tensor's float type and device."""
    return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def as_box(rnns: RNNs, interface: Interface) -> BlackBox:
    """Return the step-only view of RNNs."""
    if not isinstance(rnns, RNNStack):
        return rnns
    return StackBlackBox(rnns, input_kind=interface.input_kind, output_kind=interface.output_kind)


def require_same_sides(encoder: WeightEncoder, rnns: RNNs) -> None:
    """Check that RNNs have the inputs and outputs that a probing encoder was made for.

    Raises:
        UsageError: if a size or a kind differs.
    """
    box, kinds = as_box(rnns, encoder.interface), encoder.interface
    given = _sides(box.input_size, box.input_kind, box.output_size, box.output_kind)
    wanted = _sides(encoder.spec.input_size, kinds.input_kind, encoder.spec.output_size, kinds.output_kind)
    if given != wanted:
        raise UsageError(
            f"the RNNs have {given}, but this {encoder.name} encoder was made for {wanted}",
            remedy="use an encoder that was trained on RNNs with these inputs and outputs.",
        )


def _sides(input_size: int, input_kind: str, output_size: int, output_kind: str) -> str:
    return f"{input_size} {input_kind} inputs and {output_size} {output_kind} outputs"


def mlp(*sizes: int) -> nn.Sequential:
    """Build linear layers with ReLU between them: `mlp(70, 768, 16)` has one hidden layer of 768."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def count_parameters(module: nn.Module) -> int:
    """Count the trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


class TaskBlindEncoder(WeightEncoder):
    """Part (b) of the task-blind floor: the same learned vector for every RNN.

    An emulator that is pre-trained with it shows how well RNNs can be imitated without reading them.
    """

    name = "task-blind"

    def __init__(self, spec: RNNSpec, **options: Any) -> None:
        super().__init__(spec, **options)
        self.constant = nn.Parameter(torch.randn(self.representation_size))

    def check(self, rnns: RNNs) -> None:
        """Accept any RNN."""

    def encode(self, rnns: RNNs) -> Tensor:
        """Return the same vector N times."""
        return self.constant.expand(count_rnns(rnns), -1)
