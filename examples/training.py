"""Code that the examples share: gradient descent on hundreds of RNNs as one stack, and baselines."""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnn2vec import PretrainConfig, Rnn2Vec, RNNSpec, RNNStack, build_zoo
from rnn2vec.rnn.interface import Kind
from rnn2vec.tasks import FAMILIES
from rnn2vec.tasks.supervised import SupervisedFamily
from rnn2vec.zoo.config import ZooConfig

PerRNN = Callable[[RNNStack, torch.Generator], Tensor]
"""A function that draws examples and returns the loss of each RNN of a stack, `(N,)`."""


def new_rnns(spec: RNNSpec, number: int, generator: torch.Generator) -> RNNStack:
    """Draw RNNs with random weights, initialized like PyTorch's."""
    flat = torch.rand(number, spec.num_parameters, generator=generator)
    return RNNStack.from_flat(spec, (2 * flat - 1) / spec.hidden_size**0.5)


def train(stack: RNNStack, loss: PerRNN, *, steps: int, learning_rate: float, generator: torch.Generator) -> RNNStack:
    """Train every RNN on its own loss; Adam scales each weight separately, so the RNNs do not affect each other."""
    weights = {name: weight.clone().requires_grad_() for name, weight in stack.weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        losses = loss(RNNStack(stack.spec, weights), generator)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"  step {step}: median loss {losses.median():.4f}", flush=True)
    return RNNStack(stack.spec, {name: weight.detach() for name, weight in weights.items()})


def trained(config: ZooConfig, family: type[SupervisedFamily]) -> tuple[RNNStack, dict[str, np.ndarray]]:
    """Build a zoo of a family that no package registers; return the RNNs after their last step, with properties."""
    FAMILIES.register(family.name, family)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="backend 'numba' does not train")
        zoo = build_zoo(dataclasses.replace(config, num_rollouts=1, num_episodes=100), Path(folder) / "zoo")
        last = zoo.where(step=config.num_steps)
        columns = {name: zoo.column(name)[last] for name in zoo.properties.column_names}
        return zoo[last], columns


def pretraining(*, steps: int, sequence_length: int, seed: int) -> PretrainConfig:
    """Return a config for hundreds of small RNNs and probing sequences of this length."""
    return PretrainConfig(
        encoder_options={"hidden_size": 64, "sequence_length": sequence_length},
        emulator_hidden_size=64,
        num_steps=steps,
        warm_up_steps=50,
        validate_every=100,
        rollouts_per_rnn=2,
        seed=seed,
    )


def vectors_and_baselines(
    rnn2vec: Rnn2Vec, stack: RNNStack, inputs: np.ndarray, output_kind: Kind | None = None
) -> dict[str, np.ndarray]:
    """Compute the vectors of RNNs by rnn2vec, trained and untrained, and by two baselines."""
    return {
        "rnn2vec": rnn2vec.embed(stack),
        "random probing": Rnn2Vec.untrained(stack, inputs, output_kind=output_kind).embed(stack),
        "statistics of the weights": statistics(stack),
        "raw weights": standardized(stack.flatten().numpy()),
    }


def statistics(stack: RNNStack) -> np.ndarray:
    """Compute mean, variance and quantiles of each weight tensor."""
    parts: list[Tensor] = []
    levels = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    for weight in stack.weights.values():
        flat = weight.flatten(1)
        quantiles = torch.quantile(flat, levels, dim=1).T
        parts += [flat.mean(dim=1, keepdim=True), flat.var(dim=1, keepdim=True, unbiased=False), quantiles]
    return standardized(torch.cat(parts, dim=1).numpy())


def standardized(features: np.ndarray) -> np.ndarray:
    """Scale each feature to mean 0 and standard deviation 1."""
    return (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-8)


def neighbour_accuracy(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Compute the share of RNNs whose nearest other RNN has the same label."""
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())
