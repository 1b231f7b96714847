"""DWSNet and its completion: equivariant layers, invariant encoders, and nothing missing in the second one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec import encoders
from rnn2vec.encoders import dws, dws_complete
from rnn2vec.encoders.base import WeightEncoder, count_parameters
from rnn2vec.encoders.dws_complete import complete_terms, lift, parities, split_relu
from rnn2vec.encoders.equivariant import EquivariantLinear
from rnn2vec.encoders.feature_maps import Feature, Term, Terms, Views, axes, gates_as_channels
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import flip_randomly, permute_randomly

LANGUAGES = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
DIGITS = RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10)
CELLS = TORCH_CELLS
NAMES = ["dwsnet", "dwsnet-complete"]
SWAP = torch.tensor([2, 0, 1, 4, 3])
MakeRNNs = Callable[..., RNNStack]
Units = Mapping[str, tuple[Tensor, Tensor]]
"""Permutations and signs of the units, by the sort of axis."""
quick = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _spec(cell: CellName, num_layers: int, hidden_size: int = 5) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=hidden_size, num_layers=num_layers, output_size=3)


def _encoder(name: str, spec: RNNSpec, **options: bool) -> WeightEncoder:
    return encoders.build(name, spec, channels=6, num_layers=2, mlp_size=8, **options).double()


def _moved(encoder: WeightEncoder, one: RNNStack, other: RNNStack) -> float:
    return (encoder(one) - encoder(other)).abs().max().item()


def _acted(spec: RNNSpec, features: Mapping[Feature, Tensor], units: Units) -> dict[Feature, Tensor]:
    """Permute and flip the units of feature maps, directly by the definition."""
    result: dict[Feature, Tensor] = {}
    for feature, feature_map in features.items():
        moved = feature_map
        for axis, (sort, parity) in enumerate(zip(axes(spec)[feature.tensor], feature.parity, strict=True), 1):
            order, signs = units[sort]
            moved = moved.index_select(axis, order)
            if parity == "o":
                moved = moved * signs.view(-1, *(1 for _ in range(moved.dim() - axis - 1)))
        result[feature] = moved
    return result


def _sizes(spec: RNNSpec) -> dict[str, int]:
    hidden = {f"hidden{layer}": spec.hidden_size for layer in range(spec.num_layers)}
    return {"input": spec.input_size, **hidden, "output": spec.output_size}


def _random_units(spec: RNNSpec, seed: int, *, everything: bool) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    units: dict[str, tuple[Tensor, Tensor]] = {}
    for sort, size in _sizes(spec).items():
        moves = everything or sort.startswith("hidden")
        order = torch.randperm(size, generator=generator) if moves else torch.arange(size)
        units[sort] = order, 2.0 * torch.randint(2, (size,), generator=generator).double() - 1
    return units


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "expected"), [(LANGUAGES, 1_279_736), (DIGITS, 1_282_400)])
def test_the_parameters_are_the_papers_to_the_last(spec: RNNSpec, expected: int) -> None:
    assert count_parameters(encoders.build("dwsnet", spec)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_they_do_not_grow_with_the_rnns(name: str) -> None:
    small, large = (count_parameters(_encoder(name, _spec("lstm", 2, size))) for size in (5, 50))
    assert small == large


# -- the table -------------------------------------------------------------------------------------


def _written(places: Terms) -> dict[str, list[str]]:
    return {
        place: [f"{term.source.tensor} {term.view}" for term in terms]
        for place, terms in places.items()
        if place != "everywhere"
    }


def test_the_table_written_out_for_the_lower_of_two_layers() -> None:
    table = dws.terms(LANGUAGES)
    units = ["rnn.weight_ih_l0 mean over columns", "rnn.bias_ih_l0 itself", "rnn.weight_hh_l0 mean over columns"]
    units += ["rnn.bias_hh_l0 itself", "rnn.weight_hh_l0 mean over rows", "rnn.weight_ih_l1 mean over rows"]
    assert _written(table[Feature("rnn.weight_ih_l0", "ee")]) == {
        "entry": ["rnn.weight_ih_l0 itself"],
        "column": ["rnn.weight_ih_l0 mean over rows"],
        "row": units,
    }
    assert _written(table[Feature("rnn.bias_ih_l0", "e")]) == {"row": units}
    assert _written(table[Feature("rnn.bias_hh_l0", "e")]) == {"row": units[2:]}


def test_the_table_written_out_for_the_readout_and_what_it_reads() -> None:
    table = dws.terms(LANGUAGES)
    assert _written(table[Feature("readout.weight", "ee")]) == {
        "entry": ["readout.weight itself"],
        "column": [
            "readout.weight mean over rows",
            "rnn.weight_ih_l1 mean over columns",
            "rnn.bias_ih_l1 itself",
            "rnn.weight_hh_l1 mean over columns",
            "rnn.bias_hh_l1 itself",
            "rnn.weight_hh_l1 mean over rows",
        ],
        "row": ["readout.weight mean over columns", "readout.bias itself"],
    }
    read_by_readout = Term(Feature("readout.weight", "ee"), "mean over rows")
    assert read_by_readout not in table[Feature("rnn.weight_hh_l1", "ee")]["row"]  # as in the released code
    assert read_by_readout in table[Feature("rnn.weight_ih_l1", "ee")]["row"]


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_the_mean_of_every_tensor_goes_everywhere(num_layers: int) -> None:
    spec = _spec("gru", num_layers)
    table = dws.terms(spec)
    assert len(table) == 4 * num_layers + 2
    for places in table.values():
        assert [term.source.tensor for term in places["everywhere"]] == list(spec.parameter_shapes)


# -- equivariant layers ----------------------------------------------------------------------------


@given(cell=st.sampled_from(CELLS), num_layers=st.integers(1, 3), size=st.integers(1, 6), seed=st.integers(0, 10**6))
@quick
def test_a_layer_of_dwsnet_commutes_with_renumbering(
    random_rnns: MakeRNNs, cell: CellName, num_layers: int, size: int, seed: int
) -> None:
    spec = _spec(cell, num_layers, size)
    layer = _encoder("dwsnet", spec).layers[0]
    weights = gates_as_channels(random_rnns(spec, 2, torch.float64))
    channels = {
        dws.even(spec, name): weight.expand(*weight.shape[:-1], spec.num_gates) for name, weight in weights.items()
    }
    units = _random_units(spec, seed, everything=True)
    before, after = layer(_acted(spec, channels, units)), _acted(spec, layer(channels), units)
    for feature, feature_map in after.items():
        torch.testing.assert_close(before[feature], feature_map, rtol=0, atol=1e-12)


@given(
    cell=st.sampled_from(CELLS),
    num_layers=st.integers(1, 3),
    size=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    signs=st.booleans(),
)
@quick
def test_the_layers_of_the_complete_one_commute_with_signed_permutations(
    random_rnns: MakeRNNs, cell: CellName, num_layers: int, size: int, seed: int, signs: bool
) -> None:
    spec = _spec(cell, num_layers, size)
    encoder = _encoder("dwsnet-complete", spec, signs=signs)
    features = lift(random_rnns(spec, 2, torch.float64), signs=encoder.signs)
    units = _random_units(spec, seed, everything=True)
    moved = _acted(spec, features, units)
    for layer in encoder.layers:
        features, moved = split_relu(layer(features)), split_relu(layer(moved))
        for feature, feature_map in _acted(spec, features, units).items():
            torch.testing.assert_close(moved[feature], feature_map, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_lifted_weights_have_the_parities_of_the_symmetry(random_rnns: MakeRNNs, cell: CellName) -> None:
    """Check that sign flips of the RNN flip the feature maps as their parities say."""
    spec = _spec(cell, 2)
    stack = random_rnns(spec, 2, torch.float64)
    flipped = RNNStack(spec, flip_randomly(spec, stack.weights, torch.Generator().manual_seed(3)))
    for feature, feature_map in lift(flipped, signs=True).items():
        original = lift(stack, signs=True)[feature]
        assert torch.equal(feature_map.abs(), original.abs())
        assert ("o" in feature.parity) == (not torch.equal(feature_map, original))


@pytest.mark.parametrize("cell", CELLS)
def test_the_mean_of_the_last_layer_is_computed_without_the_layer(random_rnns: MakeRNNs, cell: CellName) -> None:
    spec = _spec(cell, 2)
    encoder = _encoder("dwsnet", spec)
    features = encoder.identities[0](encoder.features(random_rnns(spec, 2, torch.float64)))
    whole, means = encoder.layers[0](features), encoder.layers[0].means(Views(features))
    for feature, feature_map in whole.items():
        torch.testing.assert_close(feature_map.flatten(1, -2).mean(dim=1), means[feature], rtol=0, atol=1e-12)


# -- invariant encoders ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(cell=st.sampled_from(CELLS), num_layers=st.integers(1, 3), size=st.integers(1, 7), seed=st.integers(0, 10**6))
@quick
def test_unmoved_by_a_complete_permutation(
    random_rnns: MakeRNNs, name: str, cell: CellName, num_layers: int, size: int, seed: int
) -> None:
    spec = _spec(cell, num_layers, size)
    encoder, stack = _encoder(name, spec), random_rnns(spec, 2, torch.float64)
    permuted = RNNStack(spec, permute_randomly(spec, stack.weights, torch.Generator().manual_seed(seed)))
    assert _moved(encoder, stack, permuted) < 1e-10


@given(cell=st.sampled_from(CELLS), num_layers=st.integers(1, 3), size=st.integers(1, 7), seed=st.integers(0, 10**6))
@quick
def test_the_complete_one_is_unmoved_by_signed_permutations(
    random_rnns: MakeRNNs, cell: CellName, num_layers: int, size: int, seed: int
) -> None:
    spec, generator = _spec(cell, num_layers, size), torch.Generator().manual_seed(seed)
    encoder, stack = _encoder("dwsnet-complete", spec), random_rnns(spec, 2, torch.float64)
    weights = flip_randomly(spec, permute_randomly(spec, stack.weights, generator), generator)
    assert _moved(encoder, stack, RNNStack(spec, weights)) < 1e-10


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_without_signs_both_are_moved_by_flips(random_rnns: MakeRNNs, cell: CellName) -> None:
    spec = _spec(cell, 2)
    stack = random_rnns(spec, 2, torch.float64)
    flipped = RNNStack(spec, flip_randomly(spec, stack.weights, torch.Generator().manual_seed(3)))
    assert _moved(_encoder("dwsnet", spec), stack, flipped) > 1e-5
    assert _moved(_encoder("dwsnet-complete", spec, signs=False), stack, flipped) > 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "left_out", ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0", "rnn.weight_ih_l1"]
)
def test_moved_when_one_part_stays_behind(random_rnns: MakeRNNs, name: str, cell: CellName, left_out: str) -> None:
    spec = _spec(cell, 2)
    encoder, stack = _encoder(name, spec), random_rnns(spec, 2, torch.float64)
    weights = {**stack.permute_neurons(0, SWAP).weights, left_out: stack.weights[left_out]}
    assert _moved(encoder, stack, RNNStack(spec, weights)) > 1e-7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tensor", ["rnn.weight_ih_l0", "readout.weight", "readout.bias"])
def test_inputs_and_outputs_are_distinguished(random_rnns: MakeRNNs, name: str, tensor: str) -> None:
    """Exchange two inputs or outputs, which gives a different RNN, unlike an exchange of hidden units."""
    spec = _spec("lstm", 1)
    encoder, stack = _encoder(name, spec), random_rnns(spec, 2, torch.float64)
    exchanged = dict(stack.weights)
    exchanged[tensor] = exchanged[tensor].flip(2 if tensor == "rnn.weight_ih_l0" else 1)
    if tensor == "readout.weight":
        exchanged["readout.bias"] = exchanged["readout.bias"].flip(1)
    assert _moved(encoder, stack, RNNStack(spec, exchanged)) > 1e-7


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(random_rnns: MakeRNNs, name: str, cell: CellName) -> None:
    spec = _spec(cell, 2)
    encoder = _encoder(name, spec)
    encoder(random_rnns(spec, 16, torch.float64)).square().mul(torch.arange(1.0, 17)).sum().backward()
    silent = [key for key, parameter in encoder.named_parameters() if parameter.grad is None]
    assert silent == []


# -- nothing is missing ----------------------------------------------------------------------------
#
# A linear map M from feature maps A to B is equivariant if R_B M = M R_A for all generators of the group. Its
# solutions are a null space, found here numerically, block by block. With 4 hidden units and 2 inputs and outputs no
# two terms fall together.

TINY = RNNSpec(cell="rnn_tanh", input_size=2, hidden_size=4, num_layers=2, output_size=2)
Pair = tuple[Feature, Feature]


def _features(*, signs: bool) -> list[Feature]:
    return [Feature(name, parity) for name in axes(TINY) for parity in parities(TINY, name, signs=signs)]


def _generators(*, signs: bool) -> Iterator[Units]:
    """Generators of the group: a transposition and a cycle for each sort, and one flip for each hidden layer."""
    rest = {sort: (torch.arange(size), torch.ones(size).double()) for sort, size in _sizes(TINY).items()}
    for sort, size in _sizes(TINY).items():
        order, one = rest[sort]
        yield {**rest, sort: (order.roll(1), one)}
        yield {**rest, sort: (torch.cat([order[:2].flip(0), order[2:]]), one)}
        if signs and sort.startswith("hidden"):
            flip = torch.tensor([-1.0] + [1.0] * (size - 1)).double()
            yield {**rest, sort: (order, flip)}


def _basis(feature: Feature) -> Tensor:
    """Every unit vector of a feature map, as a batch."""
    shape = TINY.parameter_shapes[feature.tensor]
    return torch.eye(torch.Size(shape).numel(), dtype=torch.float64).unflatten(1, shape).unsqueeze(-1)


def _representation(feature: Feature, units: Units) -> Tensor:
    return _acted(TINY, {feature: _basis(feature)}, units)[feature].flatten(1).T.contiguous()


def _constraints(source: Feature, target: Feature, *, signs: bool) -> Tensor:
    """Rows that vanish on the flattened `(|target|, |source|)` matrices that are equivariant, and on no others."""
    blocks: list[Tensor] = []
    for units in _generators(signs=signs):
        a, b = _representation(source, units), _representation(target, units)
        left, right = (
            torch.kron(b, torch.eye(len(a)).double()),
            torch.kron(torch.eye(len(b)).double(), a.T.contiguous()),
        )
        blocks.append(left - right)
    return torch.cat(blocks)


def _nullity(constraints: Tensor) -> int:
    return int((torch.linalg.eigvalsh(constraints.T @ constraints) < 1e-9).sum())


def _rank(rows: list[Tensor]) -> int:
    return int(torch.linalg.matrix_rank(torch.stack(rows))) if rows else 0


def _maps(table: Mapping[Feature, Terms], features: list[Feature]) -> dict[Pair, list[Tensor]]:
    """The matrix of every term, computed by a layer in which it alone has weight 1, by source and target."""
    maps: dict[Pair, list[Tensor]] = {}
    for target, places in table.items():
        for place, terms in places.items():
            for term in terms:
                layer = EquivariantLinear(
                    {target: {place: (term,)}}, dict.fromkeys(features, 1), 1, is_biased=lambda *_: False
                ).double()
                with torch.no_grad():
                    next(layer.parameters()).fill_(1)
                basis = _basis(term.source)
                batch = {feature: basis.new_zeros(len(basis), *_basis(feature).shape[1:]) for feature in features}
                matrix = layer({**batch, term.source: basis})[target].flatten(1).T.detach()
                maps.setdefault((term.source, target), []).append(matrix.flatten())
    return maps


@pytest.mark.parametrize("signs", [False, True])
def test_the_complete_layer_is_the_whole_null_space(signs: bool) -> None:
    features = _features(signs=signs)
    maps = _maps(complete_terms(axes(TINY), features, features), features)
    for source in features:
        for target in features:
            constraints, found = _constraints(source, target, signs=signs), maps.get((source, target), [])
            assert all((constraints @ row).abs().max() < 1e-12 for row in found)
            assert _rank(found) == len(found) == _nullity(constraints), (source, target)


def test_the_published_layer_is_a_proper_subspace() -> None:
    features = _features(signs=False)
    maps = _maps(dws.terms(TINY), features)
    complete = _maps(complete_terms(axes(TINY), features, features), features)
    for pair, rows in maps.items():
        assert _rank(complete[pair] + rows) == _rank(complete[pair])
    square = (Feature("rnn.weight_hh_l0", "ee"), Feature("rnn.weight_hh_l0", "ee"))
    assert (_rank(maps[square]), _rank(complete[square])) == (6, 15)
    assert (sum(map(_rank, maps.values())), sum(map(_rank, complete.values()))) == (170, 254)


@pytest.mark.parametrize("signs", [False, True])
def test_every_constant_that_is_equivariant_has_its_bias(signs: bool) -> None:
    features = _features(signs=signs)
    for target, places in complete_terms(axes(TINY), features, features).items():
        fixed = torch.cat(
            [
                _representation(target, units) - torch.eye(_basis(target)[0].numel())
                for units in _generators(signs=signs)
            ]
        )
        biases = sum(dws_complete.is_biased(target, place) for place, terms in places.items() if terms)
        assert biases == _nullity(fixed), target


@pytest.mark.parametrize("signs", [False, True])
def test_every_invariant_is_pooled(signs: bool) -> None:
    features = _features(signs=signs)
    pooled = dws_complete.invariants(axes(TINY), features)
    for feature in features:
        fixed = torch.cat(
            [
                _representation(feature, units) - torch.eye(_basis(feature)[0].numel())
                for units in _generators(signs=signs)
            ]
        )
        assert sum(term.source == feature for term in pooled) == _nullity(fixed), feature


def test_the_maps_of_a_target_share_a_bound_and_identities_have_their_deviation() -> None:
    encoder = encoders.build("dwsnet", LANGUAGES, joint_bound=True, identity_deviation=1.0)
    assert isinstance(encoder, dws.DWSNet)
    layer = encoder.layers[1]
    assert isinstance(layer, EquivariantLinear)
    for target, places in layer.table.items():
        maps = [layer._map(target, place) for place in places]
        bound = sum(linear.in_features for linear in maps) ** -0.5
        for linear in maps:
            assert 0.9 * bound < linear.weight.abs().max() <= bound
            assert linear.bias.abs().max() <= bound
    vectors = torch.cat([vector.flatten() for one in encoder.identities for vector in one.parameters()])
    assert vectors.std().item() == pytest.approx(1.0, rel=0.1)
