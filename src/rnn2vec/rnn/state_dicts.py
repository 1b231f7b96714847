"""An RNN given as named tensors: which of them are its recurrent layers, its readout, and what stands before it.

In a state dict, names say what is recurrent (`weight_hh_l0` of a module, `weight_hh` of a cell) and shapes say which
cell: a recurrent weight has gates times H rows and H columns. Only the tanh and the ReLU RNN look alike; then the
caller must say. A readout is any matrix with H columns; an embedding, any with as many columns as the RNN has inputs
and `emb` in its name, which is what tells it from a linear layer. Prefixes do not matter.

What else is there is refused, not dropped: without its encoder or its second head it is another function. The caller
may say which names to ignore.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import REMEDY, Converted, Layer, Parts, Scaling, assembled, cell_of, matrix_shape
from rnn2vec.rnn.spec import CellName

_IN_MODULE = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")
_IN_CELL = re.compile(r"(weight|bias)_(ih|hh)")
_EMBEDDING_NAME = re.compile(r"emb|\bwte\b|lookup", re.IGNORECASE)
_STATE_NAME = re.compile(r"(^|[._])([hc]_?0|[hc]x|init\w*|\w*_init|\w*state\w*)$", re.IGNORECASE)


class Hints(TypedDict, total=False):
    """What a checkpoint leaves open."""

    cell: CellName | None
    """Which cell it is, where shapes fit two (tanh or ReLU)."""
    ignore: Sequence[str]
    """Patterns of tensor names that the outputs do not depend on, such as `("critic.*",)`."""
    input_scaling: tuple[str, str] | None
    """Names of two tensors: the RNN is fed `(input - first) / second`. They are folded into its weights."""


@dataclass(frozen=True)
class Roles:
    """What a module tree knows of its tensors and a state dict does not."""

    is_recurrent: Callable[[str], bool] = lambda _: True
    """Whether what lies at a place of the tree is one of PyTorch's recurrent modules or cells."""
    is_embedding: Callable[[str], bool] = lambda name: bool(_EMBEDDING_NAME.search(name.rpartition(".")[0]))
    """Whether a tensor of this name is the table of an embedding."""
    is_linear: Callable[[str], bool] = lambda name: name.rpartition(".")[2] == "weight"
    """Whether a matrix of this name is the weight of a linear layer."""


def from_state_dict(
    state_dict: Mapping[str, Any],
    *,
    cell: CellName | None = None,
    ignore: Sequence[str] = (),
    input_scaling: tuple[str, str] | None = None,
) -> Converted:
    """The spec and the weights (copies) of one RNN given as a state dict.

    Args:
        state_dict: tensors by name, with any prefix before PyTorch's own names.
        cell: see `Hints`.
        ignore: see `Hints`.
        input_scaling: see `Hints`.

    Raises:
        UsageError: something is not a tensor, shapes fit no cell, `cell` is missing or does not fit, or there is
            more than an RNN and its readout; the text gives the shapes.
    """
    kept = without(state_dict, ignore)
    _require_tensors(kept)
    return from_named_tensors(kept, Roles(), cell=cell, input_scaling=input_scaling)


def without(tensors: Mapping[str, Any], ignore: Sequence[str]) -> dict[str, Any]:
    """The tensors whose names match none of the patterns.

    Raises:
        UsageError: a pattern matches nothing, which is a mistake.
    """
    for pattern in ignore:
        if not fnmatch.filter(tensors, pattern):
            raise UsageError(
                f"ignore={pattern!r} matches none of {', '.join(list(tensors)[:8])}",
                remedy="give names, or patterns with * in them.",
            )
    return {
        name: value
        for name, value in tensors.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore)
    }


def _require_tensors(state_dict: Mapping[str, Any]) -> None:
    strange = {name: type(value).__name__ for name, value in state_dict.items() if not isinstance(value, Tensor)}
    if strange:
        name, kind = next(iter(strange.items()))
        raise UsageError(
            f"not a state dict: {name!r} is of type {kind}, expected tensors only",
            remedy="give the state dict alone; a checkpoint often has it under 'state_dict' or 'model'.",
        )


def from_named_tensors(
    tensors: Mapping[str, Tensor],
    roles: Roles,
    *,
    cell: CellName | None,
    input_scaling: tuple[str, str] | None,
    holder: str = "",
) -> Converted:
    """The spec and the weights of the one RNN among tensors.

    Args:
        tensors: by their full names.
        roles: what is known of them.
        cell: which cell it is, where shapes leave it open.
        input_scaling: names of the shift and the scale of the inputs.
        holder: what holds the tensors, for the error text.

    Raises:
        UsageError: as `from_state_dict`.
    """
    layers, others = _divided(tensors, roles, holder)
    rows, hidden_size = matrix_shape(layers[0].get("weight_hh"), "weight_hh_l0")
    cell = cell_of(rows, hidden_size, cell)
    inputs = matrix_shape(layers[0].get("weight_ih"), "weight_ih_l0")[1]
    scaling = _scaling(others, input_scaling)
    embedding = _embedding(others, roles, inputs)
    weight, bias = _readout(others, roles, hidden_size)
    _require_nothing_else(others, hidden_size)
    return assembled(
        Parts(
            cell=cell,
            layers=[_layer(found, number, has_biases=_has_biases(layers)) for number, found in enumerate(layers)],
            readout_weight=weight,
            readout_bias=bias,
            embedding=embedding,
            scaling=scaling,
        )
    )


# -- recurrent layers ------------------------------------------------------------------------------


def _divided(
    tensors: Mapping[str, Tensor], roles: Roles, holder: str
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """The tensors of each recurrent layer, by PyTorch's names without the layer, and all others, by full names."""
    places: dict[str, dict[str, Tensor]] = {}  # of the recurrent modules in the module tree
    others: dict[str, Tensor] = {}
    for full_name, tensor in tensors.items():
        place, _, name = full_name.rpartition(".")
        if (_IN_MODULE.fullmatch(name) or _IN_CELL.fullmatch(name)) and roles.is_recurrent(place):
            places.setdefault(place, {})[name] = tensor
        else:
            others[full_name] = tensor
    stacked = sorted(places, key=_natural)
    if not places or len({re.sub(r"\d+", "", place) for place in places}) > 1:
        what = "weights named like weight_hh_l0, or weight_hh of a cell"
        raise UsageError(f"{holder}{len(places)} recurrent modules ({what}) among {shapes(tensors)}", remedy=REMEDY)
    return [layer for place in stacked for layer in _layers_of(places[place])], others


def _natural(place: str) -> list[tuple[int, str]]:
    """Sorts `cells.10` after `cells.9`, and `lstm` before `lstm2`."""
    return [(len(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", place)]


def _layers_of(found: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The layers of one recurrent module, or the one of a cell."""
    if any(name.endswith("_reverse") for name in found):
        raise UsageError("a bidirectional module, which answers only when its input has ended", remedy=REMEDY)
    if any(name.startswith("weight_hr") for name in found):
        raise UsageError("an LSTM with proj_size (weight_hr_l0), which is another cell", remedy=REMEDY)
    num_layers = len({name.rpartition("_l")[2] for name in found if "_l" in name})
    if not num_layers:
        return [dict(found)]
    endings = [f"_l{number}" for number in range(num_layers)]
    return [{name.removesuffix(end): found[name] for name in found if name.endswith(end)} for end in endings]


def _has_biases(layers: Sequence[Mapping[str, Tensor]]) -> bool:
    return any(name.startswith("bias") for layer in layers for name in layer)


def _layer(found: Mapping[str, Tensor], number: int, *, has_biases: bool) -> Layer:
    """A layer with all that it needs: biases are everywhere or nowhere."""
    needed = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if has_biases else ("weight_ih", "weight_hh")
    for name in needed:
        if name not in found:
            raise UsageError(f"{name}_l{number} is missing, expected with the others of its layer", remedy=REMEDY)
    return Layer(**found)


# -- what stands before and after ------------------------------------------------------------------


def _scaling(others: dict[str, Tensor], names: tuple[str, str] | None) -> Scaling | None:
    """The fixed scaling of the inputs, taken out of the others."""
    if names is None:
        return None
    shift, scale = (_named(others, name) for name in names)
    return Scaling(shift=others.pop(shift), scale=others.pop(scale))


def _named(others: Mapping[str, Tensor], name: str) -> str:
    found = [full for full in others if full == name or full.endswith(f".{name}")]
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} tensors of the name {name!r} for input_scaling among {shapes(others)}",
            remedy="give the full names of two of them: what is subtracted, and what the difference is divided by.",
        )
    return found[0]


def _embedding(others: dict[str, Tensor], roles: Roles, inputs: int) -> Tensor | None:
    """The embedding that makes the RNN's inputs, taken out of the others."""
    fitting = [name for name, tensor in others.items() if roles.is_embedding(name) and _has_columns(tensor, inputs)]
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} embeddings of {inputs} numbers: {', '.join(fitting)}", remedy=REMEDY)
    return others.pop(fitting[0]) if fitting else None


def _has_columns(tensor: Tensor, columns: int) -> bool:
    return tensor.dim() == 2 and tensor.shape[1] == columns


def _readout(others: dict[str, Tensor], roles: Roles, hidden_size: int) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the one linear layer that reads `hidden_size` features, taken out of the others."""
    fitting = [name for name, tensor in others.items() if roles.is_linear(name) and _has_columns(tensor, hidden_size)]
    if len(fitting) != 1:
        raise UsageError(
            f"{len(fitting)} linear readouts with {hidden_size} inputs, "
            f"beside the recurrent module there is: {shapes(others)}",
            remedy=f"{REMEDY} Of several heads, leave out the others with ignore=('critic.*',).",
        )
    bias = fitting[0].removesuffix("weight") + "bias"
    return others.pop(fitting[0]), others.pop(bias, None)


def _require_nothing_else(others: Mapping[str, Tensor], hidden_size: int) -> None:
    """An encoder in front, a second head, a learned first state: left out silently, the function would change."""
    if not others:
        return
    advice = (
        "give the recurrent module and its readout alone; "
        "leave out what the outputs do not depend on, with ignore=('name.*',)."
    )
    if all(_STATE_NAME.search(name) and tensor.shape[-1:] == (hidden_size,) for name, tensor in others.items()):
        advice = (
            "an initial state cannot be folded into weights: read the RNN with it in ignore=(...), a module also with "
            "verify=False, and give the state to StackBlackBox(stack, first_state=...), which a probing encoder can "
            "embed."
        )
    raise UsageError(f"beside the recurrent module and its readout there is: {shapes(others)}", remedy=advice)


def shapes(tensors: Mapping[str, Any]) -> str:
    """The first few names with their shapes, for error texts."""
    shown = [f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return (", ".join(shown[:8]) or "no tensors at all") + more
