"""From and to what people have: round trips keep every bit, and what cannot be read is named, never dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.parts import AssumedWarning
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

CELLS = TORCH_CELLS
MakeNets = Callable[..., list[nn.Module]]
Draw = Callable[..., Tensor]
StateDict = dict[str, Tensor]


def _spec(cell: CellName = "lstm", **sizes: int) -> RNNSpec:
    return RNNSpec(cell=cell, **({"input_size": 4, "hidden_size": 6, "num_layers": 2, "output_size": 3} | sizes))


def _parts(**parts: nn.Module) -> nn.Module:
    """A module that holds these parts; how it would run them does not matter to the conversion."""
    return nn.ModuleDict(parts)


def _lstm(**options: Any) -> nn.LSTM:
    return nn.LSTM(4, 6, **options)


def _state_dict(cell: CellName = "lstm", **sizes: int) -> StateDict:
    """A state dict in plain names, as a module of that architecture has it."""
    spec = _spec(cell, **sizes)
    return {name: torch.full(shape, 0.1) for name, shape in spec.parameter_shapes.items()}


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_modules_come_back_with_the_same_bits_and_answers(make_nets: MakeNets, draw: Draw, cell: CellName) -> None:
    nets = make_nets(_spec(cell), 3)
    stack = RNNStack.from_modules(nets)
    modules = stack.to_modules()

    assert stack.spec == _spec(cell)
    assert torch.equal(RNNStack.from_modules(modules).flatten(), stack.flatten())
    inputs = draw(2, 7, 4)
    for net, module in zip(nets, modules, strict=True):
        answer, expected = module(inputs), net(inputs)
        torch.testing.assert_close(answer, expected, rtol=0, atol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_the_flat_order_is_that_of_torch(make_nets: MakeNets, cell: CellName) -> None:
    nets = make_nets(_spec(cell), 3)
    flat = torch.stack([nn.utils.parameters_to_vector(net.parameters()) for net in nets])
    assert torch.equal(RNNStack.from_modules(nets).flatten(), flat)


@pytest.mark.parametrize("prefix", ["", "module.", "model.rnn.", "_orig_mod.module.policy.layers.0."])
@pytest.mark.parametrize("cell", CELLS)
def test_state_dicts_come_back_whatever_their_prefix(make_nets: MakeNets, cell: CellName, prefix: str) -> None:
    nets = make_nets(_spec(cell), 3)
    state_dicts = [{prefix + name: weight for name, weight in net.state_dict().items()} for net in nets]
    stack = RNNStack.from_state_dicts(state_dicts, cell=cell)

    assert stack.spec == _spec(cell)
    assert torch.equal(stack.flatten(), RNNStack.from_modules(nets).flatten())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_shapes_alone_tell_an_lstm_from_a_gru(cell: CellName) -> None:
    assert RNNStack.from_state_dicts([_state_dict(cell)]).spec == _spec(cell)


def test_a_stack_and_its_sources_share_no_memory(make_nets: MakeNets) -> None:
    (net,) = make_nets(_spec(), 1)
    stack = RNNStack.from_modules([net])
    (module,) = stack.to_modules()
    before = stack.flatten().clone()
    with torch.no_grad():
        for weight in [*net.parameters(), *module.parameters()]:
            weight.zero_()
    assert torch.equal(stack.flatten(), before)
    assert not stack.flatten().requires_grad


def test_modules_can_be_trained_and_were_made_without_the_global_generator(make_nets: MakeNets, draw: Draw) -> None:
    stack = RNNStack.from_modules(make_nets(_spec("gru"), 1))
    before = torch.random.get_rng_state()
    (module,) = stack.to_modules()
    assert torch.equal(torch.random.get_rng_state(), before)

    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(draw(2, 5, 4))[0].square().mean().backward()
    optimizer.step()
    assert not torch.equal(RNNStack.from_modules([module]).flatten(), stack.flatten())


# -- module trees that are not like ours -----------------------------------------------------------


class _SubclassedLSTM(nn.LSTM):
    """The recurrent module itself is the top of the tree; its names have no prefix."""

    def __init__(self) -> None:
        super().__init__(4, 6)
        self.final_linear = nn.Linear(6, 3)


@pytest.mark.parametrize(
    "module",
    [
        _SubclassedLSTM(),
        _parts(policy=_SubclassedLSTM()),
        _parts(head=nn.Linear(6, 3), core=_lstm()),
        _parts(core=_lstm(), decoder=nn.Sequential(nn.Dropout(), nn.Sequential(nn.Linear(6, 3)))),
        nn.DataParallel(_parts(core=_lstm(), head_layer_l=nn.Linear(6, 3))),
    ],
    ids=["subclass", "nested subclass", "head first", "nested head", "wrapped"],
)
def test_recurrent_module_and_readout_are_found_wherever_they_are(module: nn.Module) -> None:
    stacks = [RNNStack.from_modules([module], verify=False), RNNStack.from_state_dicts([module.state_dict()])]
    named = dict(module.named_parameters())
    for stack in stacks:
        assert stack.spec == _spec(num_layers=1)
        for name, weight in stack.weights.items():
            ending = name.removeprefix("rnn.").removeprefix("readout")
            inside = [other for place, other in named.items() if place.endswith(ending)]
            fitting = [other for other in inside if other.shape == weight.shape[1:]]
            assert any(torch.equal(weight[0], other) for other in fitting)


def test_a_readout_without_bias_has_zeros() -> None:
    module = _parts(core=_lstm(), head=nn.Linear(6, 3, bias=False))
    for stack in (RNNStack.from_modules([module]), RNNStack.from_state_dicts([module.state_dict()])):
        assert stack.weights["readout.bias"].tolist() == [[0, 0, 0]]
        assert torch.equal(stack.weights["readout.weight"][0], module.state_dict()["head.weight"])


def test_parametrized_weights_are_read_as_they_act() -> None:
    module = _parts(core=nn.GRU(4, 6), head=nn.Linear(6, 3))
    nn.utils.parametrizations.weight_norm(module["head"])
    module["head"].parametrizations.weight.original0.data.mul_(3)
    assert torch.equal(RNNStack.from_modules([module]).weights["readout.weight"][0], module["head"].weight)


# -- what is refused -------------------------------------------------------------------------------

EXTRA = {
    "an encoder in front": ({"encoder": nn.Linear(9, 4)}, r"encoder.weight \(4, 9\), encoder.bias \(4,\)"),
    "an embedding of something else": ({"embed": nn.Embedding(9, 5)}, r"embed.weight \(9, 5\)"),
    "a normalization": ({"norm": nn.LayerNorm(6)}, r"norm.weight \(6,\), norm.bias \(6,\)"),
    "a deeper readout": (
        {"last": nn.Linear(3, 2)},
        r"several linear layers(.|\n)*last\.bias",
    ),
    "many": (
        {f"extra{n}": nn.Linear(3, 2) for n in range(9)},
        r"several linear layers(.|\n)*extra2.bias \(2,\) and",
    ),
}


@pytest.mark.parametrize("as_state_dict", [False, True], ids=["module", "state dict"])
@pytest.mark.parametrize(("extra", "words"), EXTRA.values(), ids=EXTRA.keys())
def test_other_weights_are_named_and_not_dropped(extra: dict[str, nn.Module], words: str, as_state_dict: bool) -> None:
    module = _parts(core=_lstm(), head=nn.Linear(6, 3), **extra)
    with pytest.raises(UsageError, match=words):
        _convert(module, as_state_dict)


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_learned_first_state_is_not_dropped(where: str) -> None:
    module = _parts(core=_SubclassedLSTM())
    (module if where == "beside" else module["core"]).register_parameter("h0", nn.Parameter(torch.zeros(1, 1, 6)))
    for as_state_dict in (False, True):
        with pytest.raises(UsageError, match=r"there is: (core\.)?h0 \(1, 1, 6\)"):
            _convert(module, as_state_dict)


@pytest.mark.parametrize("as_state_dict", [False, True], ids=["module", "state dict"])
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"head": nn.Linear(6, 3)}, "0 recurrent modules"),
        ({"core": _lstm()}, "0 linear readouts with 6 inputs"),
        ({"core": _lstm(), "head": nn.Linear(5, 3)}, "0 linear readouts with 6 inputs"),
        ({"core": _lstm(bidirectional=True), "head": nn.Linear(12, 3)}, "bidirectional"),
        ({"core": _lstm(proj_size=2), "head": nn.Linear(2, 3)}, "proj"),
    ],
    ids=["none", "no readout", "misfit", "bidirectional", "projection"],
)
def test_a_module_tree_that_is_not_read_is_told_what_is(
    parts: dict[str, nn.Module], words: str, as_state_dict: bool
) -> None:
    with pytest.raises(UsageError, match=rf"RNN 0: .*{words}(.|\n)*one nn\.LSTM, nn\.GRU or nn\.RNN .*one nn\.Linear"):
        _convert(_parts(**parts), as_state_dict)


def _convert(module: nn.Module, as_state_dict: bool) -> RNNStack:
    return RNNStack.from_state_dicts([module.state_dict()]) if as_state_dict else RNNStack.from_modules([module])


@pytest.mark.parametrize("as_state_dict", [False, True], ids=["module", "state dict"])
def test_parallel_heads_lie_beside_each_other_and_that_is_said(as_state_dict: bool) -> None:
    module = _parts(core=_lstm(), actor=nn.Linear(6, 3), critic=nn.Linear(6, 1))
    with pytest.warns(AssumedWarning, match=r"outputs are those of actor, critic beside each other(.|\n)*check="):
        stack = _convert(module, as_state_dict)
    rows = [module.get_parameter(f"{name}.weight") for name in ("actor", "critic")]
    assert torch.equal(stack.weights["readout.weight"][0], torch.cat(rows).detach())
    assert len(stack.assumed) == 1


def test_heads_that_may_follow_each_other_are_refused() -> None:
    module = _parts(core=_lstm(), first=nn.Linear(6, 6), second=nn.Linear(6, 1))
    with pytest.raises(UsageError, match=r"several linear layers(.|\n)*first.weight \(6, 6\)(.|\n)*ModuleBlackBox"):
        _convert(module, as_state_dict=True)


def test_an_empty_state_dict_is_refused() -> None:
    with pytest.raises(UsageError, match=r"holds no state dict but a dict with no entries"):
        RNNStack.from_state_dicts([{}])


@pytest.mark.usefixtures("without_type_checks")
def test_the_state_dict_in_a_checkpoint_is_found_or_named() -> None:
    checkpoint: Any = {"epoch": 3, "agent": {"actor": _state_dict()}}
    assert RNNStack.from_state_dicts([checkpoint]).spec.num_layers == 2
    checkpoint["agent"]["critic"] = _state_dict("gru")
    with pytest.raises(UsageError, match=r"holds several state dicts: 'agent.actor', 'agent.critic'\n.*key='agent.a"):
        RNNStack.from_state_dicts([checkpoint])
    assert RNNStack.from_state_dicts([checkpoint], key="agent.critic").spec.cell == "gru"
    with pytest.raises(UsageError, match=r"holds no state dict at 'actor', but: 'agent.actor', 'agent.critic'"):
        RNNStack.from_state_dicts([checkpoint], key="actor")
    with pytest.raises(UsageError, match=r"key='x' for a state dict that is not in an entry"):
        RNNStack.from_state_dicts([_state_dict()], key="x")


@pytest.mark.parametrize("missing", ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.weight_hh_l1", "rnn.bias_ih_l1"])
def test_a_missing_tensor_is_named(missing: str) -> None:
    state_dict = _state_dict()
    del state_dict[missing]
    with pytest.raises(UsageError, match=rf"{missing.removeprefix('rnn.')} is missing, expected"):
        RNNStack.from_state_dicts([state_dict])


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("rnn.weight_hh_l0", (24,), r"weight_hh_l0 has shape \(24,\), expected a matrix"),
        ("rnn.weight_hh_l0", (30, 6), "30 rows and 6 columns, which fits no cell(.|\n)*4H rows"),
        ("rnn.weight_ih_l1", (24, 5), r"rnn.weight_ih_l1 has shape \(24, 5\), expected \(24, 6\)"),
        ("rnn.bias_hh_l0", (23,), r"rnn.bias_hh_l0 has shape \(23,\), expected \(24,\)"),
        ("readout.bias", (4,), r"readout.bias has shape \(4,\), expected \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_shown(name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        RNNStack.from_state_dicts([_state_dict() | {name: torch.zeros(shape)}])


def test_a_number_of_a_layer_in_a_name_makes_no_layers() -> None:
    state_dict = _state_dict() | {"rnn.weight_hh_l999999999999": torch.zeros(24, 6)}
    with pytest.raises(UsageError, match=r"weight_ih_l2 is missing"):
        RNNStack.from_state_dicts([state_dict])


def test_tanh_and_relu_look_alike_so_the_caller_is_asked() -> None:
    state_dict = _state_dict("rnn_relu")
    with pytest.raises(UsageError, match=r"fit rnn_tanh and rnn_relu alike(.|\n)*cell='rnn_tanh' or cell='rnn_relu'"):
        RNNStack.from_state_dicts([state_dict])
    for cell in ("rnn_tanh", "rnn_relu"):
        assert RNNStack.from_state_dicts([state_dict], cell=cell).spec.cell == cell


@pytest.mark.parametrize(("given", "true"), [("gru", "lstm"), ("rnn_tanh", "gru"), ("lstm", "rnn_tanh")])
def test_a_cell_that_contradicts_the_shapes_is_refused(given: CellName, true: CellName) -> None:
    with pytest.raises(UsageError, match=rf"cell='{given}', but the shapes are those of {true}"):
        RNNStack.from_state_dicts([_state_dict(true)], cell=given)


def test_no_rnns_are_refused() -> None:
    for make in (RNNStack.from_modules, RNNStack.from_state_dicts):
        with pytest.raises(UsageError, match=r"no RNN was given\n.*at least one"):
            make([])


def test_mixed_architectures_are_refused_by_number(make_nets: MakeNets) -> None:
    nets = [*make_nets(_spec("lstm"), 2), *make_nets(_spec("gru"), 1)]
    with pytest.raises(UsageError, match=r"RNN 0 is lstm 2x6.*but RNN 2 is gru 2x6(.|\n)*one stack for each"):
        RNNStack.from_modules(nets)


def test_the_one_that_cannot_be_read_is_named_by_number(make_nets: MakeNets) -> None:
    nets = [*make_nets(_spec("lstm"), 2), nn.Linear(6, 3)]
    with pytest.raises(UsageError, match=r"RNN 2: Linear holds 0 recurrent modules"):
        RNNStack.from_modules(nets)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["core.weight_hh_l1", "head.bias"])
def test_nan_and_infinity_are_damage_and_named(make_nets: MakeNets, bad: float, name: str) -> None:
    nets = make_nets(_spec("lstm"), 3)
    with torch.no_grad():
        nets[1].get_parameter(name).view(-1)[0] = bad
    ours = name.replace("core", "rnn").replace("head", "readout")
    for convert in (
        lambda: RNNStack.from_modules(nets),
        lambda: RNNStack.from_state_dicts([net.state_dict() for net in nets]),
    ):
        with pytest.raises(DataError, match=rf"RNN 1 has NaN or infinite numbers in {ours}\n.*earlier checkpoint"):
            convert()
