"""What training needs to go on from: modules, an optimizer, and where it stands, in one file.

One file, so that all of it is of the same update. There is no state of a random generator in it: an update draws from
a stream of its own number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, write_atomically


@dataclass
class Standing:
    """Where a run stands; what it needs besides tensors to go on."""

    step: int = 0
    """Updates made."""
    best: float | None = None
    """The lowest validation loss so far."""
    best_step: int = 0
    """When that was."""
    misses: int = 0
    """Validations since then."""

    def take(self, loss: float) -> bool:
        """Take note of a validation loss; whether it is the lowest so far."""
        is_best = self.best is None or loss < self.best
        if is_best:
            self.best, self.best_step, self.misses = loss, self.step, 0
        else:
            self.misses += 1
        return is_best


def save_state(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, standing: Standing
) -> None:
    """Write the file.

    Args:
        path: where.
        modules: by names without a dot, `optimizer` not being one of them.
        optimizer: of their parameters.
        standing: the rest.

    Raises:
        StorageError: the disk refused; what stood there before still stands.
    """
    tensors = collect_weights(modules)
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    note = canonical_json(vars(standing))
    data = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata={"rnn2vec": note}
    )
    write_atomically(path, data)


def load_state(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, *, remedy: str
) -> Standing:
    """Put modules and optimizer where the file has them; a fresh `Standing` when there is no file.

    Args:
        path: the file.
        modules: the same, by the same names, as when it was written.
        optimizer: of their parameters.
        remedy: what to do about a damaged file.

    Raises:
        DataError: the file is damaged, or is of other modules.
    """
    if not path.is_file():
        return Standing()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            standing = Standing(**json.loads(file.metadata()["rnn2vec"]))
        spread_weights(modules, {name: t for name, t in tensors.items() if not name.startswith("optimizer.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, entry = name.split(".")
                state.setdefault(int(number), {})[entry] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is damaged: {reason(error)}", remedy=remedy) from error
    return standing


def collect_weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All weights of several modules, as `name.weight`."""
    return {
        f"{prefix}.{name}": tensor for prefix, module in modules.items() for name, tensor in module.state_dict().items()
    }


def spread_weights(modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Load what `collect_weights` collected.

    Raises:
        ValueError: a number is NaN or infinite.
        RuntimeError: names or shapes do not fit.
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
    """What went wrong while a file was read, in words."""
    if isinstance(error, UsageError):
        return error.problem
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
