"""The emulator on compiled kernels: torch's interface to `emulator_kernels`.

The input of the lower layer is a linear map of a linear map without a nonlinearity in between. Their weights are
therefore multiplied once per update, and inputs go to the gates directly: 6 numbers instead of 128. The contribution of
representations to the gates is computed once for all steps. Three quarters of the products remain, and the results
differ by rounding (1e-7 of the largest output).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnn2vec.rnn.fused import parts, side_by_side
from rnn2vec.rnn.lease import Lease
from rnn2vec.rnn.packing import WIDTH, Layer, as_panels, of_panels, rounded, zeros_for

_SEQUENCES_TOGETHER = 32
_GATES = 4


def emulate(
    inputs: Float[Tensor, "S T I"],
    starts: Sequence[Float[Tensor, "S G"]],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
) -> Float[Tensor, "S T O"]:
    """Return the outputs of two LSTM layers with a readout.

    Args:
        inputs: S sequences; they get no gradient.
        starts: initial values of the lower layer's gates in the first step, and in all others.
        weights: inputs to the gates of the lower layer `(G, I)`, its hidden vector to them `(G, H)`, the upper layer's
            inputs and hidden vector to its gates `(G, 2 H)`, and the readout `(O, H)`.
        biases: biases of the upper layer and of the readout.
    """
    tensors = (*starts, *weights, *biases)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    result: Tensor = _Emulate.apply(inputs, keep, *tensors)  # pyright: ignore[reportAssignmentType]
    return result


class _Emulate(torch.autograd.Function):
    """Sequences through the emulator, chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, keep: bool, *tensors: Tensor) -> Tensor:
        starts, weights, biases = tensors[:2], tensors[2:6], tensors[6:]
        layers = _layers(weights)
        w_in, w_hidden, w_upper, w_out = (
            layer.there(weight.detach()).numpy() for layer, weight in zip(layers, weights, strict=True)
        )
        b_upper, b_out = (layer.bias(bias.detach()).numpy() for layer, bias in zip(layers[2:], biases, strict=True))
        packed = (w_in, w_hidden, w_upper, b_upper, w_out, b_out)
        cut = parts(len(inputs), _SEQUENCES_TOGETHER)
        chunks = [_Chunk(layers, inputs[part], keep=keep) for part in cut]
        side_by_side(
            [chunk.there([start[part] for start in starts], packed) for chunk, part in zip(chunks, cut, strict=True)]
        )
        ctx.chunks, ctx.layers = chunks if keep else [], layers
        ctx.save_for_backward(*weights)
        return torch.cat([chunk.outputs() for chunk in chunks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (of_outputs,) = grads
        layers: tuple[Layer, ...] = ctx.layers
        packed = tuple(
            layer.back(weight).numpy() for layer, weight in zip(layers[1:], ctx.saved_tensors[1:], strict=True)
        )
        cut = parts(len(of_outputs), _SEQUENCES_TOGETHER)
        ways = [chunk.back(of_outputs[part], packed) for chunk, part in zip(ctx.chunks, cut, strict=True)]
        side_by_side([way.call for way in ways])
        sums = [torch.stack(pieces).sum(dim=0) for pieces in zip(*(way.layers for way in ways), strict=True)]
        of_starts = [torch.cat(pieces) for pieces in zip(*(way.starts() for way in ways), strict=True)]
        of_weights = [layer.weight_of(one) for layer, one in zip(layers, sums[::2], strict=True)]
        of_biases = [layer.bias_of(one) for layer, one in zip(layers[2:], sums[5::2], strict=True)]
        return None, None, *of_starts, *of_weights, *of_biases


def _layers(weights: Sequence[Tensor]) -> tuple[Layer, ...]:
    """Return the layout of the weights in panels."""
    hidden, inputs, outputs = weights[1].shape[1], weights[0].shape[1], weights[3].shape[0]
    return (
        Layer(hidden, (inputs,), gates=_GATES),
        Layer(hidden, (hidden,), gates=_GATES),
        Layer(hidden, (hidden, hidden), gates=_GATES),
        Layer(outputs, (hidden,)),
    )


@dataclass(frozen=True)
class _WayBack:
    """The backward pass of one chunk: the call of the kernel, and its results."""

    call: Callable[[], None]
    layers: list[Tensor]
    """Gradients of weights and biases, in panels."""
    starts: Callable[[], list[Tensor]]
    """Function that returns the gradients of both starts."""
    lease: Lease
    """Working memory of the kernel."""


class _Chunk:
    """Some sequences, with the values that their backward pass needs.

    Args:
        layers: layout of the weights in panels.
        inputs: the sequences.
        keep: keep values for a backward pass.
    """

    def __init__(self, layers: Sequence[Layer], inputs: Float[Tensor, "S T I"], *, keep: bool) -> None:
        from rnn2vec.emulation.emulator_kernels import compiled  # noqa: PLC0415 (it takes Numba)

        self._layers, self._kernels = layers, compiled()
        self._rows, self._steps, columns = inputs.shape
        self._slots = self._steps + 1 if keep else 2
        hidden, self._outputs = layers[1].size, layers[3].size
        self._shape = (self._rows, self._steps, self._slots, rounded(columns), self._outputs, hidden)
        self._inputs = as_panels(inputs.detach().transpose(0, 1).flatten(0, 1)).flatten().numpy()
        size = rounded(hidden) * self._slots * self._rows
        self._lease = Lease(size, 4 * size, size, size, 2 * size, 4 * size, size, size)
        self._left = tuple(part.numpy() for part in self._lease.parts)

    def there(self, starts: Sequence[Tensor], weights: tuple[np.ndarray, ...]) -> Callable[[], None]:
        """Return the call of the kernel that emulates."""
        begin = torch.cat([self._start_panels(start.detach()) for start in starts]).numpy()
        for place in (0, 2, 6):
            self._blocks(self._left[place])[:, 0] = 0.0
        upper = self._blocks(self._left[4])
        upper[len(upper) // 2 :, 0] = 0.0
        self._made = torch.empty(self._steps * self._rows * rounded(self._outputs))
        return functools.partial(
            self._kernels[0], self._shape, self._inputs, begin, weights, self._left, self._made.numpy()
        )

    def outputs(self) -> Float[Tensor, "S T O"]:
        """Return the outputs."""
        rows = of_panels(self._made.view(-1, self._steps * self._rows, WIDTH), self._outputs)
        return rows.unflatten(0, (self._steps, self._rows)).transpose(0, 1)

    def back(self, of_outputs: Tensor, weights: tuple[np.ndarray, ...]) -> _WayBack:
        """Return the backward pass."""
        arrived = as_panels(of_outputs.transpose(0, 1).flatten(0, 1)).flatten().numpy()
        size = self._layers[1].rows * self._slots * self._rows
        lease = Lease(size, size)
        sums = zeros_for(self._layers)
        starts = torch.zeros(2, self._layers[1].rows * self._rows)
        weight_sums = (sums[0], sums[2], sums[4], sums[5], sums[6], sums[7])
        call = functools.partial(
            self._kernels[1], self._shape, self._inputs, weights, self._left, arrived,
            tuple(part.numpy() for part in lease.parts),
            tuple(part.numpy() for part in (starts.flatten(), *weight_sums)),
        )  # fmt: skip

        def of_starts() -> list[Tensor]:
            plain = [of_panels(one.view(_GATES, -1, self._rows, WIDTH), self._layers[1].size) for one in starts]
            return [one.transpose(0, 1).flatten(1) for one in plain]

        return _WayBack(call, sums, of_starts, lease)

    def _start_panels(self, start: Float[Tensor, "S G"]) -> Tensor:
        return as_panels(start.unflatten(1, (_GATES, -1)).transpose(0, 1)).flatten()

    def _blocks(self, array: np.ndarray) -> np.ndarray:
        """View kept values as `(panels, slots, R, WIDTH)`."""
        return array.reshape(-1, self._slots, self._rows, WIDTH)
