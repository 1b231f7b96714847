"""A folder of 63 GRU forecasters, some of them broken or copied: the story of docs/your-own-rnns.md.

60 GRUs of four sizes forecast the next value of seasonal series. Two learned from broken targets (flipped, and in
another unit) and one from targets that are late by a step. Three more files are copies: an exact one, one with hidden
units in another order and with flipped signs, and one with noise of 0.001 on every weight.

    python examples/forecasters.py [STEPS [SEED]]

writes `forecasters/*.pt` and `series.npy` into the current folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnn2vec import RNNSpec, RNNStack
from rnn2vec.rnn import symmetry
from training import PerRNN, new_rnns, train

SIZES, EACH, LENGTH = (8, 12, 16, 24), 15, 32
FAULTS = {"forecaster_07": "flipped", "forecaster_41": "another unit", "forecaster_22": "late"}
COPIES = {"copy_exact": "forecaster_03", "copy_permuted": "forecaster_18", "copy_noisy": "forecaster_50"}


def series(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return seasonal series with noise, `(*shape, LENGTH + 1)`."""
    period = 6 + 8 * torch.rand(*shape, 1, generator=generator)
    phase = 2 * torch.pi * torch.rand(*shape, 1, generator=generator)
    wave = (2 * torch.pi * torch.arange(LENGTH + 1) / period + phase).sin()
    return wave + 0.1 * torch.randn(*shape, LENGTH + 1, generator=generator)


def forecasting_loss(names: list[str]) -> PerRNN:
    """Return the loss by which some forecasters learn, faults included."""

    def loss(stack: RNNStack, generator: torch.Generator) -> Tensor:
        values = series((len(stack), 8), generator)
        target = values[..., 1:].clone()
        for row, name in enumerate(names):
            fault = FAULTS.get(name)
            if fault == "flipped":
                target[row] *= -1
            elif fault == "another unit":
                target[row] *= 3
            elif fault == "late":
                target[row] = values[row, :, :-1]
        return (stack(values[..., :-1, None])[0][..., 0] - target).square().mean(dim=(1, 2))

    return loss


def main(steps: int = 400, seed: int = 0) -> None:
    """Train the forecasters, copy three, and write everything."""
    generator = torch.Generator().manual_seed(seed)
    folder = Path("forecasters")
    folder.mkdir(exist_ok=True)
    modules: dict[str, RNNStack] = {}
    for number, size in enumerate(SIZES):
        spec = RNNSpec(cell="gru", input_size=1, hidden_size=size, num_layers=1, output_size=1)
        names = [f"forecaster_{number * EACH + row:02d}" for row in range(EACH)]
        loss = forecasting_loss(names)
        stack = train(new_rnns(spec, EACH, generator), loss, steps=steps, learning_rate=0.02, generator=generator)
        modules |= {name: stack.select([row]) for row, name in enumerate(names)}
    for name, original in COPIES.items():
        modules[name] = _copied(name, modules[original], generator)
    for name, stack in modules.items():
        torch.save(stack.to_modules()[0].state_dict(), folder / f"{name}.pt")
    np.save("series.npy", series((40,), generator)[:, :-1].numpy())


def _copied(name: str, stack: RNNStack, generator: torch.Generator) -> RNNStack:
    if name == "copy_exact":
        return stack
    if name == "copy_noisy":
        flat = stack.flatten()
        return RNNStack.from_flat(stack.spec, flat + 1e-3 * torch.randn(flat.shape, generator=generator))
    permuted = symmetry.permute_randomly(stack.spec, stack.weights, generator)
    return RNNStack(stack.spec, symmetry.flip_randomly(stack.spec, permuted, generator))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
