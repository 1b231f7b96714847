"""Random probing: equal functions have equal vectors, distances are those of behaviour, and nothing is learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.random_probing import RandomProbing, step_by_step
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

MakeRNNs = Callable[..., RNNStack]
GRU = RNNSpec(cell="gru", input_size=2, hidden_size=6, num_layers=2, output_size=3)
LSTM = RNNSpec(cell="lstm", input_size=2, hidden_size=9, num_layers=1, output_size=3)


def probing(interface: Interface | None = None, spec: RNNSpec = GRU, size: int = 256) -> RandomProbing:
    encoder = encoders.build("random-probing", spec, interface=interface, representation_size=size)
    assert isinstance(encoder, RandomProbing)
    return encoder


def test_nothing_is_learned_and_the_same_seed_gives_the_same_encoder(random_rnns: MakeRNNs) -> None:
    assert list(probing().parameters()) == []
    stack = random_rnns(GRU, 3)
    assert torch.equal(probing()(stack), probing()(stack))


def test_cells_and_sizes_go_together_and_renumbered_units_change_nothing(random_rnns: MakeRNNs) -> None:
    encoder, grus, lstms = probing(), random_rnns(GRU, 3), random_rnns(LSTM, 2)
    vectors = encoder([grus, lstms])
    assert vectors.shape == (5, 256)
    permuted = grus.permute_neurons(0, torch.tensor([5, 0, 1, 2, 3, 4]))
    torch.testing.assert_close(encoder(permuted), vectors[:3], rtol=1e-4, atol=1e-5)


def test_distances_are_those_of_answers_to_the_probes(random_rnns: MakeRNNs) -> None:
    encoder, stack = probing(), random_rnns(GRU, 12)
    answers = encoder.answers(stack).flatten(1)
    expected = torch.pdist(answers) / (16 * 32) ** 0.5
    measured = torch.pdist(encoder(stack))
    assert float((measured / expected - 1).abs().median()) < 0.1
    assert np.corrcoef(measured.numpy(), expected.numpy())[0, 1] > 0.95


def test_a_black_box_is_probed_as_its_stack_is(random_rnns: MakeRNNs) -> None:
    stack = random_rnns(LSTM, 2)
    box = StackBlackBox(stack, input_kind="continuous", output_kind="continuous")
    torch.testing.assert_close(probing()(box), probing()(stack), rtol=1e-4, atol=1e-5)
    inputs = torch.rand(4, 5, 2)
    torch.testing.assert_close(step_by_step(box, inputs), stack(inputs.expand(2, -1, -1, -1))[0], rtol=1e-4, atol=1e-5)


def test_probes_cover_the_input_range_at_several_speeds() -> None:
    interface = Interface(input_range=(-5.0, 3.0))
    probes = probing(interface).probes
    assert probes.shape == (16, 32, 2)
    assert -5 <= probes.min() < -4.9
    assert 2.9 < probes.max() <= 3
    changes = (probes[:, 1:] != probes[:, :-1]).any(dim=2).sum(dim=1)
    assert changes[:4].tolist() == [31, 15, 7, 3]


def test_tokens_are_probed_with_tokens_after_the_first_input() -> None:
    spec = RNNSpec(cell="gru", input_size=4, hidden_size=3, num_layers=1, output_size=4)
    interface = Interface(input_kind="categorical", output_kind="categorical", first_input=(0, 0, 0, 1))
    probes = probing(interface, spec).probes
    assert (probes.sum(dim=2) == 1).all()
    assert (probes[:, 0].argmax(dim=1) == 3).all()
    assert len(probes[:, 1:].argmax(dim=2).unique()) == 4


def test_outputs_are_read_in_the_unit_of_a_collection_unmoved_by_one_that_explodes(random_rnns: MakeRNNs) -> None:
    stack = random_rnns(GRU, 30)
    weights = {**stack.weights, "readout.weight": stack.weights["readout.weight"].clone()}
    weights["readout.weight"][0] *= 1e20
    large = RNNStack(GRU, {**stack.weights, "readout.weight": stack.weights["readout.weight"] * 1000,
                           "readout.bias": stack.weights["readout.bias"] * 1000})  # fmt: skip
    one, other, exploded = probing(), probing(), probing()
    one.standardize([stack])
    other.standardize([large])
    exploded.standardize([RNNStack(GRU, weights)])
    torch.testing.assert_close(one(stack), other(large), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(exploded.scale, one.scale, rtol=0.3, atol=0.1)
    assert exploded(RNNStack(GRU, weights)).isfinite().all()


def test_what_does_not_fit_is_refused(random_rnns: MakeRNNs) -> None:
    other = RNNSpec(cell="gru", input_size=3, hidden_size=6, num_layers=1, output_size=3)
    with pytest.raises(UsageError, match="the RNNs have 3 continuous inputs"):
        probing()(random_rnns(other, 1))
    with pytest.raises(UsageError, match="num_sequences=0"):
        encoders.build("random-probing", GRU, num_sequences=0)
