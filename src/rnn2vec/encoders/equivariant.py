"""Linear layers on weight tensors that commute with renumbering hidden units, put together from a table of terms.

Every weight tensor of an RNN carries C features per entry: a *feature map* `(N, rows, columns, C)`, or `(N, rows, C)`
for a bias. The axes of the tensors are of few *sorts*: the inputs, the hidden units of each layer, the outputs.
Renumbering the units of a sort moves all axes of that sort together.

A linear map that commutes with it is a sum of *terms*. Each takes one *view* of a source, which leaves two indices
(the map itself or its transpose), one (a mean over rows or columns, a diagonal) or none (the mean of all, of the
diagonal), multiplies the features by a matrix, and puts the result in a *place* of the target: at the entry with the
same two indices, along rows or columns, everywhere, or on the diagonal. Means are taken instead of sums, so that one
layer suits all sizes.

Which terms there are is the whole difference between `dwsnet` (`dws`) and `dwsnet-complete` (`dws_complete`); here is
the arithmetic that both share. Zhou et al. (2023) write each combination out as code instead, which nobody can check
against the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

Sort = str
"""What an axis counts: `input`, `hidden0`, `hidden1`, ..., `output`."""


@dataclass(frozen=True)
class Feature:
    """A feature map: of which tensor, and what flipping the sign of a unit does to it."""

    tensor: str
    """PyTorch's name, such as `rnn.weight_hh_l0`."""
    parity: str
    """For each axis `e` or `o`: even features stay, odd ones change their sign with their unit's (`dws_complete`)."""


View = Literal["itself", "transposed", "mean over columns", "mean over rows", "diagonal", "mean", "trace"]
Place = Literal["entry", "row", "column", "everywhere", "diagonal", "whole diagonal"]


@dataclass(frozen=True)
class Term:
    """One view of one source."""

    source: Feature
    view: View


Terms = Mapping[Place, tuple[Term, ...]]
"""The terms of one target, by the place where they go."""

_VIEWS: dict[View, Callable[[Tensor], Tensor]] = {
    "transposed": lambda features: features.transpose(1, 2),
    "diagonal": lambda features: features.diagonal(dim1=1, dim2=2).transpose(1, 2),
}
_MEANS: dict[View, View] = {"mean": "mean over columns", "trace": "diagonal"}
"""Views without an index are means of a view with one."""
_DIAGONAL: dict[Place, Place] = {"diagonal": "row", "whole diagonal": "everywhere"}
"""A diagonal is a tensor with one axis: what its places are there."""


def axes(spec: RNNSpec) -> dict[str, tuple[Sort, ...]]:
    """The sorts of the axes of each weight tensor, by PyTorch's name."""
    sorts: dict[str, tuple[Sort, ...]] = {}
    for layer in range(spec.num_layers):
        here = f"hidden{layer}"
        below = f"hidden{layer - 1}" if layer else "input"
        sorts[f"rnn.weight_ih_l{layer}"] = (here, below)
        sorts[f"rnn.weight_hh_l{layer}"] = (here, here)
        sorts[f"rnn.bias_ih_l{layer}"] = (here,)
        sorts[f"rnn.bias_hh_l{layer}"] = (here,)
    sorts["readout.weight"] = ("output", f"hidden{spec.num_layers - 1}")
    sorts["readout.bias"] = ("output",)
    return sorts


def gates_as_channels(stack: RNNStack) -> dict[str, Tensor]:
    """Each weight tensor with its gates as the last axis: `(N, H, columns, gates)`; the readout has one."""
    result: dict[str, Tensor] = {}
    for name, weight in stack.weights.items():
        gates = 1 if name.startswith("readout") else stack.spec.num_gates
        result[name] = weight.unflatten(1, (gates, -1)).movedim(1, -1)
    return result


class Views:
    """Views of feature maps, each computed once."""

    def __init__(self, features: Mapping[Feature, Tensor]) -> None:
        self._features = features
        self._seen: dict[Term, Tensor] = {}
        self._means: dict[Feature, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, term: Term) -> Tensor:
        """What a term sees: `(N, rows, columns, C)`, `(N, rows, C)` or `(N, C)`."""
        if term not in self._seen:
            self._seen[term] = self._compute(term)
        return self._seen[term]

    def _compute(self, term: Term) -> Tensor:
        features = self._features[term.source]
        if term.view in _MEANS:
            one_index = features if features.dim() == 3 else self(Term(term.source, _MEANS[term.view]))
            return one_index.mean(dim=1)
        if features.dim() == 3:
            return features
        whole, over_columns, over_rows = self._with_means(term.source)
        kept: dict[View, Tensor] = {
            "itself": whole,
            "mean over columns": over_columns,
            "mean over rows": over_rows,
        }
        return kept[term.view] if term.view in kept else _VIEWS[term.view](whole)

    def _with_means(self, source: Feature) -> tuple[Tensor, Tensor, Tensor]:
        if source not in self._means:
            self._means[source] = _WithMeans.apply(self._features[source])  # pyright: ignore[reportArgumentType]
        return self._means[source]


class _WithMeans(torch.autograd.Function):
    """A matrix, its mean over columns and its mean over rows.

    Autograd by itself writes out the gradient of each mean in the size of the matrix, and then adds them up: five
    passes over memory, and an encoder of these layers does little else than pass over memory. Here it is two.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.size = features.shape
        return features.view_as(features), features.mean(dim=2), features.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, whole: Tensor | None, over_columns: Tensor | None, over_rows: Tensor | None
    ) -> Tensor | None:
        _, rows, columns, _ = ctx.size
        parts: list[Tensor] = []
        if over_columns is not None:
            parts.append((over_columns / columns).unsqueeze(2))
        if over_rows is not None:
            parts.append((over_rows / rows).unsqueeze(1))
        if not parts:
            return whole
        total = (parts[0] + parts[1] if len(parts) == 2 else parts[0]).expand(ctx.size)
        if whole is None:
            return total
        return total.add_(whole) if len(parts) == 2 else total + whole


class EquivariantLinear(nn.Module):
    """A linear layer between feature maps: one linear map for each place of each target.

    Args:
        table: the terms of each target, at least one.
        channels: features of each source.
        out_channels: features of each target.
        is_biased: whether the linear map of a place of a target has a bias.
    """

    def __init__(
        self,
        table: Mapping[Feature, Terms],
        channels: Mapping[Feature, int],
        out_channels: int,
        *,
        is_biased: Callable[[Feature, Place], bool],
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.table: dict[Feature, dict[Place, tuple[Term, ...]]] = {
            target: {place: terms for place, terms in places.items() if terms} for target, places in table.items()
        }
        self.maps = nn.ModuleDict(
            {
                _module_name(target, place): nn.Linear(
                    sum(channels[term.source] for term in terms), out_channels, is_biased(target, place)
                )
                for target, places in self.table.items()
                for place, terms in places.items()
            }
        )

    def forward(self, features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
        """The feature maps of all targets from those of all sources."""
        views = Views(features)
        sizes = {source.tensor: tuple(source_map.shape[1:-1]) for source, source_map in features.items()}
        return {target: self._target(target, views, sizes[target.tensor]) for target in self.table}

    def means(self, features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
        """The mean of each target's feature map, `(N, C)`, without computing the map.

        The layer is linear, so that the mean of a target is made of the same linear maps of the means of its views,
        and the mean of a view is that of its source. Only tables without diagonals will do.
        """
        views = Views(features)
        result: dict[Feature, Tensor] = {}
        for target, places in self.table.items():
            parts: list[Tensor] = []
            for place, terms in places.items():
                means = torch.cat([views(Term(term.source, "mean")) for term in terms], dim=-1)
                parts.append(self.maps[_module_name(target, place)](means))
            result[target] = torch.stack(parts).sum(dim=0)
        return result

    def _target(self, target: Feature, views: Views, size: tuple[int, ...]) -> Tensor:
        parts: dict[Place, Tensor] = {}
        for place, terms in self.table[target].items():
            if place != "entry":
                parts[place] = self.maps[_module_name(target, place)](_side_by_side(terms, views))
        on_diagonal: dict[Place, Tensor] = {
            there: parts.pop(place) for place, there in _DIAGONAL.items() if place in parts
        }
        if not on_diagonal:
            return self._matrix(target, views, parts, size)
        diagonal = _spread(on_diagonal, size[:1])
        if parts or "entry" in self.table[target]:
            matrix = self._matrix(target, views, parts, size)
        else:
            matrix = diagonal.new_zeros(len(diagonal), *size, self.out_channels)
        matrix.diagonal(dim1=1, dim2=2).add_(diagonal.transpose(1, 2))
        return matrix

    def _matrix(self, target: Feature, views: Views, parts: dict[Place, Tensor], size: tuple[int, ...]) -> Tensor:
        """All but the diagonal. The product for the entries, the largest, is added to the rest as it is made."""
        terms = self.table[target].get("entry", ())
        if not terms:
            return _spread(parts, size)
        linear, seen = self.maps[_module_name(target, "entry")], _side_by_side(terms, views)
        assert isinstance(linear, nn.Linear)
        if not parts:
            return linear(seen)
        rest = _spread(parts, size, linear.bias)
        return torch.addmm(rest.flatten(0, -2), seen.flatten(0, -2), linear.weight.T).view_as(rest)


def _side_by_side(terms: tuple[Term, ...], views: Views) -> Tensor:
    """What some terms see, as the features of one tensor."""
    seen = [views(term) for term in terms]
    return torch.cat(seen, dim=-1) if len(seen) > 1 else seen[0]


def _module_name(target: Feature, place: Place) -> str:
    return f"{target.tensor}:{target.parity}:{place}".replace(".", "/")  # a module's name has no dots


def _spread(parts: Mapping[Place, Tensor], size: tuple[int, ...], bias: Tensor | None = None) -> Tensor:
    """The sum of all parts, each spread over the axes that it lacks, and of a bias: `(N, *size, C)`."""
    total = bias
    places: tuple[Place, ...] = ("everywhere", "row", "column")
    for place in places:  # from small to large: few additions are on all entries
        if place not in parts:
            continue
        part = parts[place]
        if place == "everywhere":
            part = part.unflatten(1, (*(1 for _ in size), -1))
        elif len(size) == 2:
            part = part.unsqueeze(2 if place == "row" else 1)
        total = part if total is None else total + part
    assert total is not None
    if tuple(total.shape[1:-1]) != size:
        total = total.expand(-1, *size, -1).contiguous()
    return total


class Identities(nn.Module):
    """What tells one input or output from another, though terms treat them alike: a learned vector for each.

    The vectors are added to a feature map along the axes whose sort is `input` or `output`.

    Args:
        spec: the architecture of the RNNs.
        channels: features of each feature map; those that are odd in a sign are left out.
    """

    def __init__(self, spec: RNNSpec, channels: Mapping[Feature, int]) -> None:
        super().__init__()
        numbers = {"input": spec.input_size, "output": spec.output_size}
        self._axis: dict[Feature, int] = {}
        self.vectors = nn.ParameterDict()
        for feature, count in channels.items():
            for axis, sort in enumerate(axes(spec)[feature.tensor]):
                if sort in numbers and "o" not in feature.parity:
                    self._axis[feature] = axis
                    self.vectors[feature.tensor.replace(".", "/")] = nn.Parameter(
                        0.1 * torch.randn(numbers[sort], count)
                    )

    def forward(self, features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
        """The feature maps with the vectors added."""
        told = dict(features)
        for feature, axis in self._axis.items():
            vectors = self.vectors[feature.tensor.replace(".", "/")]
            is_row_of_matrix = axis == 0 and features[feature].dim() == 4
            told[feature] = features[feature] + (vectors.unsqueeze(1) if is_row_of_matrix else vectors)
        return told
