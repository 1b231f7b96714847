"""The loop between an RNN and its environment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.rollouts import roll_out

FAMILY = FormalLanguages(alphabet_size=2, smallest_offset=-1, largest_offset=1, n_max=3, sequence_length=12)
SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=5, num_layers=2, output_size=4)


def _codes(stack: RNNStack, episodes: int, runs: range) -> torch.Tensor:
    generators = [np.random.default_rng(run) for run in runs]
    environment = FAMILY.environment([(0.0,)] * len(runs), episodes, generators)
    roll_out(stack, environment)
    return environment.codes()


def test_every_token_is_drawn_from_what_the_rnn_says_to_the_tokens_before(random_rnns: Callable[..., RNNStack]) -> None:
    """Drawn with a number that the generator gave: the token is where the cumulative probability passes it."""
    stack = random_rnns(SPEC, 3)
    codes = _codes(stack, 6, range(3))
    outputs, _ = stack(FAMILY.rollout_inputs(codes, [(0.0,)] * 3))
    cumulative = outputs.softmax(dim=-1).cumsum(dim=-1)
    for run in range(3):
        draws = torch.from_numpy(np.random.default_rng(run).random((11, 6), dtype=np.float32)).T
        expected = (draws[..., None] > cumulative[run, ..., :-1]).sum(dim=-1)
        assert torch.equal(expected, codes[run, :, 1:].long())


def test_rollouts_do_not_depend_on_the_company(random_rnns: Callable[..., RNNStack]) -> None:
    stack = random_rnns(SPEC, 5)
    together = _codes(stack, 8, range(5))
    assert torch.equal(_codes(stack.select([2]), 8, range(2, 3))[0], together[2])
    assert torch.equal(_codes(stack.select([3, 4]), 8, range(3, 5)), together[3:])
