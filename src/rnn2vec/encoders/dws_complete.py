"""`dwsnet-complete`: every linear map that is equivariant to the symmetries of an RNN's hidden units, signs included.

The published layer (`dws`) lacks two things:

**Terms.** The rows and the columns of W_hh index the same units, so its transpose and its diagonal are equivariant too:
of the 15 basis maps from a square matrix to itself, the published layer has 6. Here every view goes to every place that
its indices fit. No other map is equivariant: a test computes the null space of the constraints and compares. Inputs and
outputs are treated as if they could be permuted as well, and learned vectors distinguish them (`Identities`); otherwise
the number of maps would grow with the number of inputs and outputs.

**Signs.** tanh is odd. A hidden unit's sign can be flipped by negating what it computes (its rows in the candidate
gate: LSTM `g`, GRU `n`, the only gate of a tanh RNN) and every column that reads it, so the symmetry group of a layer
is the group of signed permutations. A feature map here has a *parity* for each axis: odd features change sign with
their unit. A term must preserve parities; a mean over an odd axis, for example, is not a term. Three designs were
considered:

- *Canonical signs* (for example, making each unit's first outgoing weight positive) are undefined where that weight is
  zero and discontinuous there: the representation would jump when a weight crosses zero in training.
- *Even features only* (absolute values, squares) are simple but blind to the relative signs of weights, which matter:
  a unit that two others read with equal signs does not act like one that they read with opposite signs.
- *Odd and even features*, our choice. ReLU is not odd, but it is (x + |x|) / 2, the sum of an odd and an even part. An
  odd map therefore passes on both parts separately: x times a gate, which an even map of the same tensor computes,
  stays odd, and |x| joins the even maps. Relative signs reach the even maps by sums of odd ones: |x + y| - |x - y|.

ReLU RNNs lack this symmetry: all their features are even, and there are no gates or absolute values.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.encoders.equivariant import EquivariantLinear, Identities
from rnn2vec.encoders.feature_maps import (
    Feature,
    Place,
    Sort,
    Term,
    Terms,
    Views,
    axes,
    gates_as_channels,
    layout_obstacle,
)
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import candidate_gate

Index = tuple[Sort, str]
"""Sort of an index, and the parity of the feature map along it."""


def complete_terms(
    tensors: Mapping[str, tuple[Sort, ...]], sources: Iterable[Feature], targets: Iterable[Feature]
) -> dict[Feature, Terms]:
    """List all equivariant terms between feature maps, omitting targets without terms.

    Args:
        tensors: sorts of each tensor's axes.
        sources: available feature maps.
        targets: feature maps to compute.
    """
    matrices: defaultdict[tuple[Index, ...], list[Term]] = defaultdict(list)
    vectors: defaultdict[Index, list[Term]] = defaultdict(list)
    scalars: list[Term] = []
    for source in sources:
        indices = tuple(zip(tensors[source.tensor], source.parity, strict=True))
        for remaining, term in _views(source, indices):
            if len(remaining) == 2:
                matrices[remaining].append(term)
            elif len(remaining) == 1:
                vectors[remaining[0]].append(term)
            else:
                scalars.append(term)
    table: dict[Feature, Terms] = {}
    for target in targets:
        indices = tuple(zip(tensors[target.tensor], target.parity, strict=True))
        table[target] = _places(indices, matrices, vectors, scalars)
    return {target: places for target, places in table.items() if any(places.values())}


def _views(source: Feature, indices: tuple[Index, ...]) -> Iterable[tuple[tuple[Index, ...], Term]]:
    """Yield every equivariant view of a feature map, with the indices that remain."""
    even = [parity == "e" for _, parity in indices]
    yield indices, Term(source, "itself")
    if all(even):
        yield (), Term(source, "mean")
    if len(indices) == 1:
        return
    (row, row_parity), (column, column_parity) = indices
    if even[1]:
        yield indices[:1], Term(source, "mean over columns")
    if even[0]:
        yield indices[1:], Term(source, "mean over rows")
    if row == column:
        product = _product(row_parity, column_parity)
        yield indices[::-1], Term(source, "transposed")
        yield ((row, product),), Term(source, "diagonal")
        if product == "e":
            yield (), Term(source, "trace")


def _places(
    indices: tuple[Index, ...],
    matrices: defaultdict[tuple[Index, ...], list[Term]],
    vectors: defaultdict[Index, list[Term]],
    scalars: list[Term],
) -> Terms:
    """Collect the terms of each place of a feature map."""
    even = [parity == "e" for _, parity in indices]
    places: dict[Place, tuple[Term, ...]] = {"everywhere": tuple(scalars) * all(even)}
    if len(indices) == 1:
        return {**places, "row": tuple(vectors[indices[0]])}
    (row, row_parity), (column, column_parity) = indices
    places["entry"] = tuple(matrices[indices])
    places["row"] = tuple(vectors[indices[0]]) * even[1]
    places["column"] = tuple(vectors[indices[1]]) * even[0]
    if row == column:
        product = _product(row_parity, column_parity)
        places["diagonal"] = tuple(vectors[row, product])
        places["whole diagonal"] = tuple(scalars) * (product == "e")
    return places


def _product(one: str, other: str) -> str:
    """Return the parity of a product, in which two sign flips cancel."""
    return "e" if one == other else "o"


def parities(spec: RNNSpec, tensor: str, *, signs: bool) -> list[str]:
    """List the parities that feature maps of a tensor can have."""
    sorts = axes(spec)[tensor]
    choices = ["eo" if signs and sort.startswith("hidden") else "e" for sort in sorts]
    return ["".join(parity) for parity in itertools.product(*choices)]


def lift(stack: RNNStack, *, signs: bool) -> dict[Feature, Tensor]:
    """Turn weights into feature maps with their parities, and gates into features.

    The candidate gate is odd in the units that it computes, and every weight is odd in a unit that it reads.
    """
    candidate = candidate_gate(stack.spec.cell) if signs else None
    features: dict[Feature, Tensor] = {}
    for name, weight in gates_as_channels(stack).items():
        reads_units = candidate is not None and "weight" in name and name != "rnn.weight_ih_l0"
        columns = ("o" if reads_units else "e") * ("weight" in name)
        if candidate is None or name.startswith("readout"):
            features[Feature(name, "e" + columns)] = weight
            continue
        others = [gate for gate in range(stack.spec.num_gates) if gate != candidate]
        if others:
            features[Feature(name, "e" + columns)] = weight[..., others]
        features[Feature(name, "o" + columns)] = weight[..., [candidate]]
    return features


def split_relu(features: Mapping[Feature, Tensor]) -> dict[Feature, Tensor]:
    """Apply the equivalent of ReLU to feature maps with parities.

    An odd map x becomes x times a gate computed from the even map of the same tensor, and |x| is appended to the even
    map.
    """
    result: dict[Feature, Tensor] = {}
    for feature, feature_map in features.items():
        if "o" in feature.parity:
            gate = features[Feature(feature.tensor, "e" * len(feature.parity))]
            result[feature] = feature_map * gate.sigmoid()
        else:
            odd = [other_map.abs() for other, other_map in features.items() if _is_odd_beside(other, feature)]
            result[feature] = torch.cat([feature_map.relu(), *odd], dim=-1)
    return result


def _is_odd_beside(other: Feature, even: Feature) -> bool:
    return other.tensor == even.tensor and other != even


class CompleteDWSNet(WeightEncoder):
    """Layers of all equivariant terms, a mean over each tensor and each diagonal, and an MLP.

    Args:
        spec: architecture of the RNNs.
        channels: number of features per weight and parity.
        num_layers: number of equivariant layers.
        mlp_size: number of hidden units of the MLP.
        signs: be invariant to sign flips as well as permutations; has no effect for ReLU RNNs.
        **options: arguments of `WeightEncoder`.
    """

    name = "dwsnet-complete"

    def __init__(
        self,
        spec: RNNSpec,
        *,
        channels: int = 16,
        num_layers: int = 4,
        mlp_size: int = 128,
        signs: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        self.signs = signs and candidate_gate(spec.cell) is not None
        tensors = axes(spec)
        targets = [Feature(tensor, parity) for tensor in tensors for parity in parities(spec, tensor, signs=self.signs)]
        blank = RNNStack.from_flat(spec, torch.zeros(1, spec.num_parameters))
        counts = {feature: values.shape[-1] for feature, values in lift(blank, signs=self.signs).items()}
        self.identities = nn.ModuleList()
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            self.identities.append(Identities(spec, counts))
            table = complete_terms(tensors, counts, targets)
            self.layers.append(EquivariantLinear(table, counts, channels, is_biased=is_biased))
            activated = split_relu({target: torch.zeros(0, channels) for target in targets})
            counts = {target: values.shape[-1] for target, values in activated.items()}
        self._pooled = invariants(tensors, targets)
        self.to_representation = mlp(
            sum(counts[term.source] for term in self._pooled), mlp_size, self.representation_size
        )

    @classmethod
    def obstacle(cls, spec: RNNSpec) -> str | None:
        """See `WeightEncoder.obstacle`."""
        return layout_obstacle(spec)

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs as `WeightEncoder.encode` defines."""
        assert isinstance(rnns, RNNStack)
        features = lift(rnns, signs=self.signs)
        for identities, layer in zip(self.identities, self.layers, strict=True):
            features = split_relu(layer(identities(features)))
        views = Views(features)
        return self.to_representation(torch.cat([views(term) for term in self._pooled], dim=-1))


def invariants(tensors: Mapping[str, tuple[Sort, ...]], features: Iterable[Feature]) -> list[Term]:
    """List all views without an index, which depend neither on the order of units nor on their signs."""
    return [
        term
        for feature in features
        for remaining, term in _views(feature, tuple(zip(tensors[feature.tensor], feature.parity, strict=True)))
        if not remaining
    ]


def is_biased(target: Feature, place: Place) -> bool:
    """Check if a constant is equivariant: everywhere in an even map, and on the diagonal, where both signs cancel."""
    return place == "whole diagonal" or (place == "everywhere" and "o" not in target.parity)
