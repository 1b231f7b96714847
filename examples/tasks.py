"""Task-trained rate networks, as in neuroscience: which task was a network trained on?

240 leaky RNNs learn one of six cognitive tasks each. They see a fixation signal and two stimuli, and answer with two
numbers. Trained networks differ in everything that a random start makes different; what they do is the same per task.

    python examples/tasks.py [SCALE [SEED]]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from rnn2vec import Rnn2Vec
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.examples import SequenceExamples
from rnn2vec.tasks.supervised import SupervisedFamily
from rnn2vec.zoo.config import ZooConfig
from training import neighbour_accuracy, pretraining, trained, vectors_and_baselines

TASKS = ("report", "report later", "opposite", "compare", "integrate", "keep the first")
NUM_RNNS, STEPS, LENGTH = 240, 250, 16


@dataclass(frozen=True)
class CognitiveTasks(SupervisedFamily):
    """Six tasks on two stimuli: fixation until step 10; stimuli in steps 2 to 5, and again in 7 and 8."""

    name = "cognitive-tasks"
    task_columns = ("task_number",)
    input_size = 3
    output_size = 2

    def draw_task(self, generator: np.random.Generator) -> Task:
        """Draw one of the six."""
        return (float(generator.integers(len(TASKS))),)

    def draw_examples(self, task: Task, count: int, generator: np.random.Generator) -> SequenceExamples:
        """Draw trials and their answers."""
        inputs = trials(count, generator)
        return SequenceExamples(inputs, answers(inputs, int(task[0])), np.full(count, 1 / count))


def trials(count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw inputs `(count, LENGTH, 3)`."""
    steps = np.arange(LENGTH)
    stimuli = generator.uniform(-1, 1, (count, 2, 1, 2))
    shown = (
        stimuli[:, 0] * ((steps >= 2) & (steps < 6))[:, None] + stimuli[:, 1] * ((steps >= 7) & (steps < 9))[:, None]
    )
    fixation = np.broadcast_to((steps < 10)[:, None], (count, LENGTH, 1))
    noisy = shown + 0.05 * generator.normal(size=shown.shape)
    return np.concatenate([fixation, noisy], axis=2).astype(np.float32)


def answers(inputs: np.ndarray, task: int) -> np.ndarray:
    """Return the right outputs `(count, LENGTH, 2)`: nothing before the fixation ends, except in `report`."""
    stimuli = inputs[..., 1:]
    first, second = stimuli[:, 4:5], stimuli[:, 8:9]
    larger = (first[..., :1] > first[..., 1:]).astype(np.float32)
    answer = [
        stimuli,
        second,
        -second,
        np.concatenate([larger, 1 - larger], axis=2),
        stimuli.cumsum(axis=1) / 5,
        first,
    ][task]
    after = (np.arange(LENGTH) >= 10)[:, None] if task else 1.0
    return np.broadcast_to(answer * after, stimuli.shape).astype(np.float32)


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train, fit, and ask each network's nearest neighbour for its task; accuracy by method."""
    print(f"training {NUM_RNNS} rate networks on {len(TASKS)} tasks")
    config = ZooConfig(
        family=CognitiveTasks.name,
        family_options={"num_examples": 512},
        cell="leaky",
        num_runs=NUM_RNNS,
        num_steps=max(1, round(scale * STEPS)),
        hidden_size=24,
        num_layers=1,
        batch_size=12,
        learning_rates=(0.01, 0.005, 0.0005),
        seed=seed,
    )
    networks, zoo_rows = trained(config, CognitiveTasks)
    labels = zoo_rows["task_number"].astype(int)
    print(f"explained variance {zoo_rows['performance'].mean():.2f} on held-out trials")
    print("pre-training on the networks and trials, without the tasks")
    inputs = trials(100, np.random.default_rng(seed))
    rnn2vec = Rnn2Vec.fit(networks, inputs, config=pretraining(steps=round(scale * 500), sequence_length=16, seed=seed))
    print(rnn2vec.report)
    vectors = vectors_and_baselines(rnn2vec, networks, inputs)
    found = {name: neighbour_accuracy(one, labels) for name, one in vectors.items()}
    for name, accuracy in found.items():
        print(f"{name}: the nearest network has the same task in {accuracy:.0%} (at random: {1 / len(TASKS):.0%})")
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
