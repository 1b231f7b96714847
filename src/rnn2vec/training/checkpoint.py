"""Checkpoints: modules, optimizer and progress of a training in one file.

A single file guarantees that all its parts are of the same update. It holds no generator state, because each update
draws from a stream of its own number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, Rnn2VecError
from rnn2vec._typed import typed
from rnn2vec.training.sealed import load_sealed, save_sealed


@dataclass
class Standing:
    """Progress of a training: everything that resuming needs besides tensors."""

    step: int = 0
    """Number of updates done."""
    best: float | None = None
    """Lowest validation loss so far."""
    best_step: int = 0
    """Number of updates at that validation."""
    misses: int = 0
    """Number of validations since then."""

    def take(self, loss: float) -> bool:
        """Record a validation loss; return True if it is the lowest so far."""
        is_best = self.best is None or loss < self.best
        if is_best:
            self.best, self.best_step, self.misses = loss, self.step, 0
        else:
            self.misses += 1
        return is_best


def save_state(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, standing: Standing
) -> None:
    """Write a checkpoint.

    Args:
        path: the file to write.
        modules: modules by name; names contain no dot, and none is `optimizer`.
        optimizer: optimizer of their parameters.
        standing: progress of the training.

    Raises:
        StorageError: if the file cannot be written; a previous one stays unchanged.
    """
    tensors = collect_weights(modules)
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    save_sealed(path, tensors, vars(standing))


def load_state(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, *, remedy: str
) -> Standing:
    """Load modules and optimizer from a checkpoint; without a file, return a fresh `Standing`.

    Args:
        path: the file to read.
        modules: the modules that were written, by the same names.
        optimizer: optimizer of their parameters.
        remedy: advice about a damaged file.

    Raises:
        DataError: if the file is damaged, or holds other modules.
    """
    if not path.is_file():
        return Standing()
    try:
        tensors, note = load_sealed(path)
        standing = typed(Standing, note)
        spread_weights(modules, {name: t for name, t in tensors.items() if not name.startswith("optimizer.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, entry = name.split(".")
                state.setdefault(int(number), {})[entry] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (DataError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} is damaged: {reason(error)}", remedy=remedy) from error
    return standing


def collect_weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return all weights of several modules, as `name.weight`."""
    return {
        f"{prefix}.{name}": tensor for prefix, module in modules.items() for name, tensor in module.state_dict().items()
    }


def spread_weights(modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Load weights that `collect_weights` returned.

    Raises:
        ValueError: if a number is NaN or infinite.
        RuntimeError: if names or shapes differ.
    """
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has NaN or infinite numbers")
    for prefix, module in modules.items():
        start = f"{prefix}."
        module.load_state_dict(
            {name.removeprefix(start): tensor for name, tensor in weights.items() if name.startswith(start)}
        )


def reason(error: Exception) -> str:
    """Return the reason why a file could not be read, in words."""
    if isinstance(error, Rnn2VecError):
        return error.problem
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
