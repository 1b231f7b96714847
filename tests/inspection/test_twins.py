"""Verdicts on twins: proofs by weights, bounds by answers, and a test of equality whose level holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.inspection.twins import compare, compare_and_search, equality_test, is_symmetric
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.blackbox import FunctionBlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

MakeRNNs = Callable[..., RNNStack]
GRU = RNNSpec(cell="gru", input_size=2, hidden_size=8, num_layers=1, output_size=1)
INPUTS = torch.randn(30, 12, 2, generator=torch.Generator().manual_seed(0))


def random_stack(spec: RNNSpec, seed: int) -> RNNStack:
    flat = torch.randn(1, spec.num_parameters, generator=torch.Generator().manual_seed(seed)) / 3
    return RNNStack.from_flat(spec, flat)


def twin(stack: RNNStack, seed: int) -> RNNStack:
    generator = torch.Generator().manual_seed(seed)
    permuted = symmetry.permute_randomly(stack.spec, stack.weights, generator)
    return RNNStack(stack.spec, symmetry.flip_randomly(stack.spec, permuted, generator))


@given(
    cell=st.sampled_from(["lstm", "gru", "rnn_tanh", "rnn_relu", "leaky", "leaky_shared", "mingru"]),
    layers=st.integers(1, 3),
    hidden=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_permuted_and_flipped_copy_is_recognized_and_one_changed_weight_is_not(
    cell: Any, layers: int, hidden: int, seed: int
) -> None:
    spec = RNNSpec(cell=cell, input_size=2, hidden_size=hidden, num_layers=layers, output_size=3)
    stack = random_stack(spec, seed)
    copy = twin(stack, seed + 1)
    assert is_symmetric(stack, copy)
    changed = copy.flatten().clone()
    changed[0, seed % spec.num_parameters] += 1e-3
    assert not is_symmetric(stack, RNNStack.from_flat(spec, changed))


def test_units_that_look_alike_from_outside_are_told_apart_by_their_recurrent_weights() -> None:
    stack = random_stack(GRU, 3)
    for name in ("rnn.weight_ih_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"):
        rows = stack.weights[name].unflatten(1, (3, 8))
        rows[:] = rows[:, :, :1].clone()
    stack.weights["readout.weight"][:] = 0.5
    permuted = RNNStack(GRU, symmetry.permute_randomly(GRU, stack.weights, torch.Generator().manual_seed(1)))
    assert is_symmetric(stack, permuted)


def test_every_verdict() -> None:
    stack, interface = random_stack(GRU, 0), Interface(output_scale=(0.0, 0.3))
    noise = torch.randn(1, GRU.num_parameters, generator=torch.Generator().manual_seed(5))
    noisy = RNNStack.from_flat(GRU, stack.flatten() + 1e-3 * noise)
    rounded = RNNStack.from_flat(GRU, stack.flatten() + 1e-8 * noise)
    cases = [
        (stack, "identical", "identical: the same weights, bit for bit"),
        (twin(stack, 1), "symmetric", "up to the order and signs of hidden units, matched exactly"),
        (rounded, "same function", "the same function as far as asked: on 30 inputs of 12 steps"),
        (noisy, "near", "near, but not the same: on 30 inputs of 12 steps answers are "),
        (random_stack(GRU, 9), "different", "different: on 30 inputs of 12 steps answers are "),
    ]
    for other, kind, words in cases:
        verdict = compare_and_search(stack, other, INPUTS, interface)
        assert (verdict.kind, verdict.shortest is not None) == (kind, kind == "different")
        assert words in verdict.describe()
        assert verdict.to_dict()["text"] == verdict.describe()


def test_the_distance_of_a_noisy_copy_is_the_one_measured() -> None:
    stack, other = random_stack(GRU, 0), random_stack(GRU, 0)
    other.weights["readout.bias"] += 0.06
    verdict = compare(stack, other, INPUTS, Interface(output_scale=(0.0, 0.3)))
    assert verdict.mean_distance == pytest.approx(0.2, rel=1e-3)
    assert verdict.largest_distance == pytest.approx(0.2, rel=1e-3)


def test_the_share_that_may_differ_is_the_bound_of_inputs_that_showed_nothing() -> None:
    stack = random_stack(GRU, 0)
    rounded = RNNStack.from_flat(GRU, stack.flatten() * (1 + 1e-7))
    text = compare(stack, rounded, INPUTS, Interface()).describe()
    assert f"at most {1 - 0.05 ** (1 / 30):.0%} of such inputs may differ" in text


# -- black boxes that answer at random -------------------------------------------------------------


def noisy_box(noise: float, gain: float, seed: int) -> FunctionBlackBox:
    generator = np.random.default_rng(seed)

    def step(value: np.ndarray, state: float) -> tuple[np.ndarray, float]:
        mean = 0.5 * state + gain * float(value[0])
        return np.array([mean + noise * generator.normal()]), mean

    return FunctionBlackBox(step, float, input_size=1, output_size=1, input_kind="continuous", output_kind="continuous")


def test_the_level_of_the_equality_test_holds_and_a_difference_is_found() -> None:
    inputs = torch.linspace(-1, 1, 6).reshape(2, 3, 1)

    def p_value(seed: int, gain: float) -> float:
        boxes = noisy_box(0.5, 1.0, 2 * seed), noisy_box(0.5, gain, 2 * seed + 1)
        return equality_test(*boxes, inputs, repetitions=8, permutations=39, seed=seed).p_value

    equal = np.array([p_value(seed, 1.0) for seed in range(200)])
    assert (equal <= 0.05).mean() <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert (equal <= 0.5).mean() == pytest.approx(0.5, abs=0.12)  # it does not keep its level by never rejecting
    assert np.mean([p_value(seed, 3.0) <= 0.05 for seed in range(20)]) >= 0.9


def test_boxes_that_cannot_be_compared_are_refused(random_rnns: MakeRNNs) -> None:
    with pytest.raises(UsageError, match="at least 2 repetitions"):
        equality_test(noisy_box(0, 1, 0), noisy_box(0, 1, 1), torch.zeros(1, 1, 1), repetitions=1)
    with pytest.raises(UsageError, match="give two RNNs with the same inputs and outputs"):
        compare(random_rnns(GRU, 1), random_rnns(GRU, 2), INPUTS, Interface())
