"""Recurrent policies for a small partially observable world: cluster them by skill.

In a corridor, a sign at the entrance shows left or right and is then out of sight; the walls look the same everywhere,
and turning is possible only at the junction. 160 GRU policies are trained by policy gradient, each with one of five
rewards: follow the sign, do the opposite, always turn left, always turn right, or stay in place. What does each policy
do, and which policies do the same?

    python examples/policies.py [SCALE [SEED]]
"""

from __future__ import annotations

import sys

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from rnn2vec import Rnn2Vec, RNNSpec, RNNStack
from training import PerRNN, neighbour_accuracy, new_rnns, pretraining, train, vectors_and_baselines

SKILLS = ("follow the sign", "do the opposite", "turn left", "turn right", "stay")
ACTIONS = ("forward", "left", "right", "stay")
CORRIDOR, LENGTH, EPISODES = 3, 6, 24
NUM_RNNS, STEPS = 160, 300
# Observations: sign to the left, sign to the right, corridor, junction.
SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=12, num_layers=1, output_size=len(ACTIONS))


def play(stack: RNNStack, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Play episodes; return signs, turns (or minus the distance), log-probabilities of all actions, observations."""
    number = len(stack)
    signs = torch.randint(2, (number, EPISODES), generator=generator)
    place = torch.zeros(number, EPISODES, dtype=torch.long)
    turned = torch.zeros(number, EPISODES, dtype=torch.long)
    likelihood = torch.zeros(number, EPISODES)
    state, observations = stack.initial_state(EPISODES), []
    for step in range(LENGTH):
        observation = torch.where(place == CORRIDOR, 3, 2) if step else signs
        inputs = torch.nn.functional.one_hot(observation, 4).float()
        observations.append(observation)
        logits, state = stack.step(inputs, state)
        probabilities = logits.detach().softmax(dim=-1) * 0.9 + 0.1 / len(ACTIONS)  # exploration
        action = torch.multinomial(probabilities.flatten(0, 1), 1, generator=generator).view(number, EPISODES)
        is_going = turned == 0
        likelihood = likelihood + is_going * logits.log_softmax(dim=-1).gather(2, action[..., None])[..., 0]
        at_junction = place == CORRIDOR
        turned = torch.where(is_going & at_junction & (action > 0) & (action < 3), action, turned)
        place = torch.where(is_going & (action == 0), (place + 1).clamp_max(CORRIDOR), place)
    return signs, torch.where(turned > 0, turned, -place), likelihood, torch.stack(observations, dim=-1)


def reward(skills: Tensor, signs: Tensor, end: Tensor) -> Tensor:
    """Compute rewards: 1 for the correct turn; for `stay`, the closer to the entrance, the larger."""
    right_turn = torch.stack([signs + 1, 2 - signs, torch.ones_like(signs), 2 * torch.ones_like(signs)])
    wanted = right_turn[skills.clamp_max(3), torch.arange(len(skills))]
    going = (end == wanted).float() + 0.1 * (-end).clamp_min(0) / CORRIDOR - 0.2 * ((end > 0) & (end != wanted))
    staying = 1 + torch.where(end > 0, -CORRIDOR, end) / CORRIDOR
    return torch.where(skills[:, None] == 4, staying, going)


def policy_loss(skills: Tensor) -> PerRNN:
    """Build the REINFORCE loss with the mean reward of each policy as the baseline."""

    def loss(stack: RNNStack, generator: torch.Generator) -> Tensor:
        signs, end, likelihood, _ = play(stack, generator)
        earned = reward(skills, signs, end)
        advantage = (earned - earned.mean(dim=1, keepdim=True)) / (earned.std(dim=1, keepdim=True) + 0.1)
        return -(advantage * likelihood).mean(dim=1)

    return loss


def main(scale: float = 1.0, seed: int = 0) -> dict[str, float]:
    """Train the policies, fit on their observations, and compare; return the neighbour accuracy by method."""
    generator = torch.Generator().manual_seed(seed)
    skills = torch.arange(NUM_RNNS) % len(SKILLS)
    print(f"training {NUM_RNNS} policies for {len(SKILLS)} skills")
    policies = new_rnns(SPEC, NUM_RNNS, generator)
    policies = train(policies, policy_loss(skills), steps=round(scale * STEPS), learning_rate=0.02, generator=generator)
    with torch.no_grad():
        signs, end, _, observations = play(policies, generator)
    print(f"mean reward {reward(skills, signs, end).mean():.2f}, while still exploring")

    print("pre-training on the policies and their observations, without their skills")
    config = pretraining(steps=round(scale * 500), sequence_length=8, seed=seed)
    rnn2vec = Rnn2Vec.fit(policies, observations.numpy(), config=config, output_kind="categorical")
    print(rnn2vec.report)
    vectors = vectors_and_baselines(rnn2vec, policies, observations.numpy(), output_kind="categorical")
    found = {name: neighbour_accuracy(one, skills.numpy()) for name, one in vectors.items()}
    for name, accuracy in found.items():
        print(f"{name}: the nearest policy has the same skill in {accuracy:.0%} (at random: {1 / len(SKILLS):.0%})")
    clusters = KMeans(len(SKILLS), n_init=4, random_state=0).fit_predict(vectors["rnn2vec"])
    print(
        f"five clusters of the vectors against the five skills: Rand index {adjusted_rand_score(skills, clusters):.2f}"
    )
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
