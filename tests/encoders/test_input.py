"""Input of encoders: RNNs of several architectures in one call, and input that encoders refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.encoders import ENCODERS
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.rnn.blackbox import ModuleBlackBox, StackBlackBox
from rnn2vec.rnn.collection import RNNCollection
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

EVERY = [name for name in ENCODERS if name != "task-blind"]
PROBING = ["noninteractive-probing", "interactive-probing"]
LEARNS_FROM_MIXTURES = ["layerwise-statistics", *PROBING]
MIXING = [*LEARNS_FROM_MIXTURES, "random-probing"]
SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=5, num_layers=2, output_size=4)
MakeEncoder = Callable[..., WeightEncoder]
MakeRNNs = Callable[..., RNNStack]


def _like(cell: CellName, hidden_size: int, num_layers: int = 2) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=hidden_size, num_layers=num_layers, output_size=4)


# -- several architectures -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MIXING)
def test_stacks_of_several_architectures_keep_their_order(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder = small_encoder(name, SPEC)
    specs = [SPEC, _like("lstm", 3), SPEC, _like("rnn_relu", 7), _like("lstm", 3)]
    stacks = [random_rnns(spec, number) for number, spec in enumerate(specs, 1)]
    expected = torch.cat([encoder(stack) for stack in stacks])
    for given in (stacks, tuple(stacks), RNNCollection(stacks)):
        torch.testing.assert_close(encoder(given), expected)


@pytest.mark.parametrize("name", PROBING)
def test_stacks_and_black_boxes_of_all_cells_depths_and_sizes_go_together(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder = small_encoder(name, SPEC)
    stacks = [random_rnns(_like(cell, size, depth), 2) for cell, size, depth in (("lstm", 3, 1), ("rnn_tanh", 9, 3))]
    box = ModuleBlackBox(
        stacks[0].to_modules()[1],
        input_size=4,
        output_size=4,
        input_kind="categorical",
        output_kind="categorical",
    )
    vectors = encoder([box, *stacks, box])
    assert vectors.shape == (6, 16)
    for same in (0, 5):
        torch.testing.assert_close(vectors[same], vectors[2])


@pytest.mark.parametrize("name", EVERY)
def test_a_list_of_one_architecture_suits_every_encoder(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC), random_rnns(SPEC, 4)
    torch.testing.assert_close(encoder([stack.select([0]), stack.select([1, 2, 3])]), encoder(stack))


@pytest.mark.parametrize("name", LEARNS_FROM_MIXTURES)
def test_gradients_pass_through_a_mixture(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    encoder = small_encoder(name, SPEC)
    encoder([random_rnns(SPEC, 2), random_rnns(_like("lstm", 3), 2)])[:, 0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())


@pytest.mark.parametrize("name", sorted(set(EVERY) - set(MIXING)))
def test_encoders_that_read_every_weight_refuse_a_mixture(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    with pytest.raises(UsageError, match=rf"the RNNs are lstm 2x3.* this {name} encoder reads gru 2x5"):
        small_encoder(name, SPEC)([random_rnns(SPEC, 2), random_rnns(_like("lstm", 3), 2)])


def test_statistics_of_another_depth_are_refused(small_encoder: MakeEncoder, random_rnns: MakeRNNs) -> None:
    deeper = _like("lstm", 3, num_layers=3)
    with pytest.raises(UsageError, match=r"\(lstm 3x3.*\) have 14 weight tensors, .* statistics of 10 .*\n.*2 layers"):
        small_encoder("layerwise-statistics", SPEC)([random_rnns(SPEC, 2), random_rnns(deeper, 2)])


# -- what fits no encoder --------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_no_rnns_are_refused(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    encoder = small_encoder(name, SPEC)
    with pytest.raises(UsageError, match=r"RNNStack\(0 RNNs: gru.*\) holds no RNN to encode\n.*at least one"):
        encoder(random_rnns(SPEC, 0))
    with pytest.raises(UsageError, match=r"no RNN was given\n.*at least one"):
        encoder([])


@pytest.mark.parametrize("name", EVERY)
def test_another_float_type_is_refused(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    encoder, stack = small_encoder(name, SPEC), random_rnns(SPEC, 2, torch.float64)
    with pytest.raises(
        UsageError, match=rf"weights are float64 on cpu, the {name} encoder's are float32 on cpu"
    ) as refused:
        encoder(stack)
    own = encoder.buffers() if name == "random-probing" else encoder.parameters()
    assert f"rnns.to(next(encoder.{'buffers' if name == 'random-probing' else 'parameters'}()))" in str(refused.value)
    assert encoder(stack.to(next(own))).shape == (2, 16)  # as the remedy says


@pytest.mark.parametrize("name", EVERY)
def test_another_device_is_refused(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    with pytest.raises(UsageError, match=r"weights are float32 on meta, .* float32 on cpu\n.*rnns\.to\("):
        small_encoder(name, SPEC)(random_rnns(SPEC, 2).to("meta"))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("tensor", ["rnn.weight_ih_l0", "rnn.weight_hh_l1", "readout.bias"])
def test_weights_that_are_no_numbers_are_named(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, tensor: str
) -> None:
    stack = random_rnns(SPEC, 3)
    stack.weights[tensor][1, 0] = math.nan
    with pytest.raises(DataError, match=rf"RNN 1 has NaN or infinite numbers in {tensor}\n.*earlier checkpoint"):
        small_encoder(name, SPEC)(stack)


@pytest.mark.parametrize("name", PROBING)
def test_a_black_box_that_answers_with_no_numbers_is_named(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC), random_rnns(SPEC, 3)
    assert isinstance(encoder, ProbingEncoder)
    stack.weights["readout.bias"][1, 0] = math.nan
    box = StackBlackBox(stack, input_kind="categorical", output_kind="categorical")
    for ask in (encoder, encoder.probing_transcript, lambda rnns: next(encoder.anytime(rnns))):
        with pytest.raises(DataError, match=r"RNN 1 of this StackBlackBox answers with NaN .*\n.*earlier checkpoint"):
            ask(box)


@pytest.mark.parametrize("name", PROBING)
def test_a_dialogue_with_what_cannot_be_encoded_does_not_begin(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder = small_encoder(name, SPEC)
    assert isinstance(encoder, ProbingEncoder)
    for ask in (encoder.anytime, encoder.probing_transcript):
        with pytest.raises(UsageError, match="holds no RNN to encode"):
            ask(random_rnns(SPEC, 0))
        with pytest.raises(UsageError, match=r"weights are float64 on cpu, .* float32 on cpu"):
            ask(random_rnns(SPEC, 2, torch.float64))
        with pytest.raises(UsageError, match="weights are float32 on meta"):
            ask(random_rnns(SPEC, 2).to("meta"))


@pytest.mark.parametrize("name", EVERY)
def test_weights_that_are_infinite_are_named(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    stack = random_rnns(SPEC, 3)
    stack.weights["rnn.weight_hh_l0"][2, 1, 1] = math.inf
    with pytest.raises(DataError, match=r"RNN 2 has NaN or infinite numbers in rnn\.weight_hh_l0\n"):
        small_encoder(name, SPEC)(stack)
