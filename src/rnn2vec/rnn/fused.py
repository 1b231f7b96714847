"""`RNNStack`s on compiled CPU kernels.

The results equal those of `RNNStack.__call__` to float32 rounding, and small RNNs take a fraction of the time.

The first call of a process loads the kernels, and the first on a machine compiles them, for all architectures at once.
This takes seconds, so kernels are used on request only: by loops over thousands of RNNs or updates. The choice depends
on the arguments, never on measured time, and the same call gives the same bytes on any number of threads.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnn2vec._shapes import InputSequences, OutputSequences, State
from rnn2vec.rnn.lease import Lease
from rnn2vec.rnn.spec import TORCH_CELLS, RNNSpec
from rnn2vec.rnn.stack import RNNStack

RNNS_TOGETHER = 8
"""Number of RNNs that a thread processes at a time."""
_SEQUENCES_TOGETHER = 42
WORTH_UPDATES = 1000
"""Number of updates from which a loop should use kernels: they repay a compilation, and every later run gains."""
WORTH_RNNS = 20_000
"""Number of RNNs from which an embedding should use kernels."""


@functools.cache
def is_available() -> bool:
    """Return True if kernels can be compiled here, that is, if Numba is installed."""
    return importlib.util.find_spec("numba") is not None


def suits(stack: RNNStack) -> bool:
    """Return True if kernels can run a stack: cells of `torch.nn`, on the CPU, in float32, without weight gradients."""
    weights = stack.weights.values()
    return (
        is_available()
        and stack.spec.cell in TORCH_CELLS
        and not torch.is_autocast_enabled("cpu")
        and all(one.device.type == "cpu" and one.dtype == torch.float32 and not one.requires_grad for one in weights)
    )


def run(stack: RNNStack, inputs: InputSequences, state: State | None = None) -> tuple[OutputSequences, State]:
    """Run every RNN on its own sequences, as `RNNStack.__call__` does.

    Args:
        stack: N RNNs for which `suits` holds.
        inputs: `(N, B, T, I)` in float32.
        state: initial state; zeros by default.

    Returns:
        Outputs `(N, B, T, O)` and the state after the last step.
    """
    spec = stack.spec
    given = stack.initial_state(inputs.shape[1]) if state is None else state
    vectors = torch.stack([torch.stack(layer) for layer in given])  # (layers, kinds, N, B, H)
    outputs, after = _Run.apply(spec, stack.flatten(), inputs.contiguous(), vectors)  # pyright: ignore[reportGeneralTypeIssues]
    return outputs, tuple(tuple(layer.unbind()) for layer in after.unbind())


@torch.no_grad()
def outputs_of(stack: RNNStack, inputs: InputSequences) -> OutputSequences:
    """Compute the outputs on many sequences, in blocks that fit into the cache.

    Args:
        stack: N RNNs for which `suits` holds.
        inputs: `(N, B, T, I)` in float32.
    """
    return torch.cat([run(stack, block)[0] for block in inputs.split(_SEQUENCES_TOGETHER, dim=1)], dim=1)


class _Run(torch.autograd.Function):
    """A pass of sequences through RNNs, with gradients for inputs and initial state."""

    @staticmethod
    def forward(ctx: Any, spec: RNNSpec, flat: Tensor, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        from rnn2vec.rnn.kernels.sequences import compiled, record_sizes  # noqa: PLC0415 (it takes Numba)
        from rnn2vec.rnn.kernels.steps import sizes_of  # noqa: PLC0415

        n, rows, steps, _ = inputs.shape
        sizes, keep = sizes_of(spec), any(ctx.needs_input_grad[2:])
        outputs, after = inputs.new_empty(n, rows, steps, spec.output_size), state.clone()
        gates, hidden, cells, extra, _ = record_sizes(sizes, rows)
        lengths = (steps * gates, (steps + 1) * hidden, (steps + 1) * cells, steps * extra)
        lease = Lease(*(n * keep * length for length in lengths))
        record = tuple(part.view(n * keep, length).numpy() for part, length in zip(lease.parts, lengths, strict=True))
        forward, ctx.run_backward = compiled()
        arrays = (flat.numpy(), inputs.detach().numpy(), after.numpy(), outputs.numpy())
        calls = [
            functools.partial(forward, sizes, part.start, part.stop, *arrays, record, keep)
            for part in parts(n, RNNS_TOGETHER)
        ]
        side_by_side(calls)
        ctx.sizes, ctx.lease, ctx.record, ctx.input_size = sizes, lease, record, spec.input_size
        ctx.save_for_backward(flat)
        return outputs, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        of_outputs, of_state = grads[0].contiguous(), grads[1].clone(memory_format=torch.contiguous_format)
        (flat,) = ctx.saved_tensors
        of_inputs = of_outputs.new_empty(*of_outputs.shape[:3], ctx.input_size)
        arrays = (flat.numpy(), of_outputs.numpy(), of_inputs.numpy(), of_state.numpy())
        calls = [
            functools.partial(ctx.run_backward, ctx.sizes, part.start, part.stop, *arrays, ctx.record)
            for part in parts(len(flat), RNNS_TOGETHER)
        ]
        side_by_side(calls)
        return None, None, of_inputs, of_state


def parts(number: int, size: int) -> list[slice]:
    """Divide a number of RNNs into slices of `size`, which do not depend on the number of threads."""
    return [slice(begin, min(begin + size, number)) for begin in range(0, number, size)]


def side_by_side(calls: Sequence[Callable[[], None]]) -> None:
    """Run kernel calls, which release the GIL, on the number of threads that torch has.

    The calls contain no torch operation, since each thread would start a team of torch's own threads.
    """
    threads = min(torch.get_num_threads(), len(calls))
    if threads <= 1:
        for call in calls:
            call()
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
