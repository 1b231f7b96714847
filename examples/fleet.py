"""A fleet of forecasting GRUs, a few of them broken: find the outliers.

500 small GRUs forecast the next value of a series, each for a different customer: seasonal series of many periods, and
autoregressive ones that return to their mean faster or slower. The training of about ten of them (2 %) went wrong: some
had targets with the wrong sign, some had targets in another unit, and some had a broken sensor with a constant signal.
There are no labels. Which ones are they?

    python examples/fleet.py [SCALE [SEED]]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score

from rnn2vec import Rnn2Vec
from rnn2vec.index.outliers import judge_members
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.examples import SequenceExamples
from rnn2vec.tasks.supervised import SupervisedFamily
from rnn2vec.zoo.config import ZooConfig
from training import pretraining, trained, vectors_and_baselines

NUM_RNNS, SHARE_ODD, STEPS, LENGTH = 500, 0.02, 200, 20
FAULTS = 3  # of training: a wrong sign, another unit, a constant signal


@dataclass(frozen=True)
class Customers(SupervisedFamily):
    """Forecasts for customers: seasonal ones with a period of 5 to 12, and others with a memory of 0.5 to 0.95."""

    name = "customers"
    task_columns = ("is_seasonal", "period", "memory", "fault")
    input_size = 1
    output_size = 1

    def draw_task(self, generator: np.random.Generator) -> Task:
        """Draw a customer; of the trainings, 2 in 100 go wrong."""
        fault = generator.integers(1, FAULTS + 1) if generator.random() < SHARE_ODD else 0
        return generator.random() < 0.5, generator.uniform(5, 12), generator.uniform(0.5, 0.95), fault

    def draw_examples(self, task: Task, count: int, generator: np.random.Generator) -> SequenceExamples:
        """Draw series, and the next values as the training saw them."""
        values = series(task, count, generator)
        following = values[:, 1:]
        targets = [following, -following, 3 * following, np.ones_like(following)][int(task[3])]
        return SequenceExamples(values[:, :-1, None], targets[..., None], np.full(count, 1 / count))


def series(task: Task, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw series of a customer, `(count, LENGTH + 1)`, with mean 0 and standard deviation 1."""
    is_seasonal, period, memory, _ = task
    noise = generator.normal(size=(count, LENGTH + 1))
    if is_seasonal:
        phase = generator.uniform(0, 2 * np.pi, (count, 1))
        return (1.4 * np.sin(2 * np.pi * np.arange(LENGTH + 1) / period + phase) + 0.2 * noise).astype(np.float32)
    values = [noise[:, 0]]
    for fresh in noise[:, 1:].T:
        values.append(memory * values[-1] + (1 - memory**2) ** 0.5 * fresh)
    return np.stack(values, axis=1).astype(np.float32)


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train the fleet, fit, and rank the GRUs; return the average precision by method."""
    print(f"training {NUM_RNNS} GRUs, some of them wrongly")
    config = ZooConfig(
        family=Customers.name,
        cell="gru",
        num_runs=NUM_RNNS,
        num_steps=max(1, round(scale * STEPS)),
        hidden_size=8,
        num_layers=1,
        batch_size=6,
        learning_rates=(0.02, 0.01, 0.0),
        seed=seed,
    )
    fleet, customers = trained(config, Customers)
    odd = customers["fault"] > 0

    print("pre-training on the fleet and series of its customers")
    tasks = zip(*(customers[name][:100] for name in Customers.task_columns), strict=True)
    inputs = np.stack([series(task, 1, np.random.default_rng(seed))[0, :-1, None] for task in tasks])
    rnn2vec = Rnn2Vec.fit(fleet, inputs, config=pretraining(steps=round(scale * 600), sequence_length=16, seed=seed))
    print(rnn2vec.report)

    found = {
        name: float(average_precision_score(odd, judge_members(vectors).distances))
        for name, vectors in vectors_and_baselines(rnn2vec, fleet, inputs).items()
    }
    for name, precision in found.items():
        print(f"{name}: average precision {precision:.2f} (at random: {odd.mean():.2f})")
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
