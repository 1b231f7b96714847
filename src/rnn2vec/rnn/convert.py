"""From and to the RNNs that people have: `torch.nn` modules and their state dicts.

What is looked for is one recurrent module and one linear readout that fits it, wherever they are in the
module tree and whatever they are called. In a state dict the shapes say which cell it is: a recurrent weight has
gates times H rows and H columns. Only the tanh and the ReLU RNN look alike; then the caller must say.
What else has weights is refused, not dropped: without its encoder or its second head it is another function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import GATES, CellName, RNNSpec

_REMEDY = (
    "give what holds one nn.LSTM, nn.GRU or nn.RNN (with biases, one direction, no projection) "
    "and one nn.Linear on its hidden state."
)
_RECURRENT_NAME = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")

Converted = tuple[RNNSpec, dict[str, Tensor]]
"""An architecture, and one RNN's weights by the names in `parameter_shapes`."""


class RecurrentModule(nn.Module):
    """A recurrent layer stack `rnn` under a linear `readout`, as a plain `torch.nn` module.

    Args:
        spec: the architecture.
    """

    def __init__(self, spec: RNNSpec) -> None:
        super().__init__()
        sizes = (spec.input_size, spec.hidden_size, spec.num_layers)
        if spec.cell == "lstm":
            self.rnn: nn.RNNBase = nn.LSTM(*sizes, batch_first=True)
        elif spec.cell == "gru":
            self.rnn = nn.GRU(*sizes, batch_first=True)
        else:
            self.rnn = nn.RNN(*sizes, nonlinearity=spec.cell.removeprefix("rnn_"), batch_first=True)
        self.readout = nn.Linear(spec.hidden_size, spec.output_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Inputs `(B, T, I)` to outputs `(B, T, O)` and the state, as `torch.nn` keeps it."""
        hidden, state = self.rnn(inputs, state)
        return self.readout(hidden), state


def to_module(spec: RNNSpec, weights: Mapping[str, Tensor]) -> RecurrentModule:
    """A `torch.nn` module with copies of one RNN's weights, named and shaped as in `spec.parameter_shapes`."""
    with torch.device("meta"):  # no initial weights: they would be drawn from the global generator
        module = RecurrentModule(spec)
    module.load_state_dict({name: weight.detach().clone() for name, weight in weights.items()}, assign=True)
    return module


def from_module(module: nn.Module) -> Converted:
    """The spec and the weights (copies) of one module with a recurrent module and a linear readout.

    Raises:
        UsageError: the module holds something else; the text says what was found.
    """
    rnn = _the_recurrent_part(module)
    linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
    readouts = [part for part in linear if part.in_features == rnn.hidden_size]
    if len(readouts) != 1:
        raise UsageError(
            f"{len(readouts)} linear readouts with {rnn.hidden_size} inputs in {type(module).__name__}, "
            f"among {', '.join(map(str, linear)) or 'no linear layers'}",
            remedy=_REMEDY,
        )
    readout = readouts[0]
    _require_nothing_else(_besides(module, rnn, readout))
    spec = RNNSpec(
        cell=cast("CellName", rnn.mode.lower()),
        input_size=rnn.input_size,
        hidden_size=rnn.hidden_size,
        num_layers=rnn.num_layers,
        output_size=readout.out_features,
    )
    weights = {name: getattr(rnn, name.removeprefix("rnn.")) for name in spec.parameter_shapes if "readout" not in name}
    weights |= _with_bias(readout.weight, cast("Tensor | None", readout.bias))
    return spec, {name: tensor.detach().clone() for name, tensor in weights.items()}


def _the_recurrent_part(module: nn.Module) -> nn.RNNBase:
    recurrent = [part for part in module.modules() if isinstance(part, nn.RNNBase)]
    if len(recurrent) != 1:
        raise UsageError(f"{type(module).__name__} holds {len(recurrent)} recurrent modules", remedy=_REMEDY)
    rnn = recurrent[0]
    if rnn.bidirectional or rnn.proj_size or not rnn.bias:
        unread = "bidirectional" if rnn.bidirectional else "proj_size" if rnn.proj_size else "bias=False"
        raise UsageError(f"{rnn} has {unread}, which is not read", remedy=_REMEDY)
    return rnn


def _besides(module: nn.Module, rnn: nn.RNNBase, readout: nn.Linear) -> dict[str, Tensor]:
    """All tensors of the module that are neither the recurrent module's own weights nor the readout's."""
    others: dict[str, Tensor] = {}
    for place, part in module.named_modules():
        if part is readout or "parametrizations" in place.split("."):  # a parametrization is seen through its result
            continue
        for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            if not (part is rnn and _RECURRENT_NAME.fullmatch(name)):
                others[f"{place}.{name}".removeprefix(".")] = tensor
    return others


def from_state_dict(state_dict: Mapping[str, Any], *, cell: CellName | None = None) -> Converted:
    """The spec and the weights (copies) of one RNN given as a state dict.

    Args:
        state_dict: tensors by name, with any prefix before PyTorch's own names.
        cell: which cell it is, where the shapes leave it open (one gate: tanh or ReLU).

    Raises:
        UsageError: something is not a tensor, shapes fit no cell, `cell` is missing or does not fit, or there is
            more than an RNN and its readout; the text gives the shapes.
    """
    _require_tensors(state_dict)
    recurrent, others = _divided(state_dict)
    num_layers = len({name.rpartition("_l")[2] for name in recurrent})
    rows, hidden_size = _matrix_shape(recurrent.get("weight_hh_l0"), "weight_hh_l0")
    readout = _readout(others, hidden_size)
    spec = RNNSpec(
        cell=_cell_of(rows, hidden_size, cell),
        input_size=_matrix_shape(recurrent.get("weight_ih_l0"), "weight_ih_l0")[1],
        hidden_size=hidden_size,
        num_layers=num_layers,
        output_size=readout["readout.weight"].shape[0],
    )
    candidates = {f"rnn.{name}": tensor for name, tensor in recurrent.items()} | readout
    weights: dict[str, Tensor] = {}
    for name, shape in spec.parameter_shapes.items():
        tensor = candidates.get(name)
        if tensor is None or tuple(tensor.shape) != shape:
            given = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
            raise UsageError(f"{name} {given}, expected {shape}", remedy=_REMEDY)
        weights[name] = tensor.detach().clone()
    return spec, weights


def _require_tensors(state_dict: Mapping[str, Any]) -> None:
    strange = {name: type(value).__name__ for name, value in state_dict.items() if not isinstance(value, Tensor)}
    if strange:
        name, kind = next(iter(strange.items()))
        raise UsageError(
            f"not a state dict: {name!r} is of type {kind}, expected tensors only",
            remedy="give the state dict alone; a checkpoint often has it under 'state_dict' or 'model'.",
        )


def _divided(state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the one recurrent module, by PyTorch's names, and all others, by their full names."""
    recurrent: dict[str, dict[str, Tensor]] = {}  # by the place of the recurrent module in the module tree
    others: dict[str, Tensor] = {}
    for full_name, tensor in state_dict.items():
        place, _, name = full_name.rpartition(".")
        if _RECURRENT_NAME.fullmatch(name):
            recurrent.setdefault(place, {})[name] = tensor
        else:
            others[full_name] = tensor
    if len(recurrent) != 1:
        raise UsageError(
            f"{len(recurrent)} recurrent modules (names such as weight_hh_l0) among {_shapes(state_dict)}",
            remedy=_REMEDY,
        )
    (found,) = recurrent.values()
    unread = [name for name in found if name.endswith("_reverse") or name.startswith("weight_hr")]
    if unread:
        raise UsageError(f"{unread[0]}: bidirectional modules and projections are not read", remedy=_REMEDY)
    return found, others


def _readout(others: Mapping[str, Tensor], hidden_size: int) -> dict[str, Tensor]:
    """The one linear layer that reads `hidden_size` features; nothing else may be there."""
    fitting = [
        name
        for name, tensor in others.items()
        if name.rpartition(".")[2] == "weight" and tensor.dim() == 2 and tensor.shape[1] == hidden_size
    ]
    if len(fitting) != 1:
        raise UsageError(
            f"{len(fitting)} linear readouts with {hidden_size} inputs, "
            f"beside the recurrent module there is: {_shapes(others)}",
            remedy=_REMEDY,
        )
    bias = fitting[0].removesuffix("weight") + "bias"
    _require_nothing_else({name: tensor for name, tensor in others.items() if name not in {fitting[0], bias}})
    return _with_bias(others[fitting[0]], others.get(bias))


def _with_bias(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """The readout; one without a bias gets zeros, which is the same function."""
    return {"readout.weight": weight, "readout.bias": torch.zeros_like(weight[:, 0]) if bias is None else bias}


def _require_nothing_else(others: Mapping[str, Tensor]) -> None:
    """An encoder in front, a second head, a learned first state: left out silently, the function would change."""
    if others:
        raise UsageError(
            f"beside the recurrent module and its readout there is: {_shapes(others)}",
            remedy="give the recurrent module and its readout alone; leave out what the outputs do not depend on.",
        )


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    shown = [f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return (", ".join(shown[:8]) or "no tensors at all") + more


def _matrix_shape(tensor: Tensor | None, name: str) -> tuple[int, int]:
    if tensor is None or tensor.dim() != 2:
        given = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise UsageError(f"{name} {given}, expected a matrix", remedy=_REMEDY)
    return tensor.shape[0], tensor.shape[1]


def _cell_of(rows: int, hidden_size: int, cell: CellName | None) -> CellName:
    """The cell that has `rows / hidden_size` gates; `cell` decides between tanh and ReLU."""
    fitting = [name for name in get_args(CellName) if GATES[name] * hidden_size == rows]
    if not fitting:
        raise UsageError(
            f"weight_hh_l0 has {rows} rows and {hidden_size} columns, which fits no cell",
            remedy="expected 4H rows (LSTM), 3H (GRU) or H (tanh or ReLU RNN) for H columns.",
        )
    if cell is not None and cell not in fitting:
        raise UsageError(f"cell={cell!r}, but the shapes are those of {' or '.join(fitting)}", remedy="leave it out.")
    if cell is None and len(fitting) > 1:
        raise UsageError(
            f"the shapes fit {' and '.join(fitting)} alike", remedy="say which: cell='rnn_tanh' or cell='rnn_relu'."
        )
    return cell if cell is not None else fitting[0]
