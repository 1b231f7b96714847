"""`dwsnet-complete`: every linear map that commutes with the symmetries of an RNN's hidden units, signs included.

Two things are missing in the published layer (`dws`):

**Terms.** The rows and the columns of W_hh count the same units. Its transpose and its diagonal are therefore
equivariant too: of the 15 basis maps from a square matrix to itself the published layer has 6. Here every view goes
to every place that its indices fit, and nothing else would be equivariant: a test finds the null space of the
constraints and compares. Inputs and outputs are treated as if they could be renumbered as well, and learned vectors
tell them apart (`Identities`); the number of maps would grow with their number otherwise.

**Signs.** tanh is odd. A hidden unit's sign can be flipped by negating what it computes (its rows in the candidate
gate: LSTM `g`, GRU `n`, the only gate of a tanh RNN) and every column that reads it, so that the symmetry group of a
layer is the signed permutations. A feature map here has a *parity* for each axis: odd features change their sign
with their unit's. A term must keep parities: a mean over an odd axis, for one, is no term. Three designs were
considered:

- *Canonical signs* (make each unit's first reading column positive, say) are undefined where that number is zero, and
  jump next to it: a weight that crosses zero in training would throw the representation about.
- *Even features only* (absolute values, squares) are simple, and blind to the relative signs of weights, which matter:
  a unit that two others read with equal signs does something else than one read with opposite signs.
- *Odd and even features*, the choice. ReLU is not odd, but it is (x + |x|) / 2, an odd and an even part. So an odd map
  passes on both apart: x times a gate, which an even map of the same tensor computes, stays odd; |x| joins the even
  maps. Relative signs reach the even maps by way of sums of odd ones: |x + y| - |x - y|.

ReLU RNNs have no such symmetry: all of their features are even, and the gates and absolute values disappear.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.encoders.equivariant import EquivariantLinear, Identities
from rnn2vec.encoders.feature_maps import Feature, Place, Sort, Term, Terms, Views, axes, gates_as_channels
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import candidate_gate

Index = tuple[Sort, str]
"""What an index counts, and the parity of the feature map in it."""


def complete_terms(
    tensors: Mapping[str, tuple[Sort, ...]], sources: Iterable[Feature], targets: Iterable[Feature]
) -> dict[Feature, Terms]:
    """All equivariant terms between feature maps; targets without any are left out.

    Args:
        tensors: the sorts of each tensor's axes.
        sources: feature maps that there are.
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
    """Every view of a feature map, with the indices that it leaves."""
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
    """The terms of each place of a feature map."""
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
    """The parity of what is flipped by both: flipped twice is not flipped."""
    return "e" if one == other else "o"


def parities(spec: RNNSpec, tensor: str, *, signs: bool) -> list[str]:
    """The parities that feature maps of a tensor can have."""
    sorts = axes(spec)[tensor]
    choices = ["eo" if signs and sort.startswith("hidden") else "e" for sort in sorts]
    return ["".join(parity) for parity in itertools.product(*choices)]


def lift(stack: RNNStack, *, signs: bool) -> dict[Feature, Tensor]:
    """Weights as feature maps, gates as features, each with the parity that it has.

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
    """ReLU for feature maps with parities: even maps get what odd maps of their tensor have without the sign.

    An odd map x becomes x times a gate from the even map, and |x| goes to the even map's side.
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
        spec: the architecture of the RNNs.
        interface: not looked at; every encoder has it.
        representation_size: entries of a representation.
        unit_norm: whether representations are scaled to length 1.
        channels: features of each weight, and of each parity.
        num_layers: equivariant layers.
        mlp_size: hidden layer of the MLP.
        signs: be invariant to sign flips too; without, to permutations alone. Makes no difference to ReLU RNNs.
    """

    name = "dwsnet-complete"

    def __init__(
        self,
        spec: RNNSpec,
        *,
        interface: Interface,
        representation_size: int = 16,
        unit_norm: bool = True,
        channels: int = 16,
        num_layers: int = 4,
        mlp_size: int = 128,
        signs: bool = True,
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
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
        self.to_representation = mlp(sum(counts[term.source] for term in self._pooled), mlp_size, representation_size)

    def encode(self, rnns: RNNs) -> Representation:
        """See `WeightEncoder.encode`."""
        assert isinstance(rnns, RNNStack)
        features = lift(rnns, signs=self.signs)
        for identities, layer in zip(self.identities, self.layers, strict=True):
            features = split_relu(layer(identities(features)))
        views = Views(features)
        return self.to_representation(torch.cat([views(term) for term in self._pooled], dim=-1))


def invariants(tensors: Mapping[str, tuple[Sort, ...]], features: Iterable[Feature]) -> list[Term]:
    """All views without an index: what is left of the feature maps when nothing may depend on an order or a sign."""
    return [
        term
        for feature in features
        for remaining, term in _views(feature, tuple(zip(tensors[feature.tensor], feature.parity, strict=True)))
        if not remaining
    ]


def is_biased(target: Feature, place: Place) -> bool:
    """Where a constant is equivariant: everywhere in an even map, on the diagonal where both signs cancel."""
    return place == "whole diagonal" or (place == "everywhere" and "o" not in target.parity)
