"""The contender in JAX does the work that it is paid for: the same loss, gradients and updates as torch."""

# pyright: reportMissingImports=false
from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.zoo import contenders
from benchmarks.zoo.contenders import DECAY, RATE
from benchmarks.zoo.workload import BATCH_SIZE, FAMILIES, as_arrays, workload

from rnn2vec.rnn.stack import RNNStack

jax = pytest.importorskip("jax", reason="jax is not installed", exc_type=ImportError)
contender = pytest.importorskip("benchmarks.zoo.jax_contender")

LAYERS = 2
every_family = pytest.mark.parametrize("family", FAMILIES)


class ByHand:
    """An RNN of a family in torch with its examples, and both converted for JAX."""

    def __init__(self, family: str) -> None:
        work = workload(family, 1)
        stack = RNNStack.from_flat(work.spec, torch.from_numpy(contenders.initial_weights(work.spec, 1)))
        (self.net,) = stack.to_modules()
        self.weights = {name: weight[0].numpy().copy() for name, weight in stack.weights.items()}
        self.inputs, self.targets = as_arrays(work.examples[0], work.spec.input_size)

    def loss(self, rows: np.ndarray) -> torch.Tensor:
        outputs, _ = self.net(torch.from_numpy(self.inputs[rows]))
        return torch.nn.functional.cross_entropy(outputs.flatten(0, 1), torch.from_numpy(self.targets[rows]).flatten())


@every_family
def test_loss_and_gradients_are_those_of_torch(family: str) -> None:
    by_hand, rows = ByHand(family), np.arange(5)
    loss = by_hand.loss(rows)
    loss.backward()
    batch = by_hand.inputs[rows], by_hand.targets[rows]
    found, slopes = jax.value_and_grad(lambda weights: contender.loss(LAYERS, weights, *batch))(by_hand.weights)
    assert float(found) == pytest.approx(loss.item(), rel=1e-6)
    parameters = dict(by_hand.net.named_parameters())
    assert set(slopes) == set(parameters)
    for name, parameter in parameters.items():
        np.testing.assert_allclose(slopes[name], parameter.grad, atol=1e-6, err_msg=name)


def test_updates_are_those_of_adamw() -> None:
    """Three updates of a run that has one example, so that chance draws the same batch."""
    by_hand = ByHand("tiled-mnist")
    zeros = {name: np.zeros_like(weight) for name, weight in by_hand.weights.items()}
    state = (by_hand.weights, zeros, zeros, np.float32(0), jax.random.key(0))
    optimizer = torch.optim.AdamW(by_hand.net.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(3):
        state = contender.update(LAYERS, state, (by_hand.inputs, by_hand.targets, 1))
        optimizer.zero_grad()
        by_hand.loss(np.zeros(BATCH_SIZE, dtype=int)).backward()
        optimizer.step()
    for name, parameter in by_hand.net.named_parameters():
        moved = np.abs(parameter.detach().numpy() - by_hand.weights[name]).max()
        np.testing.assert_allclose(state[0][name], parameter.detach(), atol=0.01 * moved, err_msg=name)


@pytest.mark.parametrize("how", ["vmap", "lax.map"])
def test_it_makes_as_many_updates_as_it_says_and_learns(how: str) -> None:
    work = workload("formal-languages", 2)
    trained = contender.JaxContender(how, work)
    assert trained.run(25) == 40
    weights, _, _, steps, _ = trained._state
    assert np.asarray(steps).tolist() == [20, 20]
    examples = trained._examples[:2]
    start = RNNStack.from_flat(work.spec, torch.from_numpy(contenders.initial_weights(work.spec, 2))).weights
    loss = jax.vmap(lambda *rnn: contender.loss(LAYERS, *rnn))
    before = loss({name: weight.numpy() for name, weight in start.items()}, *examples)
    assert (np.asarray(loss(weights, *examples)) < 0.9 * np.asarray(before)).all()


def test_both_ways_make_the_same_updates() -> None:
    work = workload("formal-languages", 2)
    one, other = (contender.JaxContender(how, work) for how in ("vmap", "lax.map"))
    one.run(10)
    other.run(10)
    for name, weight in one._state[0].items():
        np.testing.assert_allclose(weight, other._state[0][name], atol=1e-4, err_msg=name)
