"""Recurrent policies for a small partially observable world: cluster them by skill.

A corridor: a sign at the entrance shows left or right and is then out of sight; the walls look the same everywhere, and
a turn is possible only at the junction. 160 GRU policies are cloned from demonstrations of experts with five skills:
follow the sign, do the opposite, always turn left, always right, or stay. What does each of them do? And which policies
do the same?

    python examples/policies.py [SCALE [SEED]]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from rnn2vec import Rnn2Vec
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.examples import SequenceExamples
from rnn2vec.tasks.supervised import SupervisedFamily
from rnn2vec.zoo.config import ZooConfig
from training import neighbour_accuracy, pretraining, trained, vectors_and_baselines

SKILLS = ("follow the sign", "do the opposite", "turn left", "turn right", "stay")
FORWARD, LEFT, RIGHT, STAY = range(4)  # actions
CORRIDOR, JUNCTION = 2, 3  # observations; 0 and 1 are the sign
DISTANCE, LENGTH = 3, 8
NUM_RNNS, STEPS = 160, 300


@dataclass(frozen=True)
class Demonstrations(SupervisedFamily):
    """Draw the observations and actions of experts; steps after a turn do not count."""

    name = "demonstrations"
    task_columns = ("skill",)
    input_size = 4
    output_size = 4

    def draw_task(self, generator: np.random.Generator) -> Task:
        """Draw a skill."""
        return (float(generator.integers(len(SKILLS))),)

    def draw_examples(self, task: Task, count: int, generator: np.random.Generator) -> SequenceExamples:
        """Demonstrate a skill."""
        return SequenceExamples(*demonstrate(int(task[0]), count, generator))


def demonstrate(skill: int, count: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return observations, right actions, probabilities and step weights; one action in ten is a random one."""
    signs = generator.integers(2, size=count)
    turn = [signs + LEFT, RIGHT - signs, np.full(count, LEFT), np.full(count, RIGHT), np.full(count, STAY)][skill]
    place, is_going = np.zeros(count, int), np.ones(count, bool)
    seen, right, counts = [], [], []
    for step in range(LENGTH):
        seen.append(np.where(place == DISTANCE, JUNCTION, CORRIDOR) if step else signs)
        right.append(np.where((place == DISTANCE) | (skill == len(SKILLS) - 1), turn, FORWARD))
        counts.append(is_going.copy())
        action = np.where(generator.random(count) < 0.1, generator.integers(4, size=count), right[-1])
        is_going &= ~((place == DISTANCE) & ((action == LEFT) | (action == RIGHT)))
        place = np.where(action == FORWARD, np.minimum(place + 1, DISTANCE), place)
    observations, actions = (np.stack(one, axis=1).astype(np.uint8) for one in (seen, right))
    return observations, actions, np.full(count, 1 / count), np.stack(counts, axis=1).astype(np.float32)


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train, fit on the observations, and compare; return the accuracy of the nearest neighbour by method."""
    print(f"cloning {NUM_RNNS} policies from demonstrations of {len(SKILLS)} skills")
    config = ZooConfig(
        family=Demonstrations.name,
        cell="gru",
        num_runs=NUM_RNNS,
        num_steps=max(1, round(scale * STEPS)),
        hidden_size=12,
        num_layers=1,
        batch_size=24,
        learning_rates=(0.02, 0.01, 0.001),
        seed=seed,
    )
    policies, properties = trained(config, Demonstrations)
    skills = properties["skill"].astype(int)
    print(f"right actions in held-out demonstrations: {properties['performance'].mean():.0%}")

    print("pre-training on the policies and what experts saw, without their skills")
    generator = np.random.default_rng(seed)
    observations = np.concatenate([demonstrate(skill, 20, generator)[0] for skill in range(len(SKILLS))]).astype(
        np.int64
    )
    rnn2vec = Rnn2Vec.fit(
        policies,
        observations,
        config=pretraining(steps=round(scale * 500), sequence_length=8, seed=seed),
        output_kind="categorical",
    )
    print(rnn2vec.report)
    vectors = vectors_and_baselines(rnn2vec, policies, observations, output_kind="categorical")
    found = {name: neighbour_accuracy(one, skills) for name, one in vectors.items()}
    for name, accuracy in found.items():
        print(f"{name}: the nearest policy has the same skill in {accuracy:.0%} (at random: {1 / len(SKILLS):.0%})")
    clusters = KMeans(len(SKILLS), n_init=4, random_state=0).fit_predict(vectors["rnn2vec"])
    print(
        f"five clusters of the vectors against the five skills: Rand index {adjusted_rand_score(skills, clusters):.2f}"
    )
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
