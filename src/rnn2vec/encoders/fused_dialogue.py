"""A probing encoder's dialogue with an `RNNStack` on compiled kernels: torch's interface to `dialogue_kernels`.

The results equal those of `ProbingEncoder.dialogue` to float32 rounding, with gradients for all learned parameters and
none for the RNNs' weights. RNNs are processed `_RNNS_TOGETHER` at a time, regardless of the batch and the number of
threads, and gradients are summed in their order, so that neither changes a bit of the result.
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
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

_RNNS_TOGETHER = 32
_READER_GATES = 4

Memory = Sequence[Float[Tensor, "N hidden"]]
"""Hidden vector and cell of E_R's lower layer, then of its upper one."""


@dataclass(frozen=True)
class Plan:
    """The description of a dialogue, apart from weights."""

    length: int
    """Number of exchanges, L."""
    num_sequences: int
    """Number of parallel probing sequences, M."""
    probe_size: int
    """Number of outputs of E_I for each probe."""
    interactive: bool
    """True if probes are computed from E_R's memory."""
    begins: bool
    """True if the first probe of an interactive dialogue is given."""
    categorical: bool
    """True if probes are points of a simplex."""
    feeds: bool
    """True if the last number of a probe is a gate that mixes in the RNN's own prediction."""
    input_range: tuple[float, float]
    """Range of continuous probes."""
    reading: int
    """Normalization of responses: 0 for none, 1 for log-probabilities, 2 for a scale."""
    scale: tuple[float, float, float]
    """Centre and spread of outputs, and the largest response."""


@dataclass(frozen=True)
class Weights:
    """Six layers, each `(out, in)` with its bias: E_I's two, E_O's two, E_R's two (inputs beside hidden vector)."""

    matrices: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]


def have_dialogue(
    plan: Plan, stack: RNNStack, given: Float[Tensor, "T M I"] | None, weights: Weights, memory: Memory
) -> Float[Tensor, "N hidden"]:
    """Return the hidden vector of E_R's upper layer after the last exchange of a dialogue.

    Args:
        plan: description of the dialogue.
        stack: N RNNs for which `rnn.fused.suits` holds.
        given: probes of every exchange, or with `plan.begins` that of the first.
        weights: weights of the encoder.
        memory: memory of E_R before the first exchange.
    """
    learned = [*weights.matrices, *weights.biases, *memory]
    if given is not None:
        learned.append(given)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learned)
    result: Tensor = _Dialogue.apply(  # pyright: ignore[reportAssignmentType]
        plan, stack.spec, keep, stack.flatten(), given, *memory, *weights.matrices, *weights.biases
    )
    return result


class _Dialogue(torch.autograd.Function):
    """The dialogue, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, spec: RNNSpec, keep: bool, flat: Tensor, given: Tensor | None, *tensors: Tensor
    ) -> Tensor:
        memory, matrices, biases = tensors[:4], tensors[4:10], tensors[10:]
        ctx.layout = layout = _Layout(plan, spec, matrices)
        probes = np.empty(0, np.float32) if given is None else layout.panels_of_probes(given)
        packed = layout.packed(matrices, biases)
        cut = parts(len(flat), _RNNS_TOGETHER)
        chunks = [_Chunk(layout, flat[part], keep=keep) for part in cut]
        side_by_side(
            [
                chunk.there(probes, packed, [vector[part] for vector in memory])
                for chunk, part in zip(chunks, cut, strict=True)
            ]
        )
        ctx.chunks = chunks if keep else []
        ctx.has_given = given is not None
        ctx.save_for_backward(*matrices)
        return torch.cat([chunk.remembered() for chunk in chunks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        layout: _Layout = ctx.layout
        (of_top,) = grads
        packed = layout.packed_for_return(ctx.saved_tensors)
        cut = parts(len(of_top), _RNNS_TOGETHER)
        ways = [chunk.back(of_top[part], packed) for chunk, part in zip(ctx.chunks, cut, strict=True)]
        side_by_side([way.call for way in ways])
        of_given = layout.probes_of_panels(_total([way.given for way in ways])) if ctx.has_given else None
        of_memory = [torch.cat(pieces) for pieces in zip(*(way.memory() for way in ways), strict=True)]
        of_layers = [_total(list(pieces)) for pieces in zip(*(way.layers for way in ways), strict=True)]
        of_matrices, of_biases = layout.unpacked(of_layers)
        return None, None, None, None, of_given, *of_memory, *of_matrices, *of_biases


@dataclass(frozen=True)
class _WayBack:
    """The backward pass of one chunk: the call of the kernel, and its results."""

    call: Callable[[], None]
    given: Tensor
    """Gradient of the probes that were given, in panels."""
    layers: list[Tensor]
    """Gradients of weights and biases, in panels."""
    memory: Callable[[], list[Tensor]]
    """Function that returns the gradients of E_R's first memory."""
    lease: Lease
    """Working memory of the kernel."""


def _total(pieces: Sequence[Tensor]) -> Tensor:
    """Return the sum over chunks, in their order."""
    return torch.stack(list(pieces)).sum(dim=0)


class _Layout:
    """The layout of matrices in the kernels' memory: in panels, padded."""

    def __init__(self, plan: Plan, spec: RNNSpec, matrices: Sequence[Tensor]) -> None:
        from rnn2vec.rnn.kernels.steps import sizes_of  # noqa: PLC0415 (it takes Numba)

        self.plan, self.sizes, self.spec = plan, sizes_of(spec), spec
        self.hidden_size = matrices[4].shape[0] // _READER_GATES
        self.mlp_size = matrices[2].shape[0]
        probes, responses = plan.num_sequences * plan.probe_size, plan.num_sequences * spec.output_size
        hidden, width = self.hidden_size, self.mlp_size
        self.layers = (
            Layer(width, (hidden,)),
            Layer(probes, (width,)),
            Layer(width, (responses,)),
            Layer(hidden, (width,)),
            Layer(hidden, (hidden, hidden), gates=_READER_GATES),
            Layer(hidden, (hidden, hidden), gates=_READER_GATES),
        )
        low, high = plan.input_range
        span = (np.float32(low), np.float32(high - low))
        self.asked = (plan.interactive, plan.begins, plan.categorical, plan.feeds, *span)
        self.answered = (plan.reading, tuple(map(np.float32, plan.scale)))

    def shape(self, rows: int, slots: int) -> tuple[int, ...]:
        """Return the sizes of a chunk as kernels want them."""
        plan, spec = self.plan, self.spec
        sizes = (spec.input_size, spec.output_size, plan.probe_size, self.mlp_size, self.hidden_size)
        return (rows, slots, plan.num_sequences, *sizes)

    def packed(self, matrices: Sequence[Tensor], biases: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
        """Return weights and biases for the way there."""
        arrays: list[np.ndarray] = []
        for layer, matrix, bias in zip(self.layers, matrices, biases, strict=True):
            arrays += [layer.there(matrix.detach()).numpy(), layer.bias(bias.detach()).numpy()]
        return tuple(arrays)

    def packed_for_return(self, matrices: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
        """Return weights for the way back."""
        return tuple(layer.back(matrix).numpy() for layer, matrix in zip(self.layers, matrices, strict=True))

    def unpacked(self, sums: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the gradients of weights and biases as torch wants them."""
        matrices = [layer.weight_of(one) for layer, one in zip(self.layers, sums[::2], strict=True)]
        return matrices, [layer.bias_of(one) for layer, one in zip(self.layers, sums[1::2], strict=True)]

    def panels_of_probes(self, probes: Float[Tensor, "T M I"]) -> np.ndarray:
        """Return given probes in panels, exchange by exchange."""
        return as_panels(probes.detach()).flatten().numpy()

    def probes_of_panels(self, panels: Tensor) -> Float[Tensor, "T M I"]:
        """Return the gradient of given probes from panels."""
        blocks = panels.view(-1, rounded(self.spec.input_size) // WIDTH, self.plan.num_sequences, WIDTH)
        return of_panels(blocks, self.spec.input_size)


class _Chunk:
    """Some RNNs, and what a dialogue with them leaves behind.

    Args:
        layout: how matrices lie.
        flat: the RNNs' weights, `(R, P)`.
        keep: whether there will be a way back.
    """

    def __init__(self, layout: _Layout, flat: Float[Tensor, "R P"], *, keep: bool) -> None:
        from rnn2vec.encoders.dialogue_kernels import compiled, left_sizes  # noqa: PLC0415 (it takes Numba)
        from rnn2vec.rnn.kernels.steps import packed_sizes  # noqa: PLC0415

        self._layout, self._flat = layout, flat.numpy()
        self._rows, self._slots = len(flat), layout.plan.length + 1 if keep else 2
        self._shape = layout.shape(self._rows, self._slots)
        self._kernels = compiled()
        record, left, read = left_sizes(self._shape, layout.sizes)
        self._weights_size, self._biases_size, self._return_size = packed_sizes(layout.sizes)
        self._lease = Lease(*record, *left, *read)
        arrays = [part.numpy() for part in self._lease.parts]
        self._record = tuple(array.reshape(self._rows, -1) for array in arrays[:4])
        self._left, self._read = tuple(arrays[4:8]), tuple(arrays[8:])

    def there(self, given: np.ndarray, weights: tuple[np.ndarray, ...], memory: Sequence[Tensor]) -> Callable[[], None]:
        """Return the call of the kernel that has the dialogue."""
        rows, plan = self._rows, self._layout.plan
        self._weights = Lease(rows * self._weights_size, rows * self._biases_size)
        packed = tuple(part.numpy().reshape(rows, -1) for part in self._weights.parts)
        for part in self._record[1:3]:
            part[:, : part.shape[1] // self._slots] = 0.0  # RNNs begin with zeros
        upper = self._blocks(self._read[4])[1]
        vectors = (self._blocks(self._read[0])[1], self._blocks(self._read[2], 1)[0], upper)
        for place, vector in zip((*vectors, self._blocks(self._read[6], 1)[0]), memory, strict=True):
            place[:, 0] = as_panels(vector.detach()).numpy()
        layout = self._layout
        return functools.partial(
            self._kernels[0], self._shape, layout.sizes, layout.asked, layout.answered, self._flat, given, weights,
            packed, self._record, self._left, self._read, plan.length,
        )  # fmt: skip

    def remembered(self) -> Float[Tensor, "R hidden"]:
        """Return the hidden vector of E_R's upper layer after the last exchange."""
        del self._weights  # the way back has others
        upper = self._blocks(self._read[4])[1]
        return of_panels(torch.from_numpy(upper[:, self._layout.plan.length % self._slots]), self._layout.hidden_size)

    def back(self, of_top: Tensor, weights: tuple[np.ndarray, ...]) -> _WayBack:
        """Return the way back."""
        layout, rows = self._layout, self._rows
        block, slots = rows * WIDTH, self._slots
        panels = [rounded(size) // WIDTH for size in (layout.mlp_size, layout.hidden_size)]
        made = rounded(layout.plan.num_sequences * layout.plan.probe_size) // WIDTH
        counts = (made, panels[0], panels[0], panels[1], 4 * panels[1], 4 * panels[1])
        lease = Lease(*(count * slots * block for count in counts), rows * self._return_size)
        *gone, packed = (part.numpy() for part in lease.parts)
        top = as_panels(of_top).flatten()
        memory = [torch.zeros_like(top), torch.zeros_like(top), top, torch.zeros_like(top)]
        probes = layout.plan.length if not layout.plan.interactive else 0
        given = torch.zeros(probes * layout.plan.num_sequences * rounded(layout.spec.input_size))
        sums = zeros_for(layout.layers)
        call = functools.partial(
            self._kernels[1], self._shape, layout.sizes, layout.asked, layout.answered, self._flat, weights,
            packed.reshape(rows, -1), self._record, self._left, self._read, tuple(gone),
            tuple(part.numpy() for part in memory), given.numpy(), tuple(part.numpy() for part in sums),
        )  # fmt: skip

        def of_memory() -> list[Tensor]:
            return [of_panels(part.view(-1, rows, WIDTH), layout.hidden_size) for part in memory]

        return _WayBack(call, given, sums, of_memory, lease)

    def _blocks(self, array: np.ndarray, parts: int = 2) -> np.ndarray:
        """View what E_R leaves behind as `(parts, panels, slots, R, WIDTH)`."""
        return array.reshape(parts, -1, self._slots, self._rows, WIDTH)
