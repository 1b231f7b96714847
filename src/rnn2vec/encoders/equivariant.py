"""Linear layers on weight tensors that are equivariant to permutations of hidden units, built from a table of terms.

An equivariant linear map between feature maps is a sum of *terms*. Each term takes a view of a source (`feature_maps`),
multiplies the features by a matrix, and adds the result to a *place* of the target: at the entry with the same two
indices, along rows or columns, everywhere, or on the diagonal.

The set of terms is the only difference between `dwsnet` (`dws`) and `dwsnet-complete` (`dws_complete`); this file has
the arithmetic that both share. The rejected alternative is code for each combination, as in Zhou et al. (2023), which
is hard to check against the formula.

The table defines the result, not the number of operations. Maps along the same index are computed as one product, even
for different targets, with zeros for the sources that a map does not use. The maps of entries, which are as large as
the weights, are computed in one pass together with everything that is added to them (`entries`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnn2vec.encoders.entries import WithMeans, linear_on_entries, rectified_on_entries
from rnn2vec.encoders.feature_maps import Feature, Place, Term, Terms, Views, axes
from rnn2vec.rnn.spec import RNNSpec

_DIAGONAL: dict[Place, Place] = {"diagonal": "row", "whole diagonal": "everywhere"}
"""Places on the diagonal, which is a tensor with one axis, and the corresponding places of such a tensor."""


@dataclass(frozen=True)
class _Group:
    """Maps that share terms and are computed as one product."""

    terms: tuple[Term, ...]
    """Union of the terms of the maps."""
    members: tuple[tuple[Feature, Place], ...]
    """Target and place of each map."""


class EquivariantLinear(nn.Module):
    """A linear layer between feature maps: one linear map for each place of each target.

    Args:
        table: terms of each target, at least one.
        channels: number of features of each source.
        out_channels: number of features of each target.
        is_biased: function that decides if the linear map of a place of a target has a bias.
        joint_bound: draw all maps of a target with one bound, see `_draw_jointly`.
    """

    def __init__(
        self,
        table: Mapping[Feature, Terms],
        channels: Mapping[Feature, int],
        out_channels: int,
        *,
        is_biased: Callable[[Feature, Place], bool],
        joint_bound: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.table: dict[Feature, dict[Place, tuple[Term, ...]]] = {
            target: {place: terms for place, terms in places.items() if terms} for target, places in table.items()
        }
        self._channels = dict(channels)
        self._groups = _grouped(self.table)
        self.maps = nn.ModuleDict(
            {
                _module_name(target, place): nn.Linear(
                    sum(channels[term.source] for term in terms), out_channels, is_biased(target, place)
                )
                for target, places in self.table.items()
                for place, terms in places.items()
            }
        )
        if joint_bound:
            for target, places in self.table.items():
                _draw_jointly([self._map(target, place) for place in places])

    def forward(self, features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
        """Compute the feature maps of all targets from those of all sources."""
        views = Views(features)
        parts = self._parts(views)
        return {target: self._target(target, views, parts[target]) for target in self.table}

    def rectified(self, views: Views) -> Views:
        """Compute the ReLU of the feature maps of all targets, for tables without diagonals only."""
        features: dict[Feature, Tensor] = {}
        known: dict[Feature, WithMeans] = {}
        for target, parts in self._parts(views).items():
            if "entry" in self.table[target]:
                known[target] = rectified_on_entries(*self._on_entries(target, views, parts))
                features[target] = known[target][0]
            else:
                features[target] = _spread(parts, views.sizes[target.tensor]).relu()
        return Views(features, known)

    def means(self, views: Views) -> dict[Feature, Tensor]:
        """Compute the mean of each target's feature map, `(N, C)`, without computing the map.

        The layer is linear, so the mean of a target is the sum of the same linear maps applied to the means of its
        views, and the mean of a view equals that of its source. This holds for tables without diagonals only.
        """
        result: dict[Feature, Tensor] = {}
        for target, parts in self._parts(views.mean).items():
            means = list(parts.values())
            if "entry" in self.table[target]:
                seen = _side_by_side(self.table[target]["entry"], views.mean)
                means.append(self._map(target, "entry")(seen))
            result[target] = torch.stack(means).sum(dim=0)
        return result

    def _parts(self, see: Callable[[Term], Tensor]) -> dict[Feature, dict[Place, Tensor]]:
        """Apply all maps except those of entries, group by group, to the views of their terms."""
        parts: dict[Feature, dict[Place, Tensor]] = {target: {} for target in self.table}
        for group in self._groups:
            made = nn.functional.linear(_side_by_side(group.terms, see), *self._side_by_side_maps(group))
            for (target, place), part in zip(group.members, made.split(self.out_channels, dim=-1), strict=True):
                parts[target][place] = part
        return parts

    def _side_by_side_maps(self, group: _Group) -> tuple[Tensor, Tensor]:
        """Join the weights and biases of a group's maps, with zeros for the terms that a map does not have."""
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for target, place in group.members:
            linear, terms = self._map(target, place), self.table[target][place]
            blocks = dict(zip(terms, linear.weight.split(self._widths(terms), dim=1), strict=True))
            zeros = (linear.weight.new_zeros(self.out_channels, width) for width in self._widths(group.terms))
            weights.append(torch.cat([blocks.get(*pair) for pair in zip(group.terms, zeros, strict=True)], dim=1))
            bias = _bias(linear)
            biases.append(linear.weight.new_zeros(self.out_channels) if bias is None else bias)
        return torch.cat(weights), torch.cat(biases)

    def _widths(self, terms: tuple[Term, ...]) -> list[int]:
        return [self._channels[term.source] for term in terms]

    def _map(self, target: Feature, place: Place) -> nn.Linear:
        linear = self.maps[_module_name(target, place)]
        assert isinstance(linear, nn.Linear)
        return linear

    def _target(self, target: Feature, views: Views, parts: Mapping[Place, Tensor]) -> Tensor:
        size = views.sizes[target.tensor]
        on_diagonal: dict[Place, Tensor] = {there: parts[place] for place, there in _DIAGONAL.items() if place in parts}
        elsewhere: dict[Place, Tensor] = {place: part for place, part in parts.items() if place not in _DIAGONAL}
        if not on_diagonal:
            return self._matrix(target, views, elsewhere)
        diagonal = _spread(on_diagonal, size[:1])
        if elsewhere or "entry" in self.table[target]:
            matrix = self._matrix(target, views, elsewhere)
        else:
            matrix = diagonal.new_zeros(len(diagonal), *size, self.out_channels)
        matrix.diagonal(dim1=1, dim2=2).add_(diagonal.transpose(1, 2))
        return matrix

    def _matrix(self, target: Feature, views: Views, parts: Mapping[Place, Tensor]) -> Tensor:
        """Compute a target without its diagonal places."""
        if "entry" in self.table[target]:
            return linear_on_entries(*self._on_entries(target, views, parts))
        return _spread(parts, views.sizes[target.tensor])

    def _on_entries(
        self, target: Feature, views: Views, parts: Mapping[Place, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Collect the arguments of `linear_on_entries`: input features, weight, and terms for rows and columns."""
        linear = self._map(target, "entry")
        seen = _side_by_side(self.table[target]["entry"], views)
        n, rows, columns, _ = seen.shape
        row = parts["row"] if "row" in parts else seen.new_zeros(n, rows, self.out_channels)
        if "everywhere" in parts:
            row = row + parts["everywhere"].unsqueeze(1)
        bias = _bias(linear)
        if bias is not None:
            row = row + bias
        column = parts["column"] if "column" in parts else seen.new_zeros(n, columns, self.out_channels)
        return seen, linear.weight, row, column


@torch.no_grad()
def _draw_jointly(maps: Sequence[nn.Linear]) -> None:
    """Draw weights and biases uniformly within 1 / sqrt(inputs of all maps), so that their sum has the scale of one."""
    bound = sum(linear.in_features for linear in maps) ** -0.5
    for parameter in (parameter for linear in maps for parameter in linear.parameters()):
        parameter.uniform_(-bound, bound)


def _bias(linear: nn.Linear) -> Tensor | None:
    """Return the bias of a map or None; the annotation of `nn.Linear` ignores that a map may lack one."""
    bias: Tensor | None = getattr(linear, "bias", None)
    return bias


def _grouped(table: Mapping[Feature, Terms]) -> tuple[_Group, ...]:
    """Group the maps of a table that share a term, leaving out those of entries."""
    groups: list[_Group] = []
    for target, places in table.items():
        for place, terms in places.items():
            if place == "entry":
                continue
            touched = [group for group in groups if not set(group.terms).isdisjoint(terms)]
            together = dict.fromkeys(term for group in touched for term in group.terms) | dict.fromkeys(terms)
            members = [member for group in touched for member in group.members]
            groups = [group for group in groups if group not in touched]
            groups.append(_Group(tuple(together), (*members, (target, place))))
    return tuple(groups)


def _side_by_side(terms: tuple[Term, ...], see: Callable[[Term], Tensor]) -> Tensor:
    """Concatenate the views of some terms along the features."""
    seen = [see(term) for term in terms]
    return torch.cat(seen, dim=-1) if len(seen) > 1 else seen[0]


def _module_name(target: Feature, place: Place) -> str:
    return f"{target.tensor}:{target.parity}:{place}".replace(".", "/")  # module names must not have dots


def _spread(parts: Mapping[Place, Tensor], size: tuple[int, ...]) -> Tensor:
    """Add up all parts, each broadcast over the axes that it lacks: `(N, *size, C)`."""
    total: Tensor | None = None
    places: tuple[Place, ...] = ("everywhere", "row", "column")
    for place in places:  # from small to large, so that few additions involve all entries
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
    """Learned vectors that distinguish the inputs and the outputs, which the terms treat alike.

    The vectors are added to a feature map along the axes whose sort is `input` or `output`.

    Args:
        spec: architecture of the RNNs.
        channels: number of features of each feature map; odd feature maps get no vectors.
        deviation: initial standard deviation of the vectors.
    """

    def __init__(self, spec: RNNSpec, channels: Mapping[Feature, int], deviation: float = 0.1) -> None:
        super().__init__()
        numbers = {"input": spec.input_size, "output": spec.output_size}
        self._axis: dict[Feature, int] = {}
        self.vectors = nn.ParameterDict()
        for feature, count in channels.items():
            for axis, sort in enumerate(axes(spec)[feature.tensor]):
                if sort in numbers and "o" not in feature.parity:
                    self._axis[feature] = axis
                    self.vectors[feature.tensor.replace(".", "/")] = nn.Parameter(
                        deviation * torch.randn(numbers[sort], count)
                    )

    def forward(self, features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
        """Add the vectors to the feature maps."""
        identified = dict(features)
        for feature, axis in self._axis.items():
            vectors = self.vectors[feature.tensor.replace(".", "/")]
            is_row_of_matrix = axis == 0 and features[feature].dim() == 4
            identified[feature] = features[feature] + (vectors.unsqueeze(1) if is_row_of_matrix else vectors)
        return identified
