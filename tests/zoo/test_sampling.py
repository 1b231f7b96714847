"""Episodes by compiled kernels, against the loop in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec.rnn import fused
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.rollouts import roll_out, roll_out_by_kernels

FAMILY = FormalLanguages()


def drawn(cell: CellName, certainty: float, num_rnns: int = 3) -> RNNStack:
    """Draw RNNs; the more certain they are, the fewer different strings they write."""
    spec = RNNSpec(cell=cell, input_size=6, hidden_size=20, num_layers=2, output_size=6)
    flat = torch.rand(num_rnns, spec.num_parameters, generator=torch.Generator().manual_seed(0)) - 0.5
    stack = RNNStack.from_flat(spec, flat)
    stack.weights["readout.weight"] *= certainty
    return stack


def generated(stack: RNNStack, *, by_kernels: bool, num_episodes: int = 50) -> tuple[Tensor, Tensor]:
    """Return what RNNs write, and how well they do."""
    generators = [np.random.default_rng(number) for number in range(len(stack))]
    environment = FAMILY.environment([(0.0, 0.0, 0.0)] * len(stack), num_episodes, generators)
    if by_kernels:
        assert roll_out_by_kernels(stack, environment)
    else:
        roll_out(stack, environment)
    return environment.codes(), environment.performance()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("certainty", [0.0, 3.0, 30.0])
def test_kernels_write_what_torch_writes(cell: CellName, certainty: float) -> None:
    stack = drawn(cell, certainty)

    codes, performance = generated(stack, by_kernels=True)
    expected, expected_performance = generated(stack, by_kernels=False)

    assert (codes == expected).all(dim=-1).float().mean() > 0.99  # a random number can be next to a limit
    torch.testing.assert_close(performance, expected_performance, rtol=0, atol=0.02)


def test_an_episode_does_not_depend_on_the_others() -> None:
    stack = drawn("lstm", 10.0, num_rnns=1)
    generator = np.random.default_rng(0)
    environment = FAMILY.environment([(0.0, 0.0, 0.0)], 40, [generator])
    roll_out_by_kernels(stack, environment)
    sampled = environment.sampled()
    assert sampled is not None
    alone = FAMILY.environment([(0.0, 0.0, 0.0)], 1, [generator]).sampled()
    assert alone is not None
    alone.draws[:] = sampled.draws[:, :, 17:18]

    from rnn2vec.rnn.kernels.steps import sizes_of
    from rnn2vec.zoo.sampling_kernels import compiled

    compiled()(sizes_of(stack.spec), stack.flatten()[0].numpy(), alone.draws[0], alone.tokens[0])

    np.testing.assert_array_equal(alone.tokens[0, 0], sampled.tokens[0, 17])


def test_many_sequences_are_run_some_at_a_time() -> None:
    stack = drawn("gru", 1.0)
    inputs = torch.rand(3, 100, 4, 6)

    torch.testing.assert_close(fused.outputs_of(stack, inputs), stack(inputs)[0], rtol=0, atol=1e-6)
