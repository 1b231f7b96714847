"""Layer-wise statistics: the numbers, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.statistics import layer_statistics
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

SPEC = RNNSpec(cell="lstm", input_size=4, hidden_size=3, num_layers=2, output_size=2)


def _slowly(stack: RNNStack) -> np.ndarray:
    """Tensor by tensor, RNN by RNN."""
    rows: list[list[float]] = []
    for number in range(len(stack)):
        row: list[float] = []
        for weight in stack.weights.values():
            numbers = weight[number].numpy().ravel()
            row += [numbers.mean(), numbers.std(), *(np.quantile(numbers, q) for q in (0, 0.25, 0.5, 0.75, 1))]
        rows.append(row)
    return np.array(rows)


@given(hnp.arrays(np.float64, (2, SPEC.num_parameters), elements=st.floats(-10, 10)))
def test_they_are_numpys(flat: np.ndarray) -> None:
    stack = RNNStack.from_flat(SPEC, torch.from_numpy(flat))
    np.testing.assert_allclose(layer_statistics(stack).numpy(), _slowly(stack), rtol=0, atol=1e-12)


def test_seven_for_each_of_the_ten_tensors_of_the_papers_rnns(random_rnns: Callable[..., RNNStack]) -> None:
    assert layer_statistics(random_rnns(SPEC, 3)).shape == (3, 70)


@pytest.mark.parametrize("name", ["layerwise-statistics", "flattened-weights"])
def test_gradients_reach_encoder_and_weights(
    small_encoder: Callable[..., WeightEncoder], random_rnns: Callable[..., RNNStack], name: str
) -> None:
    encoder = small_encoder(name, SPEC)
    flat = random_rnns(SPEC, 3).flatten().requires_grad_()
    encoder(RNNStack.from_flat(SPEC, flat))[:, 0].sum().backward()

    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert flat.grad.any()
