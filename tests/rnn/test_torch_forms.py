"""The forms that PyTorch checkpoints come in: what stands before, beside and above the recurrent part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.reading.files import load_rnn
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.stack import RNNStack

Draw = Callable[..., Tensor]
KINDS: dict[CellName, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}
CELL_KINDS: dict[CellName, Any] = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn_tanh": nn.RNNCell,
    "rnn_relu": nn.RNNCell,
}
CELLS = list(KINDS)


def _options(cell: CellName, **options: Any) -> dict[str, Any]:
    return options | ({"nonlinearity": cell[4:]} if cell.startswith("rnn") else {})


def _both(module: nn.Module, cell: CellName | None = None, **hints: Any) -> list[RNNStack]:
    """The module read as it is, and as a state dict under a prefix."""
    module.double()
    named = {f"model.{name}": tensor for name, tensor in module.state_dict().items()}
    return [RNNStack.from_modules([module], **hints), RNNStack.from_state_dicts([named], cell=cell, **hints)]


def _same(answer: Tensor, stack: RNNStack, inputs: Tensor) -> None:
    torch.testing.assert_close(stack(inputs[None])[0][0], answer, rtol=0, atol=1e-12)


# -- in front --------------------------------------------------------------------------------------


class Tokens(nn.Module):
    """A language model: an embedding, recurrent layers, a readout."""

    def __init__(self, cell: CellName, embedding_size: int = 3, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, embedding_size, **options)
        self.core = KINDS[cell](embedding_size, 5, 2, batch_first=True, **_options(cell))
        self.head = nn.Linear(5, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.core(self.embedding(tokens))[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding_size", [3, 5, 7], ids=["small", "as the hidden size", "as the vocabulary"])
def test_an_embedding_is_folded_into_the_input_weights(cell: CellName, embedding_size: int) -> None:
    net = Tokens(cell, embedding_size)
    tokens = torch.arange(14).remainder(7).reshape(2, 7)
    for stack in _both(net, cell):
        assert (stack.spec.input_size, stack.spec.cell) == (7, cell)
        _same(net(tokens), stack, nn.functional.one_hot(tokens, 7).double())


def test_an_embedding_tied_to_the_readout_is_both() -> None:
    net = Tokens("gru", 5, padding_idx=0)
    net.head.weight = net.embedding.weight
    tokens = torch.tensor([[1, 0, 6]])
    for stack in _both(net):
        _same(net(tokens), stack, nn.functional.one_hot(tokens, 7).double())


def test_an_embedding_that_rescales_its_rows_is_refused() -> None:
    with pytest.raises(UsageError, match=r"RNN 0: Embedding\(7, 3, max_norm=1.0\) rescales its rows\n.*max_norm=None"):
        RNNStack.from_modules([Tokens("gru", max_norm=1.0)])


def test_two_embeddings_are_refused() -> None:
    net = Tokens("gru")
    net.other_embedding = nn.Embedding(9, 3)
    for read in (lambda: RNNStack.from_modules([net]), lambda: RNNStack.from_state_dicts([net.state_dict()])):
        with pytest.raises(UsageError, match=r"2 embeddings of 3 numbers: embedding\.weight, other_embedding\.weight"):
            read()


def test_a_linear_layer_in_front_is_no_embedding() -> None:
    parts = nn.ModuleDict({"encoder": nn.Linear(3, 9, bias=False), "core": nn.GRU(3, 5), "head": nn.Linear(5, 2)})
    for read in (lambda: RNNStack.from_modules([parts]), lambda: RNNStack.from_state_dicts([parts.state_dict()])):
        with pytest.raises(UsageError, match=r"beside .* there is: encoder\.weight \(9, 3\)"):
            read()


class Scaled(nn.Module):
    """A forecaster that standardizes its inputs with fixed numbers."""

    def __init__(self, *, bias: bool, of_all: bool) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.7) if of_all else torch.tensor([1.0, -2.0, 0.5]))
        self.register_buffer("std", torch.tensor(0.2) if of_all else torch.tensor([0.5, 3.0, -4.0]))
        self.core = nn.GRU(3, 5, batch_first=True, bias=bias)
        self.head = nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.core((inputs - self.mean) / self.std)[0])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("of_all", [False, True], ids=["a number each", "one for all"])
def test_a_fixed_input_scaling_is_folded_in(draw: Draw, bias: bool, of_all: bool) -> None:
    net, inputs = Scaled(bias=bias, of_all=of_all), draw(2, 6, 3)
    for stack in _both(net, input_scaling=("mean", "std")):
        _same(net(inputs), stack, inputs)


def test_an_input_scaling_must_be_named() -> None:
    net = Scaled(bias=True, of_all=False)
    with pytest.raises(UsageError, match=r"there is: mean \(3,\), std \(3,\)"):
        RNNStack.from_modules([net])
    with pytest.raises(
        UsageError, match=r"0 tensors of the name 'scale' for input_scaling among mean \(3,\), std \(3,"
    ):
        RNNStack.from_modules([net], input_scaling=("mean", "scale"))


@pytest.mark.parametrize(
    ("std", "words"), [([1.0, 0.0, 1.0], "an input scale of 0"), ([1.0, 1.0], "2 numbers of input scale for 3 inputs")]
)
def test_an_input_scaling_that_cannot_be_is_refused(std: list[float], words: str) -> None:
    net = Scaled(bias=True, of_all=False)
    net.std = torch.tensor(std)
    with pytest.raises(UsageError, match=words):
        RNNStack.from_modules([net], input_scaling=("mean", "std"))


# -- biases, layouts, cells ------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_biases_may_be_missing_and_either_axis_first(draw: Draw, cell: CellName, batch_first: bool, bias: bool) -> None:
    core = KINDS[cell](3, 5, 2, batch_first=batch_first, bias=bias, **_options(cell))
    head = nn.Linear(5, 2, bias=bias)
    stacks = _both(nn.ModuleDict({"core": core, "head": head}), cell)
    inputs = draw(2, 6, 3)
    answer = head(core(inputs)[0] if batch_first else core(inputs.transpose(0, 1))[0].transpose(0, 1))
    for stack in stacks:
        _same(answer, stack, inputs)
        assert bias or not stack.weights["rnn.bias_ih_l1"].any()


class Cells(nn.Module):
    """Layers of cells, stepped by hand."""

    def __init__(self, cell: CellName, num_layers: int) -> None:
        super().__init__()
        sizes = [3, *[5] * num_layers]
        self.layers = nn.ModuleList(CELL_KINDS[cell](sizes[at], 5, **_options(cell)) for at in range(num_layers))
        self.out = nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        states: list[Any] = [None] * len(self.layers)
        outputs = []
        for step in inputs.unbind(1):
            below = step
            for at, layer in enumerate(self.layers):
                states[at] = layer(below, states[at])
                below = states[at][0] if isinstance(states[at], tuple) else states[at]
            outputs.append(self.out(below))
        return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 11])
def test_cells_are_layers_in_the_order_of_their_numbers(draw: Draw, cell: CellName, num_layers: int) -> None:
    net, inputs = Cells(cell, num_layers), draw(2, 4, 3)
    names = [f"layers.{number}" for number in range(num_layers)]
    for stack in _both(net, cell, layers=names):
        assert stack.spec.num_layers == num_layers
        _same(net(inputs), stack, inputs)
    shuffled = dict(sorted(net.state_dict().items(), key=lambda item: item[0][::-1]))
    _same(net(inputs), RNNStack.from_state_dicts([shuffled], cell=cell, layers=names), inputs)


@pytest.mark.filterwarnings("ignore:assumed")
def test_numbered_modules_above_each_other_are_layers(draw: Draw) -> None:
    parts = nn.ModuleDict({"lstm1": nn.LSTM(3, 5), "lstm2": nn.LSTM(5, 5), "head": nn.Linear(5, 2)})
    stacks, inputs = _both(parts), draw(6, 2, 3)
    answer = parts["head"](parts["lstm2"](parts["lstm1"](inputs)[0])[0])
    for stack in stacks:
        _same(answer.transpose(0, 1), stack, inputs.transpose(0, 1))


@pytest.mark.parametrize(
    "parts",
    [
        {"encoder": nn.LSTM(3, 5), "decoder": nn.LSTM(5, 5)},
        {"encoder_cell": nn.GRUCell(3, 5), "decoder_cell": nn.GRUCell(5, 5)},
    ],
    ids=["modules", "cells"],
)
def test_an_encoder_and_a_decoder_are_no_layers(parts: dict[str, nn.Module]) -> None:
    net = nn.ModuleDict({**parts, "head": nn.Linear(5, 2)})
    for read in (lambda: RNNStack.from_modules([net]), lambda: RNNStack.from_state_dicts([net.state_dict()])):
        with pytest.raises(UsageError, match="2 recurrent modules"):
            read()


def test_layers_that_do_not_fit_on_each_other_are_refused() -> None:
    net = nn.ModuleDict({"lstm1": nn.LSTM(3, 5), "lstm2": nn.LSTM(3, 5), "head": nn.Linear(5, 2)})
    with pytest.raises(UsageError, match=r"2 recurrent modules \(lstm1, lstm2\), and nothing says how"):
        RNNStack.from_modules([net])
    with pytest.raises(UsageError, match=r"rnn\.weight_ih_l1 has shape \(20, 3\), expected \(20, 5\)"):
        RNNStack.from_modules([net], layers=("lstm1", "lstm2"))


def test_a_class_of_ones_own_with_torchs_names_is_not_taken_for_torchs() -> None:
    class Peephole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight_ih_l0 = nn.Parameter(torch.zeros(20, 3))
            self.weight_hh_l0 = nn.Parameter(torch.zeros(20, 5))

    with pytest.raises(UsageError, match="ModuleDict holds 0 recurrent modules"):
        RNNStack.from_modules([nn.ModuleDict({"core": Peephole(), "head": nn.Linear(5, 2)})])


# -- beside ----------------------------------------------------------------------------------------


def _actor_critic() -> nn.Module:
    return nn.ModuleDict({"core": nn.GRU(3, 5), "actor": nn.Linear(5, 4), "critic": nn.Linear(5, 1)})


def test_a_head_can_be_left_out() -> None:
    net = _actor_critic()
    for stack in [
        *_both(net, ignore=("*critic*",)),
        RNNStack.from_modules([net], ignore=("critic.weight", "critic.bias")),
    ]:
        assert stack.spec.output_size == 4
        assert torch.equal(stack.weights["readout.weight"][0], net.get_parameter("actor.weight"))


def test_a_recurrent_critic_can_be_left_out() -> None:
    net = nn.ModuleDict({"actor": _actor_critic(), "critic_rnn": nn.LSTM(3, 8)})
    for stack in _both(net, ignore=("*critic*",)):
        assert (stack.spec.cell, stack.spec.output_size) == ("gru", 4)


def test_an_ignored_name_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"ignore='value\.\*' matches none of core\.weight_ih_l0, (.|\n)*with \*"):
        RNNStack.from_modules([_actor_critic()], ignore=("value.*",))


class Warm(nn.Module):
    """A recurrent module whose first state is learned."""

    def __init__(self, cell: CellName) -> None:
        super().__init__()
        self.core = KINDS[cell](3, 5, 2, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.h0 = nn.Parameter(torch.rand(2, 1, 5))
        if cell == "lstm":
            self.c0 = nn.Parameter(torch.rand(2, 1, 5))

    def forward(self, inputs: Tensor) -> Tensor:
        state = tuple(one.expand(-1, len(inputs), -1).contiguous() for one in self.first())
        return self.head(self.core(inputs, state if len(state) > 1 else state[0])[0])

    def first(self) -> list[Tensor]:
        return [self.h0, self.c0] if hasattr(self, "c0") else [self.h0]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_learned_first_state_goes_to_a_black_box(draw: Draw, cell: CellName) -> None:
    net, inputs = Warm(cell).double(), draw(2, 6, 3)
    for read in (lambda: RNNStack.from_modules([net]), lambda: RNNStack.from_state_dicts([net.state_dict()])):
        with pytest.raises(
            UsageError, match=r"there is: h0 \(2, 1, 5\)(.|\n)*StackBlackBox\(stack, first_state=\.\.\."
        ):
            read()
    with pytest.raises(UsageError, match=r"Warm answers otherwise (.|\n)*a first state of zeros; or probe it"):
        RNNStack.from_modules([net], ignore=("[hc]0",))
    stack = RNNStack.from_modules([net], ignore=("[hc]0",), verify=False)
    first = tuple(tuple(one[layer : layer + 1] for one in net.first()) for layer in range(2))
    box = StackBlackBox(stack, input_kind="continuous", output_kind="continuous", first_state=first)
    state, outputs = box.initial_state(2), []
    for step in inputs.unbind(1):
        output, state = box.step(step[None], state)
        outputs.append(output[0])
    torch.testing.assert_close(torch.stack(outputs, dim=1), net(inputs), rtol=0, atol=1e-12)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "net", "policy"])
def test_a_lightning_checkpoint_has_much_beside_its_state_dict(tmp_path: Path, key: str) -> None:
    net = Tokens("lstm")
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.tensor([[1, 2]])).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        key: {f"model.{name}": tensor for name, tensor in net.state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5), "dirpath": "x"}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"hidden": 5, "lr": 1e-3},
    }
    torch.save(checkpoint, tmp_path / "last.ckpt")
    tokens = torch.tensor([[1, 2, 3]])
    stack = load_rnn(tmp_path / "last.ckpt")
    torch.testing.assert_close(
        stack(nn.functional.one_hot(tokens, 7).float()[None])[0][0], net(tokens), rtol=0, atol=1e-6
    )
