"""Conversion from and to `torch.nn` modules.

A module is searched for one recurrent module (or a cell per layer) and one linear readout that fits it, anywhere in the
module tree and under any name; `rnn2vec.rnn.state_dicts` does the same for state dicts. Other operations of a module,
such as a nonlinearity before the readout, are detected by `rnn2vec.rnn.verify`. The order of axes, `(B, T, I)` or
`(T, B, I)`, does not affect the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rnn2vec._errors import UsageError
from rnn2vec.rnn.connections import Roles, from_named_tensors
from rnn2vec.rnn.parts import REMEDY, Converted
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.state_dicts import without


class RecurrentModule(nn.Module):
    """A recurrent layer stack `rnn` under a linear `readout`, as a plain `torch.nn` module.

    Args:
        spec: the architecture.

    Raises:
        UsageError: `torch.nn` has no such cell.
    """

    def __init__(self, spec: RNNSpec) -> None:
        super().__init__()
        self.rnn = spec.cell_type.torch_module(spec.input_size, spec.hidden_size, spec.num_layers)
        self.readout = nn.Linear(spec.hidden_size, spec.output_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Map inputs `(B, T, I)` to outputs `(B, T, O)` and the state, as `torch.nn` keeps it."""
        hidden, state = self.rnn(inputs, state)
        return self.readout(hidden), state


def to_module(spec: RNNSpec, weights: Mapping[str, Tensor]) -> RecurrentModule:
    """Return a `torch.nn` module with copies of one RNN's weights, named and shaped as in `spec.parameter_shapes`."""
    with torch.device("meta"):  # no initial weights: they would be drawn from the global generator
        module = RecurrentModule(spec)
    module.load_state_dict({name: weight.detach().clone() for name, weight in weights.items()}, assign=True)
    return module


def readings(module: nn.Module, *, is_run: bool, **hints: Any) -> list[Converted]:
    """Return the ways in which one module can be read as an RNN: one, or several where running it can choose.

    Args:
        module: one recurrent module, or cells, under a linear readout; with an `nn.Embedding` in front, perhaps.
        is_run: whether the module will be run to see that it answers as what was read.
        **hints: see `rnn2vec.rnn.state_dicts.Hints`.

    Raises:
        UsageError: if the module holds something else; the text says what was found.
    """
    tensors = without(_as_they_act(module), hints.get("ignore", ()))
    places = {_place(name) for name in tensors}
    parts = {place: part for place, part in module.named_modules() if place in places}
    roles = Roles(
        is_recurrent=lambda place: isinstance(parts.get(place), nn.RNNBase | nn.RNNCellBase),
        is_embedding=lambda name: isinstance(parts.get(_place(name)), nn.Embedding),
        is_linear=lambda name: isinstance(parts.get(_place(name)), nn.Linear) and name.endswith("weight"),
        are_answers_known=is_run and type(module).forward is not nn.Module.forward,
        holder=f"{type(module).__name__} holds ",
    )
    return from_named_tensors(tensors, roles, {**hints, "cell": _cell_in(parts.values())})


def _as_they_act(module: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name; a parametrized one is seen through its result."""
    tensors: dict[str, Tensor] = {}
    for place, part in module.named_modules():
        if "parametrizations" in place.split("."):
            continue
        named = dict((*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)))
        if parametrize.is_parametrized(part):
            named |= {name: getattr(part, name) for name in cast("nn.ModuleDict", part.parametrizations)}
        tensors |= {f"{place}.{name}".removeprefix("."): tensor for name, tensor in named.items()}
    return tensors


def _place(name: str) -> str:
    return name.rpartition(".")[0]


def _cell_in(parts: Iterable[nn.Module]) -> CellName | None:
    """Return the cell of the recurrent modules, which must be the same; None where there are none.

    Raises:
        UsageError: if they differ, or an embedding changes its rows as it reads them.
    """
    cells: set[str] = set()
    for part in parts:
        if isinstance(part, nn.RNNBase):
            cells.add(part.mode.lower())
        elif isinstance(part, nn.LSTMCell | nn.GRUCell):
            cells.add("lstm" if isinstance(part, nn.LSTMCell) else "gru")
        elif isinstance(part, nn.RNNCell):
            cells.add(f"rnn_{part.nonlinearity}")
        elif isinstance(part, nn.Embedding) and part.max_norm is not None:
            raise UsageError(f"{part} rescales its rows", remedy="give max_norm=None, with the rows as they act.")
    if len(cells) > 1:
        raise UsageError(f"2 recurrent modules or more, of different cells: {', '.join(sorted(cells))}", remedy=REMEDY)
    return cells.pop() if cells else None
