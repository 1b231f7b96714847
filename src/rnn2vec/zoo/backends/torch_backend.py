"""The reference: stacked weights, autograd, and AdamW written out. Runs anywhere torch does, trains every cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.execution.devices import require_device
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import one_hot, read_frames
from rnn2vec.tasks.examples import ExampleKind
from rnn2vec.zoo.backends.base import BETAS, EPSILON, Batches, RunExamples, RunFrames, TrainingState

Rows = tuple[InputSequences, Int[Tensor, "N R T"] | Float[Tensor, "N R T O"], Float[Tensor, "N R T"] | None]
"""Inputs, targets and weights per step of chosen examples."""


def weighted_loss(
    outputs: OutputSequences,
    targets: Int[Tensor, "N R T"] | Float[Tensor, "N R T O"],
    row_weights: Float[Tensor, "N R"],
    step_weights: Float[Tensor, "N R T"] | None = None,
) -> Float[Tensor, " N"]:
    """Return the loss of each RNN on its own weighted rows: cross-entropy or squared error, averaged over the steps.

    Args:
        outputs: logits or numbers `(N, R, T, O)` of N RNNs.
        targets: right outputs: classes `(N, R, T)`, or numbers.
        row_weights: weights of the rows, summing to 1 for each RNN.
        step_weights: weights of the steps in the mean over a row; None weighs all alike.
    """
    if targets.is_floating_point():
        losses = (outputs - targets).square().mean(dim=-1)
    else:
        losses = torch.nn.functional.cross_entropy(outputs.movedim(-1, 1), targets, reduction="none")
    if step_weights is None:
        of_rows = losses.mean(dim=-1)
    else:
        of_rows = (losses * step_weights).sum(dim=-1) / step_weights.sum(dim=-1)
    return (of_rows * row_weights).sum(dim=-1)


def row_reader(
    examples: RunExamples, spec: RNNSpec, *, device: torch.device, dtype: torch.dtype
) -> Callable[[Int[Tensor, "N R"]], Rows]:
    """Return a function that reads chosen examples of each run.

    Args:
        examples: those of N runs.
        spec: the architecture of the RNNs that read them.
        device: device of the result.
        dtype: type of the numbers.
    """
    if isinstance(examples, RunFrames):
        return _frame_reader(examples, device, dtype)
    inputs, targets = _load(examples.inputs, device), _load_targets(examples.targets, device, dtype)
    weights = None if examples.step_weights is None else _load(examples.step_weights, device).to(dtype)
    run = torch.arange(len(inputs), device=device)[:, None]

    def read(rows: Tensor) -> Rows:
        chosen = inputs[run, rows]
        chosen = chosen if inputs.is_floating_point() else one_hot(chosen, spec.input_size)
        return chosen.to(dtype), targets[run, rows], None if weights is None else weights[run, rows]

    return read


def _frame_reader(examples: RunFrames, device: torch.device, dtype: torch.dtype) -> Callable[[Tensor], Rows]:
    images, labels = _load(examples.images, device), _load_targets(examples.labels, device, dtype)
    values, pixel_map = _load(examples.values, device).to(dtype), _load(examples.pixel_map, device).long()
    weights = None if examples.step_weights is None else _load(examples.step_weights, device).to(dtype)

    def read(rows: Tensor) -> Rows:
        targets = labels[rows].unsqueeze(2).expand(-1, -1, pixel_map.shape[1], *labels.shape[1:])
        step_weights = None if weights is None else weights[:, None].expand(-1, rows.shape[1], -1)
        return read_frames(images[rows], values, pixel_map), targets, step_weights

    return read


def _load_targets(targets: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return classes as integers, numbers in the given type."""
    loaded = _load(targets, device)
    return loaded.to(dtype) if loaded.is_floating_point() else loaded.long()


class TorchBackend:
    """Trains N runs as one stack.

    Args:
        device: where, such as `"cpu"` or `"cuda"`.

    Raises:
        UsageError: if this machine, or this build of torch, has no such device.
    """

    name = "torch"

    def __init__(self, device: str = "cpu") -> None:
        require_device(device)
        self._device = torch.device(device)

    def obstacle(self, spec: RNNSpec, kind: ExampleKind) -> str | None:  # noqa: ARG002
        """Return None: torch trains every architecture on every kind of examples."""
        return None

    def train(
        self,
        spec: RNNSpec,
        examples: RunExamples,
        state: TrainingState,
        batches: Batches,
        learning_rates: Float64[np.ndarray, " S"],
        weight_decay: Float64[np.ndarray, " N"],
    ) -> None:
        """See `Backend.train`."""
        weights = self._load(state.weights).requires_grad_()
        first, second = self._load(state.first_moments), self._load(state.second_moments)
        decay = self._load(weight_decay)[:, None].to(weights.dtype)
        read = row_reader(examples, spec, device=self._device, dtype=weights.dtype)
        rows, row_weights = self._load(batches.rows).long(), self._load(batches.weights).to(weights.dtype)
        losses = torch.zeros(len(weights), device=self._device)
        for step, learning_rate in enumerate(learning_rates.tolist()):
            inputs, targets, step_weights = read(rows[:, step])
            outputs = self._outputs(RNNStack.from_flat(spec, weights), inputs)
            losses = weighted_loss(outputs, targets, row_weights[:, step], step_weights)
            (gradient,) = torch.autograd.grad(losses.sum(), weights)
            state.step += 1
            with torch.no_grad():
                first.lerp_(gradient, 1 - BETAS[0])
                second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                root = (second / (1 - BETAS[1] ** state.step)).sqrt_().add_(EPSILON)
                weights.mul_(1 - learning_rate * decay)
                weights.addcdiv_(first, root, value=-learning_rate / (1 - BETAS[0] ** state.step))
        for target, source in (
            (state.weights, weights),
            (state.first_moments, first),
            (state.second_moments, second),
            (state.losses, losses),
        ):
            target[:] = source.detach().cpu().numpy()

    def _outputs(self, stack: RNNStack, inputs: InputSequences) -> OutputSequences:
        """Compute the RNNs' outputs; derived backends override this method only."""
        return stack(inputs)[0]

    def _load(self, array: np.ndarray) -> Tensor:
        return _load(array, self._device)


def _load(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, copy=True)
