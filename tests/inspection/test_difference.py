"""Where two RNNs differ: planted differences are found at the length at which they begin, and no others."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.inspection import difference
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

MakeRNNs = Callable[..., RNNStack]
TOKENS = Interface(input_kind="categorical", output_kind="categorical", first_input=(0, 0, 1))
NUMBERS = Interface(input_range=(-2, 2), output_scale=(0, 2))
COUNTER = RNNSpec(cell="rnn_relu", input_size=3, hidden_size=1, num_layers=1, output_size=3)


def counter(limit: float) -> RNNStack:
    """An RNN that counts token 1 and answers 0 up to a limit, and 2 above it: `10 (count - limit)` against 0."""
    spec = COUNTER
    weights = {
        "rnn.weight_ih_l0": torch.tensor([[[0.0, 1.0, 0.0]]]),
        "rnn.weight_hh_l0": torch.ones(1, 1, 1),
        "rnn.bias_ih_l0": torch.zeros(1, 1),
        "rnn.bias_hh_l0": torch.zeros(1, 1),
        "readout.weight": torch.tensor([[[0.0], [0.0], [20.0]]]),
        "readout.bias": torch.tensor([[0.0, -20.0, -20 * limit]]),
    }
    return RNNStack(spec, weights)


@pytest.mark.parametrize("limit", [1.5, 4.5])
def test_the_shortest_is_found_where_the_difference_begins(limit: float) -> None:
    found = difference.shortest(counter(limit), counter(100.0), TOKENS)
    assert found is not None
    needed = int(limit + 0.5)  # so many 1s, after the first token
    assert found.inputs.argmax(dim=1).tolist() == [2, *[1] * needed]
    assert found.is_shortest
    assert found.distance > 0.99
    torch.testing.assert_close(found.answers[0], torch.tensor([0.0, 0, 1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.answers[1], torch.tensor([1.0, 0, 0]), atol=1e-3, rtol=0)


def test_it_is_what_trying_everything_finds(random_rnns: MakeRNNs) -> None:
    spec = RNNSpec(cell="lstm", input_size=3, hidden_size=4, num_layers=1, output_size=3)
    one, other = random_rnns(spec, 1), random_rnns(spec, 1)
    interface = Interface(input_kind="categorical", output_kind="categorical")
    best: dict[int, float] = {}
    for length in (1, 2, 3, 4):
        inputs = torch.eye(3)[torch.tensor(list(itertools.product(range(3), repeat=length)))]
        ends = [rnn(inputs[None])[0][0, :, -1].softmax(-1) for rnn in (one, other)]
        best[length] = float((ends[0] - ends[1]).abs().sum(-1).max() / 2)
    margin = 0.99 * best[4] if best[4] == max(best.values()) else 0.99 * max(best.values())
    first = next(length for length in best if best[length] > margin)
    found = difference.shortest(one, other, interface, margin=margin)
    assert found is not None
    assert len(found.inputs) == first
    assert found.distance == pytest.approx(best[first], abs=1e-5)


def test_where_inputs_are_too_many_a_natural_one_is_still_found() -> None:
    found = difference.shortest(counter(9.5), counter(100.0), TOKENS, width=16)
    assert found is None or not found.is_shortest
    natural = difference.shortest(counter(4.5), counter(100.0), TOKENS, width=16)
    assert natural is None or len(natural.inputs) >= 6


def test_the_same_function_shows_no_difference(random_rnns: MakeRNNs) -> None:
    stack = random_rnns(RNNSpec(cell="gru", input_size=3, hidden_size=4, num_layers=1, output_size=3), 1)
    permuted = stack.permute_neurons(0, torch.tensor([2, 0, 3, 1]))
    assert difference.shortest(stack, permuted, TOKENS, margin=1e-3, max_length=5) is None
    inputs = difference.generated(stack, TOKENS, number=20, length=8)[0]
    natural = difference.on_natural(stack, permuted, inputs, TOKENS, margin=1e-3)
    assert (natural.share, natural.mean_distance) == (0, pytest.approx(0, abs=1e-5))


def test_gradient_ascent_finds_the_length_that_is_needed() -> None:
    """A ReLU RNN that sums its inputs, of at most 2 a step, and answers when the sum is above 7: after 4 steps."""
    spec = RNNSpec(cell="rnn_relu", input_size=1, hidden_size=1, num_layers=1, output_size=1)

    def summing(gain: float) -> RNNStack:
        ones = {name: torch.ones(1, *shape) for name, shape in spec.parameter_shapes.items()}
        zeros = {name: torch.zeros_like(weight) for name, weight in ones.items() if "bias" in name}
        return RNNStack(spec, {**ones, **zeros, "readout.weight": torch.full((1, 1, 1), gain)})

    found = difference.shortest(summing(1.0), summing(0.0), NUMBERS, margin=3.5)
    assert found is not None
    assert len(found.inputs) == 4
    assert not found.is_shortest  # nothing proves it
    assert found.inputs.abs().max() <= 2
    assert found.distance == pytest.approx(float((found.answers[0] - found.answers[1]).abs()) / 2, rel=1e-4)
    assert difference.shortest(summing(1.0), summing(0.0), NUMBERS, margin=3.5, max_length=3) is None


def test_natural_differences_are_counted_by_step() -> None:
    inputs = torch.eye(3)[torch.tensor([[2, 1, 1, 0], [2, 0, 0, 0]])]
    natural = difference.on_natural(counter(1.5), counter(100.0), inputs, TOKENS)
    assert natural.by_step.tolist() == [0, 0, 0.5, 0.5]
    assert (natural.share, natural.num_sequences) == (0.5, 2)


def test_an_rnn_generates_what_it_finds_likely() -> None:
    made = difference.generated(counter(-1.0), TOKENS, number=5, length=4, seed=1)
    assert made.argmax(-1).tolist() == [[[2, 2, 2, 2]] * 5]
    with pytest.raises(UsageError, match=r"does not generate its own inputs\n.*give natural inputs"):
        difference.generated(counter(1.0), NUMBERS, number=1, length=2)


def test_what_cannot_be_compared_is_refused(random_rnns: MakeRNNs) -> None:
    other = random_rnns(RNNSpec(cell="gru", input_size=2, hidden_size=4, num_layers=1, output_size=3), 1)
    with pytest.raises(UsageError, match=r"1 RNN .* against 1 .*\n.*hidden sizes and cells may differ"):
        difference.shortest(counter(1.0), other, TOKENS)
    with pytest.raises(UsageError, match="margin=1"):
        difference.shortest(counter(1.0), counter(1.0), TOKENS, margin=1)
