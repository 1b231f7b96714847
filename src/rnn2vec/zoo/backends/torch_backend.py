"""The reference: stacked weights, autograd, and AdamW written out. Runs anywhere torch does, trains every cell."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import one_hot
from rnn2vec.zoo.backends.base import BETAS, EPSILON, Batches, RunExamples, TrainingState


def weighted_cross_entropy(
    stack: RNNStack, tokens: Tensor, targets: Tensor, row_weights: Float[Tensor, "N R"]
) -> Float[Tensor, " N"]:
    """The loss of each RNN on its own weighted rows: cross-entropy, averaged over the steps.

    Args:
        stack: N RNNs with token inputs.
        tokens: input tokens `(N, R, T)`.
        targets: the right outputs `(N, R, T)`.
        row_weights: weights of the rows, summing to 1 for each RNN.
    """
    inputs = one_hot(tokens, stack.spec.input_size).to(row_weights)
    logits, _ = stack(inputs)
    losses = torch.nn.functional.cross_entropy(logits.movedim(-1, 1), targets.long(), reduction="none")
    return (losses.mean(dim=-1) * row_weights).sum(dim=-1)


class TorchBackend:
    """Trains N runs as one stack.

    Args:
        device: where, such as `"cpu"` or `"cuda"`.

    Raises:
        UsageError: this machine, or this build of torch, has no such device.
    """

    name = "torch"

    def __init__(self, device: str = "cpu") -> None:
        try:
            self._device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
            reason = str(error).splitlines()[0]
            raise UsageError(f"torch cannot use device {device!r} here: {reason}", remedy="take cpu.") from error

    def supports(self, spec: RNNSpec) -> bool:  # noqa: ARG002
        """Every architecture."""
        return True

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
        inputs, targets = self._load(examples.inputs), self._load(examples.targets)
        rows, row_weights = self._load(batches.rows).long(), self._load(batches.weights).to(weights.dtype)
        run = torch.arange(len(inputs), device=self._device)[:, None]
        losses = torch.zeros(len(inputs), device=self._device)
        for step, learning_rate in enumerate(learning_rates.tolist()):
            drawn = rows[:, step]
            losses = weighted_cross_entropy(
                RNNStack.from_flat(spec, weights), inputs[run, drawn], targets[run, drawn], row_weights[:, step]
            )
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

    def _load(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device, copy=True)
