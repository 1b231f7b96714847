"""The parameter transformer: the paper's sizes, PyTorch's numbers, and no symmetry at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import count_parameters
from rnn2vec.encoders.transformer import ParameterTransformer, TransformerLayer
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import flip_randomly

LANGUAGES = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
DIGITS = RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10)
SWAP = torch.tensor([2, 0, 1, 4, 3])
MakeRNNs = Callable[..., RNNStack]


def _spec(cell: CellName, hidden_size: int = 5) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=hidden_size, num_layers=2, output_size=3)


def _encoder(spec: RNNSpec, **options: int) -> ParameterTransformer:
    sizes = {"hidden_size": 8, "mlp_size": 12, "num_layers": 2, **options}
    encoder = encoders.build("parameter-transformer", spec, **sizes)
    assert isinstance(encoder, ParameterTransformer)
    return encoder.double()


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "expected"), [(LANGUAGES, 1_276_688), (DIGITS, 1_278_480)])
def test_the_parameters_are_the_papers_to_the_last(spec: RNNSpec, expected: int) -> None:
    assert count_parameters(encoders.build("parameter-transformer", spec)) == expected


def test_they_grow_linearly_with_the_rnns() -> None:
    sizes = [count_parameters(_encoder(_spec("lstm", size))) for size in (10, 20, 30)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_a_token_for_each_row_and_one_for_the_summary(random_rnns: MakeRNNs, cell: CellName) -> None:
    spec = _spec(cell)
    rows = 4 * 5 * spec.num_gates + 3
    assert _encoder(spec).tokens(random_rnns(spec, 2, torch.float64)).shape == (2, 1 + rows, 8)
    assert len(encoders.build("parameter-transformer", LANGUAGES).positions) == 1 + 518


# -- arithmetic ------------------------------------------------------------------------------------


def _torch_layer(ours: TransformerLayer) -> nn.TransformerEncoderLayer:
    """PyTorch's layer with the weights of ours."""
    theirs = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True).double()
    pairs = {
        "self_attn.in_proj_": "attention_in.",
        "self_attn.out_proj.": "attention_out.",
        "linear1.": "mlp_in.",
        "linear2.": "mlp_out.",
        "norm1.": "attention_norm.",
        "norm2.": "mlp_norm.",
    }
    state = ours.state_dict()
    theirs.load_state_dict(
        {f"{name}{part}": state[f"{own}{part}"] for name, own in pairs.items() for part in ("weight", "bias")}
    )
    return theirs


def test_a_layer_computes_what_pytorchs_does(generator: torch.Generator) -> None:
    layer = TransformerLayer(8, 2, 12).double()
    tokens = torch.randn(3, 7, 8, generator=generator, dtype=torch.float64)
    expected = _torch_layer(layer)(tokens)
    torch.testing.assert_close(layer(tokens), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(tokens, 2), expected[:, :2], rtol=0, atol=1e-12)


def test_only_the_summary_goes_through_the_last_layer_and_nothing_is_lost(random_rnns: MakeRNNs) -> None:
    encoder, stack = _encoder(_spec("gru")), random_rnns(_spec("gru"), 3, torch.float64)
    tokens = encoder.tokens(stack)
    for layer in encoder.layers:
        tokens = layer(tokens)
    torch.testing.assert_close(encoder.encode(stack), encoder.to_representation(tokens[:, 0]), rtol=0, atol=1e-12)


def test_a_token_is_its_row_with_its_bias(random_rnns: MakeRNNs) -> None:
    """Change one weight, or its row's bias, which moves a single token."""
    encoder, stack = _encoder(_spec("lstm")), random_rnns(_spec("lstm"), 1, torch.float64)
    before = encoder.tokens(stack)
    for name, entry in (("rnn.weight_hh_l0", (0, 3, 1)), ("rnn.bias_hh_l0", (0, 3))):
        weights = {**stack.weights, name: stack.weights[name].clone()}
        weights[name][entry] += 1
        moved = (encoder.tokens(RNNStack(stack.spec, weights)) != before).any(dim=-1)[0].nonzero()
        assert moved.flatten().tolist() == [1 + 20 + 3]  # the summary, then 20 rows of weight_ih_l0


# -- symmetries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_renumbered_units_move_it(random_rnns: MakeRNNs, cell: CellName, layer: int) -> None:
    encoder, stack = _encoder(_spec(cell)), random_rnns(_spec(cell), 2, torch.float64)
    assert (encoder(stack) - encoder(stack.permute_neurons(layer, SWAP))).abs().max() > 1e-4


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_flipped_signs_move_it(random_rnns: MakeRNNs, cell: CellName) -> None:
    encoder, stack = _encoder(_spec(cell)), random_rnns(_spec(cell), 2, torch.float64)
    flipped = RNNStack(stack.spec, flip_randomly(stack.spec, stack.weights, torch.Generator().manual_seed(3)))
    assert (encoder(stack) - encoder(flipped)).abs().max() > 1e-4


def test_it_gains_from_augmentation() -> None:
    assert ParameterTransformer.augmentable


# -- refused ---------------------------------------------------------------------------------------


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"hidden_size=8 with num_heads=3\n.*share evenly"):
        _encoder(_spec("lstm"), num_heads=3)


# -- the paper's preset ----------------------------------------------------------------------------


def test_dropout_is_pytorchs_in_training_and_off_in_evaluation(generator: torch.Generator) -> None:
    tokens = torch.randn(2, 7, 8, generator=generator, dtype=torch.float64)
    layer = TransformerLayer(8, 2, 12, dropout=0.5).double()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        once, again = layer(tokens), layer(tokens)
    assert (once != again).any()
    layer.eval()
    torch.testing.assert_close(layer(tokens), _torch_layer(layer)(tokens))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_dropout_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=rf"dropout={share}\n.*below 1"):
        encoders.build("parameter-transformer", LANGUAGES, dropout=share)


def test_positions_have_the_deviation_that_is_asked_for() -> None:
    for options, expected in (({}, 0.02), ({"position_deviation": 1.0}, 1.0)):
        encoder = encoders.build("parameter-transformer", LANGUAGES, **options)
        assert isinstance(encoder, ParameterTransformer)
        assert encoder.positions.std().item() == pytest.approx(expected, rel=0.02)
