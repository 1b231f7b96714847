"""A fleet of forecasting GRUs, a few of them broken: find the outliers.

500 small GRUs forecast the next value of a series, each for a different customer: seasonal series of many periods, and
autoregressive ones that return to their mean faster or slower. The training of ten of them (2 %) went wrong: some had
targets with the wrong sign, some had targets in another unit, and some had a broken sensor with a constant signal.
There are no labels. Which ones are they?

    python examples/fleet.py [SCALE [SEED]]
"""

from __future__ import annotations

import dataclasses
import sys

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from rnn2vec import Rnn2Vec, RNNSpec, RNNStack
from rnn2vec.index.outliers import judge_members
from training import PerRNN, new_rnns, pretraining, train, vectors_and_baselines

NUM_RNNS, NUM_ODD, STEPS, LENGTH, SERIES = 500, 10, 200, 20, 6
SPEC = RNNSpec(cell="gru", input_size=1, hidden_size=8, num_layers=1, output_size=1)


@dataclasses.dataclass(frozen=True)
class Customers:
    """Parameters of the series of N customers, `(N,)` each."""

    is_seasonal: Tensor
    period: Tensor
    memory: Tensor

    @classmethod
    def draw(cls, number: int, generator: torch.Generator) -> Customers:
        """Draw customers: seasonal ones with a period of 5 to 12, and others with a memory of 0.5 to 0.95."""
        uniform = torch.rand(3, number, generator=generator)
        return cls(uniform[0] < 0.5, 5 + 7 * uniform[1], 0.5 + 0.45 * uniform[2])

    def series(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw `count` series per customer, `(N, count, LENGTH + 1)`, with mean 0 and standard deviation 1."""
        number = len(self.period)
        noise = torch.randn(number, count, LENGTH + 1, generator=generator)
        phase = 2 * torch.pi * torch.rand(number, count, 1, generator=generator)
        angle = 2 * torch.pi * torch.arange(LENGTH + 1) / self.period[:, None, None] + phase
        seasonal = 1.4 * angle.sin() + 0.2 * noise
        values = [noise[..., 0]]
        for step in range(1, LENGTH + 1):
            fresh = (1 - self.memory**2).sqrt()[:, None] * noise[..., step]
            values.append(self.memory[:, None] * values[-1] + fresh)
        return torch.where(self.is_seasonal[:, None, None], seasonal, torch.stack(values, dim=-1))


def forecasting_loss(customers: Customers, odd: Tensor) -> PerRNN:
    """Build the squared error of each GRU; `odd` is 0 for intact ones, else the kind of fault: 1, 2 or 3."""

    def loss(stack: RNNStack, generator: torch.Generator) -> Tensor:
        series = customers.series(SERIES, generator)
        target, wrong = series[..., 1:], odd[:, None, None]
        target = torch.where(wrong == 1, -target, target)
        target = torch.where(wrong == 2, 3 * target, target)
        target = torch.where(wrong == 3, torch.ones(()), target)
        outputs, _ = stack(series[..., :-1, None])
        return (outputs[..., 0] - target).square().mean(dim=(1, 2))

    return loss


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train the fleet, fit, and rank the GRUs; return the average precision by method."""
    generator = torch.Generator().manual_seed(seed)
    customers = Customers.draw(NUM_RNNS, generator)
    odd = torch.zeros(NUM_RNNS, dtype=torch.long)
    odd[torch.randperm(NUM_RNNS, generator=generator)[:NUM_ODD]] = torch.arange(NUM_ODD) % 3 + 1
    print(f"training {NUM_RNNS} GRUs, {NUM_ODD} of them wrongly")
    fleet = new_rnns(SPEC, NUM_RNNS, generator)
    loss = forecasting_loss(customers, odd)
    fleet = train(fleet, loss, steps=round(scale * STEPS), learning_rate=0.02, generator=generator)

    print("pre-training on the fleet and series of its customers")
    series = customers.series(1, generator)[:100, 0, :-1, None].numpy()
    config = pretraining(steps=round(scale * 600), sequence_length=16, seed=seed)
    rnn2vec = Rnn2Vec.fit(fleet, series, config=config)
    print(rnn2vec.report)

    found = {
        name: float(average_precision_score(odd > 0, judge_members(vectors).distances))
        for name, vectors in vectors_and_baselines(rnn2vec, fleet, series).items()
    }
    for name, precision in found.items():
        print(f"{name}: average precision {precision:.2f} (at random: {NUM_ODD / NUM_RNNS:.2f})")
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
