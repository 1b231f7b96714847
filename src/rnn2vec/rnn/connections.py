"""Ways in which recurrent layers, heads and linear maps can be connected to one RNN.

Names and shapes do not say how the parts are connected. Where they leave one way, it is taken, and reported as an
assumption; where they leave several (siblings of equal sizes, a linear layer that may stand in front or be the first
of two heads), every way is a *reading*, and something else must choose: the caller (`layers`, `single`), or answers,
those of a module that can be run or those that the caller gives (`check`).

Tensors without a role are refused, not dropped: without its encoder or its second head an RNN is another function. The
caller may name those to ignore.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import (
    REMEDY,
    Affine,
    Converted,
    Layer,
    Parts,
    assembled,
    cell_of,
    embedding,
    matrix_shape,
    scaling,
    stacked,
)
from rnn2vec.rnn.reparametrized import as_they_act

_IN_MODULE = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")
_IN_CELL = re.compile(r"(weight|bias)_(ih|hh)")
_EMBEDDING_NAME = re.compile(r"emb|\bwte\b|lookup", re.IGNORECASE)
_STATE_NAME = re.compile(r"(^|[._])([hc]_?0|[hc]x|init\w*|\w*_init|\w*state\w*)$", re.IGNORECASE)
_MOST_PLACES = 5
_MOST_HEADS = 4

SAY_WHICH = (
    "say which layers, lowest first: layers=('rnn1', 'rnn2'); or the one that is the RNN: single='rnn1'; or give "
    "sample inputs and outputs, check=(inputs, outputs), to find out. A module decides it itself: give that."
)


@dataclass(frozen=True)
class Roles:
    """Knowledge about tensors that a module tree has and a state dict has not."""

    is_recurrent: Callable[[str], bool] = lambda _: True
    """Function that returns True if a place of the tree holds one of PyTorch's recurrent modules or cells."""
    is_embedding: Callable[[str], bool] = lambda name: bool(_EMBEDDING_NAME.search(name.rpartition(".")[0]))
    """Function that returns True if a tensor of this name is the table of an embedding."""
    is_linear: Callable[[str], bool] = lambda name: name.rpartition(".")[2] == "weight"
    """Function that returns True if a matrix of this name is the weight of a linear layer."""
    are_answers_known: bool = False
    """True if readings will be checked against known outputs, so that several may be offered."""
    holder: str = ""
    """Owner of the tensors, for error texts."""


def is_recurrent_name(name: str) -> bool:
    """Return True if a tensor of this name is a weight of a recurrent module or cell of PyTorch's."""
    last = name.rpartition(".")[2]
    return bool(_IN_MODULE.match(last) or _IN_CELL.match(last))


def from_named_tensors(tensors: Mapping[str, Tensor], roles: Roles, hints: Mapping[str, Any]) -> list[Converted]:
    """Return the ways in which tensors can be read as one RNN.

    Args:
        tensors: by their full names.
        roles: knowledge about them.
        hints: see `Hints`.

    Raises:
        UsageError: if there is no way, or there are several and no answers to choose by.
    """
    tensors = as_they_act(tensors)
    places, others = _divided(tensors, roles)
    if not places:
        raise UsageError(
            f"{roles.holder}0 recurrent modules (weights named like weight_hh_l0, or weight_hh of a cell) among "
            f"{shapes(tensors)}",
            remedy=REMEDY,
        )
    found: list[Converted] = []
    first: UsageError | None = None
    for order, assumed in _orders(places, roles, hints):
        try:
            found += _with_order([layer for place in order for layer in places[place]], others, roles, hints, assumed)
        except UsageError as error:
            first = first or error
    if not found:
        assert first is not None
        raise first
    return found


def _with_order(
    layers: Sequence[Mapping[str, Tensor]],
    others: Mapping[str, Tensor],
    roles: Roles,
    hints: Mapping[str, Any],
    assumed: tuple[str, ...],
) -> list[Converted]:
    """Return the readings in which these are the recurrent layers, lowest first."""
    others = dict(others)
    rows, hidden_size = matrix_shape(layers[0].get("weight_hh"), "weight_hh_l0")
    cell = cell_of(rows, hidden_size, hints.get("cell"))
    inputs = matrix_shape(layers[0].get("weight_ih"), "weight_ih_l0")[1]
    scaled = _scaling(others, hints.get("input_scaling"), inputs)
    embedded = _embedding(others, roles, inputs)
    below = scaled if embedded is None else embedded
    stacked = [_layer(one, number, has_biases=_has_biases(layers)) for number, one in enumerate(layers)]
    found: list[Converted] = []
    for heads, front, supposed in _heads_and_fronts(others, roles, hidden_size, inputs if below is None else 0):
        lowest = below if front is None else front
        parts = Parts(
            cell=cell,
            layers=stacked,
            readout=heads,
            below=None if lowest is None else {0: lowest},
            assumed=(*assumed, *supposed),
        )
        found.append(assembled(parts))
    return found


# -- recurrent layers ------------------------------------------------------------------------------


def _divided(
    tensors: Mapping[str, Tensor], roles: Roles
) -> tuple[dict[str, list[dict[str, Tensor]]], dict[str, Tensor]]:
    """Return the layers at each place of the module tree, by PyTorch's names, and all others by full names."""
    places: dict[str, dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for full_name, tensor in tensors.items():
        place, _, name = full_name.rpartition(".")
        if (_IN_MODULE.fullmatch(name) or _IN_CELL.fullmatch(name)) and roles.is_recurrent(place):
            places.setdefault(place, {})[name] = tensor
        else:
            others[full_name] = tensor
    return {place: _layers_of(places[place]) for place in sorted(places, key=natural)}, others


def natural(place: str) -> list[tuple[int, str]]:
    """Return a key that sorts `cells.10` after `cells.9`, and `lstm` before `lstm2`."""
    return [(len(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", place)]


def _layers_of(found: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the layers of one recurrent module, or the one of a cell."""
    if any(name.endswith("_reverse") for name in found):
        raise UsageError("a bidirectional module, which answers only when its input has ended", remedy=REMEDY)
    if any(name.startswith("weight_hr") for name in found):
        raise UsageError("an LSTM with proj_size (weight_hr_l0), which is another cell", remedy=REMEDY)
    num_layers = len({name.rpartition("_l")[2] for name in found if "_l" in name})
    if not num_layers:
        return [dict(found)]
    endings = [f"_l{number}" for number in range(num_layers)]
    return [{name.removesuffix(end): found[name] for name in found if name.endswith(end)} for end in endings]


Order = tuple[tuple[str, ...], tuple[str, ...]]
"""Places of recurrent modules, lowest first, and the assumptions made."""


def _orders(places: Mapping[str, list[dict[str, Tensor]]], roles: Roles, hints: Mapping[str, Any]) -> list[Order]:
    """Return the orders in which recurrent modules can be layers of one RNN.

    Raises:
        UsageError: if there are several modules, and neither hints, names nor answers say how they are connected.
    """
    if named := tuple(hints.get("layers") or ()) or tuple(filter(None, (hints.get("single"),))):
        return [(tuple(_place_of(name, places) for name in named), ())]
    names = tuple(places)
    if len(names) == 1:
        return [(names, ())]
    only_all = hints.get("check") is None
    chains = [order for order in _arrangements(names, only_all=only_all) if _is_chain(order, places)]
    if roles.are_answers_known:
        return [(order, ()) for order in sorted(chains, key=lambda order: order != names)] or [(names, ())]
    are_siblings = len({re.sub(r"[._]?\d+", "", name) for name in names}) == 1
    if are_siblings and len(names) == 2 and chains == [names]:
        return [(names, (f"{' and '.join(names)} are two layers, the first below the second",))]
    raise UsageError(
        f"{roles.holder}{len(names)} recurrent modules ({', '.join(names)}), and nothing says how they are connected",
        remedy=f"{SAY_WHICH} Leave out what the outputs do not depend on, with ignore=('critic*',).",
    )


def _arrangements(names: tuple[str, ...], *, only_all: bool) -> Iterator[tuple[str, ...]]:
    if len(names) > _MOST_PLACES:
        yield names
        return
    for number in range(len(names), len(names) - 1 if only_all else 0, -1):
        yield from itertools.permutations(names, number)


def _is_chain(order: Sequence[str], places: Mapping[str, list[dict[str, Tensor]]]) -> bool:
    """Return True if all layers are of one shape and each reads the hidden state of the one below."""
    layers = [layer for place in order for layer in places[place]]
    square = {layer["weight_hh"].shape for layer in layers if "weight_hh" in layer}
    if len(square) != 1 or any(layer.get("weight_ih") is None or layer["weight_ih"].dim() != 2 for layer in layers):
        return False
    hidden_size = next(iter(square))[-1]
    return all(layer["weight_ih"].shape[1] == hidden_size for layer in layers[1:])


def _place_of(name: str, places: Mapping[str, Any]) -> str:
    inside = (f"{name}.", f"{name}/")
    found = [place for place in places if place.endswith((f".{name}", f"/{name}")) or f"{place}.".startswith(inside)]
    exactly = [place for place in found if place == name] or found
    if len(exactly) != 1:
        raise UsageError(
            f"{len(exactly)} recurrent modules named {name!r} among {', '.join(places)}", remedy="give full names."
        )
    return exactly[0]


def _has_biases(layers: Sequence[Mapping[str, Tensor]]) -> bool:
    return any(name.startswith("bias") for layer in layers for name in layer)


def _layer(found: Mapping[str, Tensor], number: int, *, has_biases: bool) -> Layer:
    """Return a layer with all that it needs: biases are everywhere or nowhere."""
    needed = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if has_biases else ("weight_ih", "weight_hh")
    for name in needed:
        if name not in found:
            raise UsageError(f"{name}_l{number} is missing, expected with the others of its layer", remedy=REMEDY)
    return Layer(**found)


# -- linear maps before and after ------------------------------------------------------------------


def _scaling(others: dict[str, Tensor], names: tuple[str, str] | None, inputs: int) -> Affine | None:
    """Take the fixed scaling of the inputs out of the others."""
    if names is None:
        return None
    shift, scale = (_named(others, name) for name in names)
    return scaling(others.pop(shift), others.pop(scale), inputs)


def _named(others: Mapping[str, Tensor], name: str) -> str:
    found = [full for full in others if full == name or full.endswith(f".{name}")]
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} tensors of the name {name!r} for input_scaling among {shapes(others)}",
            remedy="give the full names of two of them: what is subtracted, and what the difference is divided by.",
        )
    return found[0]


def _embedding(others: dict[str, Tensor], roles: Roles, inputs: int) -> Affine | None:
    """Take the embedding that makes the RNN's inputs out of the others."""
    fitting = [name for name, tensor in others.items() if roles.is_embedding(name) and _has_columns(tensor, inputs)]
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} embeddings of {inputs} numbers: {', '.join(fitting)}", remedy=REMEDY)
    return embedding(others.pop(fitting[0])) if fitting else None


def _has_columns(tensor: Tensor, columns: int) -> bool:
    return tensor.dim() == 2 and tensor.shape[1] == columns


HeadsAndFront = tuple[Affine, Affine | None, tuple[str, ...]]


def _heads_and_fronts(
    others: Mapping[str, Tensor], roles: Roles, hidden_size: int, inputs: int
) -> Iterator[HeadsAndFront]:
    """Yield the readout, the linear layer in front if any, and assumptions, in every way that uses all tensors.

    Raises:
        UsageError: if there is no way; or there are several, and no answers to choose by.
    """
    linear = [name for name, one in others.items() if roles.is_linear(name) and one.dim() == 2]
    fitting = [name for name in linear if others[name].shape[1] == hidden_size]
    fronts = [name for name in linear if others[name].shape[0] == inputs] if roles.are_answers_known else []
    if not fitting:
        raise _no_readout(others, hidden_size)
    if len(fitting) > 1 and not roles.are_answers_known and _may_follow(others, fitting):
        raise _stands_between(others)
    failure: UsageError | None = None
    found = 0
    for front in (None, *fronts):
        heads = [name for name in fitting if name != front]
        for used in _head_orders(heads, roles) if heads else ():
            try:
                _require_nothing_else(_rest(others, {*used, front}), hidden_size, others)
            except UsageError as error:
                failure = failure or error
                continue
            found += 1
            is_guess = len(used) > 1 and not roles.are_answers_known
            owners = ", ".join(map(_owner, used))
            assumed = (f"the outputs are those of {owners} beside each other, in this order",) if is_guess else ()
            yield (
                stacked([_affine(others, name) for name in used]),
                None if front is None else _affine(others, front),
                assumed,
            )
    if not found:
        raise failure or _no_readout(others, hidden_size)


def _head_orders(heads: Sequence[str], roles: Roles) -> Iterator[tuple[str, ...]]:
    """Yield the orders in which parallel heads can lie beside each other: that of the tensors, then others."""
    yield tuple(heads)
    if roles.are_answers_known and 1 < len(heads) <= _MOST_HEADS:
        yield from (order for order in itertools.permutations(heads) if order != tuple(heads))


def _may_follow(others: Mapping[str, Tensor], heads: Sequence[str]) -> bool:
    """Return True if one head may read the outputs of another, as in a perceptron, instead of lying beside it."""
    return any(others[name].shape[0] == others[name].shape[1] for name in heads)


def _affine(others: Mapping[str, Tensor], name: str) -> Affine:
    return Affine(weight=others[name], bias=others.get(f"{_owner(name)}.bias".removeprefix(".")))


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _rest(others: Mapping[str, Tensor], used: set[str | None]) -> dict[str, Tensor]:
    biases = {f"{_owner(name)}.bias".removeprefix(".") for name in used if name is not None}
    return {name: one for name, one in others.items() if name not in used and name not in biases}


def _no_readout(others: Mapping[str, Tensor], hidden_size: int) -> UsageError:
    return UsageError(
        f"0 linear readouts with {hidden_size} inputs, beside the recurrent module there is: {shapes(others)}",
        remedy=REMEDY,
    )


def _stands_between(others: Mapping[str, Tensor]) -> UsageError:
    return UsageError(
        f"several linear layers after the recurrent module, one above another or beside each other: {shapes(others)}",
        remedy=f"{_BLACK_BOX} If the outputs do not depend on some of them (a critic), leave these out with "
        "ignore=('critic.*',).",
    )


_BLACK_BOX = (
    "a head of several layers is not part of an RNN with a linear readout: probe the module as it is, as a black "
    "box: ModuleBlackBox(module, input_size=..., output_size=..., input_kind=..., output_kind=...)."
)


def _require_nothing_else(rest: Mapping[str, Tensor], hidden_size: int, others: Mapping[str, Tensor]) -> None:
    """Refuse an encoder in front, a second head, a learned first state: left out, the function would change."""
    if not rest:
        return
    advice = (
        "give the recurrent module and its readout alone; "
        "leave out what the outputs do not depend on, with ignore=('name.*',)."
    )
    if all(_STATE_NAME.search(name) and tensor.shape[-1:] == (hidden_size,) for name, tensor in rest.items()):
        advice = (
            "an initial state cannot be folded into weights: read the RNN with it in ignore=(...), a module also with "
            "verify=False, and give the state to StackBlackBox(stack, first_state=...), which a probing encoder can "
            "embed."
        )
    elif any(one.dim() == 2 and _owner(name) for name, one in rest.items()) and _is_perceptron(rest, others):
        raise _stands_between(others)
    raise UsageError(f"beside the recurrent module and its readout there is: {shapes(rest)}", remedy=advice)


def _is_perceptron(rest: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """Return True if a linear layer that is left over reads the outputs of another one."""
    rows = {len(one) for name, one in others.items() if name not in rest and one.dim() == 2}
    return any(one.dim() == 2 and one.shape[1] in rows for one in rest.values())


def shapes(tensors: Mapping[str, Any]) -> str:
    """Return the first few names with their shapes, for error texts."""
    shown = [f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return (", ".join(shown[:8]) or "no tensors at all") + more
