"""Changes of the weights that leave the function as it is.

Renumbering the hidden units of a layer changes nothing when six parts move together: the rows of its input
and recurrent weights and of both biases (in every gate), the columns of its recurrent weights, and the
columns of whatever reads the layer: the next layer's input weights, or the readout (paper, Appendix F.2).

The paper stops there, but tanh is odd: where it computes what a hidden unit takes in (the candidate gate: LSTM `g`,
GRU `n`, the only gate of a tanh RNN), the unit's sign can be flipped by negating the candidate's row in both weights
and both biases, and all columns that read the unit. The other gates multiply and have no sign to flip. Both together
make the signed permutations, 2^H H! of them for each layer.

ReLU RNNs have a continuous symmetry instead (the paper's footnote 2): a unit's rows times c > 0, its columns by c.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import CellName, RNNSpec

_CANDIDATE_GATES: dict[CellName, int] = {"lstm": 2, "gru": 2, "rnn_tanh": 0}


def candidate_gate(cell: CellName) -> int | None:
    """Which gate computes, through tanh, what a hidden unit takes in; None for ReLU RNNs: their signs are fixed."""
    return _CANDIDATE_GATES.get(cell)


def permute_neurons(
    spec: RNNSpec,
    weights: Mapping[str, Tensor],
    layer: int,
    permutation: Int[Tensor, " H"] | Int[Tensor, "N H"],
) -> dict[str, Tensor]:
    """Renumber the hidden units of one layer: new unit j is old unit `permutation[j]`.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        layer: which recurrent layer, from 0.
        permutation: one for all RNNs `(H,)`, or one for each `(N, H)`.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: there is no such layer, or the numbers are not a permutation of 0..H-1.
    """
    _check_layer(spec, layer)
    num_rnns = weights["readout.bias"].shape[0]
    permutation = permutation.to(weights["readout.bias"].device, torch.long)
    units = torch.arange(spec.hidden_size, device=permutation.device)
    shapes = {(spec.hidden_size,), (num_rnns, spec.hidden_size)}
    if tuple(permutation.shape) not in shapes or not (permutation.sort(dim=-1).values == units).all():
        raise UsageError(
            f"not a permutation of {spec.hidden_size} hidden units: shape {tuple(permutation.shape)}",
            remedy=f"give each of 0..{spec.hidden_size - 1} once, for all {num_rnns} RNNs (H,) or for each (N, H).",
        )
    columns = permutation.expand(num_rnns, -1)
    offsets = spec.hidden_size * torch.arange(spec.num_gates, device=permutation.device)
    rows = (columns.unsqueeze(1) + offsets[:, None]).flatten(1)  # the same units in every gate: (N, G)

    permuted = dict(weights)
    for name in computing(layer):
        permuted[name] = _take(permuted[name], rows, axis=1)
    for name in reading(spec, layer):
        permuted[name] = _take(permuted[name], columns, axis=2)
    return permuted


def permute_randomly(spec: RNNSpec, weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Renumber the hidden units of every layer at random, each RNN in its own way.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        generator: where the permutations are drawn from.
    """
    num_rnns = weights["readout.bias"].shape[0]
    permuted = dict(weights)
    for layer in range(spec.num_layers):
        keys = torch.rand(num_rnns, spec.hidden_size, generator=generator)
        permuted = permute_neurons(spec, permuted, layer, keys.argsort(dim=1))
    return permuted


def flip_signs(
    spec: RNNSpec,
    weights: Mapping[str, Tensor],
    layer: int,
    signs: Float[Tensor, " H"] | Float[Tensor, "N H"],
) -> dict[str, Tensor]:
    """Flip the signs of hidden units of one layer.

    Args:
        spec: the architecture; not one of ReLU RNNs.
        weights: stacked weights, each `(N, ...)`.
        layer: which recurrent layer, from 0.
        signs: -1 for each unit to flip and 1 for the others; for all RNNs `(H,)`, or for each `(N, H)`.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: there is no such layer, the cell has no such symmetry, or a sign is neither 1 nor -1.
    """
    gate = candidate_gate(spec.cell)
    if gate is None:
        raise UsageError(
            f"sign flips in an {spec.cell}", remedy="ReLU is not odd: its symmetry is scale_units, by positive numbers."
        )
    factors = _factors(spec, weights, layer, signs)
    if not (factors.abs() == 1).all():
        raise UsageError("signs other than 1 and -1", remedy="give 1 or -1 for each hidden unit.")
    rows = torch.ones_like(factors).repeat(1, spec.num_gates)
    rows[:, gate * spec.hidden_size : (gate + 1) * spec.hidden_size] = factors
    return _multiplied(spec, weights, layer, rows=rows, columns=factors)


def scale_units(
    spec: RNNSpec,
    weights: Mapping[str, Tensor],
    layer: int,
    scales: Float[Tensor, " H"] | Float[Tensor, "N H"],
) -> dict[str, Tensor]:
    """Scale the hidden units of one layer of ReLU RNNs: what reads a unit is divided by what it was multiplied with.

    Args:
        spec: the architecture, of ReLU RNNs.
        weights: stacked weights, each `(N, ...)`.
        layer: which recurrent layer, from 0.
        scales: a positive number for each unit; for all RNNs `(H,)`, or for each `(N, H)`.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: there is no such layer, the cell has no such symmetry, or a scale is not positive and finite.
    """
    if spec.cell != "rnn_relu":
        raise UsageError(
            f"scaled units in an {spec.cell}", remedy="tanh is not homogeneous: only rnn_relu has this symmetry."
        )
    factors = _factors(spec, weights, layer, scales)
    if not ((factors > 0) & factors.isfinite()).all():
        raise UsageError("scales that are not positive", remedy="give a positive, finite number for each hidden unit.")
    return _multiplied(spec, weights, layer, rows=factors, columns=1 / factors)


def flip_randomly(spec: RNNSpec, weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Flip the sign of every hidden unit or not, at random, each RNN in its own way; ReLU RNNs stay as they are.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        generator: where the signs are drawn from.
    """
    flipped = dict(weights)
    if candidate_gate(spec.cell) is None:
        return flipped
    reference = weights["readout.bias"]
    for layer in range(spec.num_layers):
        coins = torch.randint(2, (len(reference), spec.hidden_size), generator=generator)
        flipped = flip_signs(spec, flipped, layer, (2 * coins - 1).to(reference))
    return flipped


def _check_layer(spec: RNNSpec, layer: int) -> None:
    if not 0 <= layer < spec.num_layers:
        raise UsageError(f"layer {layer} of an RNN with {spec.num_layers} layers", remedy="count layers from 0.")


def computing(layer: int) -> tuple[str, ...]:
    """The tensors with a row for each hidden unit of a layer and each gate."""
    return tuple(f"rnn.{part}_l{layer}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))


def reading(spec: RNNSpec, layer: int) -> tuple[str, str]:
    """The tensors with a column for each hidden unit of a layer."""
    reader = f"rnn.weight_ih_l{layer + 1}" if layer + 1 < spec.num_layers else "readout.weight"
    return f"rnn.weight_hh_l{layer}", reader


def _factors(spec: RNNSpec, weights: Mapping[str, Tensor], layer: int, numbers: Tensor) -> Float[Tensor, "N H"]:
    _check_layer(spec, layer)
    reference = weights["readout.bias"]
    if tuple(numbers.shape) not in {(spec.hidden_size,), (len(reference), spec.hidden_size)}:
        raise UsageError(
            f"{tuple(numbers.shape)} numbers for {len(reference)} RNNs of {spec.hidden_size} hidden units",
            remedy="give one for each unit, for all RNNs (H,) or for each (N, H).",
        )
    return numbers.to(reference).expand(len(reference), -1)


def _multiplied(
    spec: RNNSpec, weights: Mapping[str, Tensor], layer: int, *, rows: Float[Tensor, "N G"], columns: Tensor
) -> dict[str, Tensor]:
    multiplied = dict(weights)
    for name in computing(layer):
        multiplied[name] = multiplied[name] * (rows if multiplied[name].dim() == 2 else rows.unsqueeze(2))
    for name in reading(spec, layer):
        multiplied[name] = multiplied[name] * columns.unsqueeze(1)
    return multiplied


def _take(weight: Tensor, indices: Int[Tensor, "N K"], axis: int) -> Tensor:
    if weight.dim() == 2:
        return weight.gather(1, indices)
    expanded = indices.unsqueeze(3 - axis).expand(-1, *weight.shape[1:])
    return weight.gather(axis, expanded)
