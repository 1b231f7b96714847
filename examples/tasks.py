"""Task-trained tanh RNNs, as in neuroscience: which task was a network trained on?

240 vanilla RNNs learn one of six cognitive tasks each. Their inputs are a fixation signal and two stimuli, and their
outputs are two numbers. The weights differ with the random initialization; the behaviour is the same for each task.

    python examples/tasks.py [SCALE [SEED]]
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from rnn2vec import Rnn2Vec, RNNSpec, RNNStack
from training import PerRNN, neighbour_accuracy, new_rnns, pretraining, train, vectors_and_baselines

TASKS = ("report", "report later", "opposite", "compare", "integrate", "keep the first")
NUM_RNNS, STEPS, LENGTH, TRIALS = 240, 250, 16, 12
SPEC = RNNSpec(cell="rnn_tanh", input_size=3, hidden_size=24, num_layers=1, output_size=2)


def trials(number: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw inputs `(number, count, LENGTH, 3)`: fixation until step 10; stimuli in steps 2 to 5 and 7 to 8."""
    steps = torch.arange(LENGTH)
    stimuli = 2 * torch.rand(number, count, 2, 2, generator=generator) - 1
    first = stimuli[:, :, 0, None] * ((steps >= 2) & (steps < 6))[:, None]
    second = stimuli[:, :, 1, None] * ((steps >= 7) & (steps < 9))[:, None]
    noise = 0.05 * torch.randn(number, count, LENGTH, 2, generator=generator)
    fixation = (steps < 10).float()[:, None].expand(number, count, -1, -1)
    return torch.cat([fixation, first + second + noise], dim=-1)


def answers(inputs: Tensor) -> Tensor:
    """Compute the targets of all tasks, `(6, number, count, LENGTH, 2)`: except in `report`, 0 until fixation ends."""
    stimuli = inputs[..., 1:]
    after = (torch.arange(LENGTH) >= 10).float()[:, None]
    first, second = stimuli[:, :, 4:5], stimuli[:, :, 8:9]
    larger = (first[..., :1] > first[..., 1:]).float()
    return torch.stack(
        [
            stimuli,
            second.expand_as(stimuli) * after,
            -second.expand_as(stimuli) * after,
            torch.cat([larger, 1 - larger], dim=-1).expand_as(stimuli) * after,
            stimuli.cumsum(dim=2) / 5 * after,
            first.expand_as(stimuli) * after,
        ]
    )


def task_loss(labels: Tensor) -> PerRNN:
    """Build the squared error of each network on its own task."""

    def loss(stack: RNNStack, generator: torch.Generator) -> Tensor:
        inputs = trials(len(stack), TRIALS, generator)
        targets = answers(inputs)[labels, torch.arange(len(stack))]
        outputs, _ = stack(inputs)
        return (outputs - targets).square().mean(dim=(1, 2, 3))

    return loss


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train, fit, and predict each network's task from its nearest neighbour; return the accuracy by method."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(NUM_RNNS) % len(TASKS)
    print(f"training {NUM_RNNS} tanh RNNs on {len(TASKS)} tasks")
    networks = new_rnns(SPEC, NUM_RNNS, generator)
    networks = train(networks, task_loss(labels), steps=round(scale * STEPS), learning_rate=0.005, generator=generator)
    print("pre-training on the networks and trials, without the tasks")
    config = pretraining(steps=round(scale * 500), sequence_length=16, seed=seed)
    inputs = trials(1, 100, generator)[0].numpy()
    rnn2vec = Rnn2Vec.fit(networks, inputs, config=config)
    print(rnn2vec.report)
    vectors = vectors_and_baselines(rnn2vec, networks, inputs)
    found = {name: neighbour_accuracy(one, labels.numpy()) for name, one in vectors.items()}
    for name, accuracy in found.items():
        print(f"{name}: the nearest network has the same task in {accuracy:.0%} (at random: {1 / len(TASKS):.0%})")
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
