"""RNNs on an NVIDIA GPU: the recurrence by kernels of our own, a program per RNN; all else as in the torch backend.

What is over all steps at once (input parts of the gates, weight gradients, the readout) is batched products, which
torch does well. See `triton_kernels` for the rest. The alternative, cuDNN's LSTM, trains one RNN per call.

Without a GPU, `TRITON_INTERPRET=1` lets Triton's interpreter run the kernels on the CPU, far more slowly: for tests.
"""

# pyright: reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import importlib.util
import os
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._registry import CELLS
from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.examples import ExampleKind
from rnn2vec.zoo.backends.torch_backend import TorchBackend

SMALLEST_BLOCK = 16
"""Smallest block of a matrix product in Triton."""
RECURRENT_BYTES = 64 * 1024
"""The largest W_hh, as a block. With 32 rows beside it, going back takes 96 KB of shared memory; an H100 has 227 KB.
A GRU of 128 units (192 KB) would take 240 KB by Triton 3.7, 208 KB by 3.9."""


def block_size(size: int) -> int:
    """Return the smallest block that holds `size` rows or units, a power of two."""
    return max(SMALLEST_BLOCK, 1 << (size - 1).bit_length())


def num_warps(block_rows: int, block_units: int) -> int:
    """Warps of a program: each thread has four numbers of a gate. With fewer threads, registers spill."""
    return min(max(block_rows * block_units // 128, 4), 16)


class TritonBackend(TorchBackend):
    """Trains N runs as one stack whose recurrence is a kernel.

    Args:
        device: where, such as `"cuda"`; `"cpu"` only in Triton's interpreter.

    Raises:
        UsageError: if this machine, or this build of torch, has no such device.
    """

    name = "triton"

    def obstacle(self, spec: RNNSpec, kind: ExampleKind) -> str | None:  # noqa: ARG002
        """Return why it does not train such RNNs here; None if it does."""
        if spec.cell not in TORCH_CELLS:
            return f"it has no kernel for the cell {spec.cell!r}"
        if importlib.util.find_spec("triton") is None:
            return "the package triton is not installed (pip install 'rnn2vec[triton]')"
        if self._device.type != ("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"):
            return "it needs an NVIDIA GPU (--device cuda)"
        taken, room = 4 * spec.num_gates * block_size(spec.hidden_size) ** 2 // 1024, RECURRENT_BYTES // 1024
        return f"W_hh would take {taken} KB of the GPU's fast memory, and at most {room} fit" if taken > room else None

    def _outputs(self, stack: RNNStack, inputs: InputSequences) -> OutputSequences:
        """See `TorchBackend`."""
        weights, (b, t) = stack.weights, inputs.shape[1:3]
        below = inputs.transpose(1, 2)  # time before sequences, as the kernels want it
        for layer in range(stack.spec.num_layers):
            names = [f"rnn.{part}_l{layer}" for part in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")]
            w_ih, b_ih, w_hh, b_hh = (weights[name] for name in names)
            input_part = _affine(below.flatten(1, 2), w_ih, b_ih).unflatten(1, (t, b))
            below = recurrence(input_part, w_hh, b_hh, stack.spec.cell)
        outputs = _affine(below.flatten(1, 2), weights["readout.weight"], weights["readout.bias"])
        return outputs.unflatten(1, (t, b)).transpose(1, 2)


def _affine(inputs: Float[Tensor, "N R I"], weight: Float[Tensor, "N O I"], bias: Float[Tensor, "N O"]) -> Tensor:
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))


def recurrence(
    input_part: Float[Tensor, "N T R G"], w_hh: Float[Tensor, "N G H"], b_hh: Float[Tensor, "N G"], cell: CellName
) -> Float[Tensor, "N T R H"]:
    """Compute a layer's outputs at all steps, from a state of zeros; differentiable once.

    Args:
        input_part: `W_ih x + b_ih` of each step of R sequences of N RNNs, gates in PyTorch's order.
        w_hh: the recurrent weights.
        b_hh: their bias.
        cell: the cell.
    """
    return _Recurrence.apply(input_part, w_hh, b_hh, cell)  # pyright: ignore[reportReturnType]


class _Recurrence(torch.autograd.Function):
    """The kernels with what they leave to torch: the gradients of W_hh and b_hh."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        from rnn2vec.zoo.backends import triton_kernels  # noqa: PLC0415

        input_part, w_hh, b_hh, cell = args
        n, t, r, _ = input_part.shape
        outputs = input_part.new_empty(n, t, r, w_hh.shape[2])
        saved = input_part.new_empty(triton_kernels.SAVED_PLANES[cell], *outputs.shape)
        arrays = (input_part.contiguous(), w_hh.contiguous(), b_hh.contiguous(), outputs, saved)
        triton_kernels.forward[(n,)](*arrays, outputs.numel(), t, r, **_constants(cell, r, w_hh.shape[2]))
        ctx.cell = cell
        ctx.save_for_backward(w_hh, outputs, saved)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        from rnn2vec.zoo.backends import triton_kernels  # noqa: PLC0415

        w_hh, outputs, saved = ctx.saved_tensors
        n, t, r, h = outputs.shape
        d_inputs = outputs.new_empty(n, t, r, w_hh.shape[1])
        d_recurrent = torch.empty_like(d_inputs) if ctx.cell == "gru" else d_inputs
        arrays = (w_hh.contiguous(), outputs, saved, grad_outputs[0].contiguous(), d_inputs, d_recurrent)
        triton_kernels.backward[(n,)](*arrays, outputs.numel(), t, r, **_constants(ctx.cell, r, h))
        # The state before the first step is 0 and adds nothing.
        d_w_hh = d_recurrent[:, 1:].flatten(1, 2).transpose(1, 2) @ outputs[:, :-1].flatten(1, 2)
        return d_inputs, d_w_hh, d_recurrent.sum(dim=(1, 2)), None


def _constants(cell: CellName, rows: int, hidden_size: int) -> dict[str, Any]:
    """Return the compile-time constants of a kernel.

    One stage: Triton would load steps ahead into shared memory, which takes twice the room of W_hh.
    """
    blocks = {"BR": block_size(rows), "BH": block_size(hidden_size)}
    options = {"num_warps": num_warps(*blocks.values()), "num_stages": 1}
    return {"H": hidden_size, "CELL": cell, "GATES": len(CELLS[cell].gates), **blocks, **options}
