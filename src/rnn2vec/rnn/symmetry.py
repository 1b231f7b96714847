"""Changes of the weights that leave the function as it is.

Permuting the hidden units of a layer changes nothing when all parts move together: for the cells of PyTorch the rows
of the input and recurrent weights and of both biases (in every gate), the columns of the recurrent weights, and the
columns of the next layer's input weights or of the readout (paper, Appendix F.2).

The paper stops there, but tanh is odd: where tanh computes what a hidden unit takes in (the candidate gate: LSTM `g`,
GRU `n`, the only gate of a tanh RNN), the sign of the unit can be flipped by negating the candidate's row in both
weights and both biases, and all columns that read the unit. Together they make the signed permutations, 2^H H! of them
per layer. ReLU RNNs have a continuous symmetry instead (the paper's footnote 2): a unit's rows times c > 0, its columns
divided by c. `rnn2vec.rnn.cells.base` describes what each cell allows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._registry import CELLS
from rnn2vec.rnn.spec import CellName, RNNSpec, parameter_name


def candidate_gate(cell: CellName) -> int | None:
    """Return the number of the gate that flips with the sign of a hidden unit; None where signs are fixed."""
    kind = CELLS[cell]
    return kind.gates.index(kind.candidate) if kind.rescaling in {"signs", "nonzero"} else None


def permute_neurons(
    spec: RNNSpec,
    weights: Mapping[str, Tensor],
    layer: int,
    permutation: Int[Tensor, " H"] | Int[Tensor, "N H"],
) -> dict[str, Tensor]:
    """Permute the hidden units of one layer: new unit j is old unit `permutation[j]`.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        layer: number of the recurrent layer, from 0.
        permutation: one for all RNNs `(H,)`, or one for each `(N, H)`.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: if there is no such layer, or the numbers are not a permutation of 0..H-1.
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
    permuted = dict(weights)
    for name, gates in rows_of(spec, layer).items():
        offsets = spec.hidden_size * torch.arange(len(gates), device=permutation.device)
        rows = (columns.unsqueeze(1) + offsets[:, None]).flatten(1)  # the same units in every gate: (N, G)
        permuted[name] = _take(permuted[name], rows, axis=1)
    for name in reading(spec, layer):
        permuted[name] = _take(permuted[name], columns, axis=2)
    return permuted


def permute_randomly(spec: RNNSpec, weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Permute the hidden units of every layer at random, differently for each RNN.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        generator: source of the permutations.
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
        spec: the architecture, of a cell that allows it: all but `rnn_relu`.
        weights: stacked weights, each `(N, ...)`.
        layer: number of the recurrent layer, from 0.
        signs: -1 for each unit to flip and 1 for the others; for all RNNs `(H,)`, or for each `(N, H)`.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: if there is no such layer, the cell has no such symmetry, or a sign is neither 1 nor -1.
    """
    if candidate_gate(spec.cell) is None:
        raise UsageError(f"sign flips in an {spec.cell}", remedy=_allowed(spec))
    factors = _factors(spec, weights, layer, signs)
    if not (factors.abs() == 1).all():
        raise UsageError("signs other than 1 and -1", remedy="give 1 or -1 for each hidden unit.")
    return _rescaled(spec, weights, layer, factors)


def scale_units(
    spec: RNNSpec,
    weights: Mapping[str, Tensor],
    layer: int,
    scales: Float[Tensor, " H"] | Float[Tensor, "N H"],
) -> dict[str, Tensor]:
    """Multiply the hidden units of one layer, and divide the columns that read them by the same numbers.

    Args:
        spec: the architecture, of a cell that allows it: `rnn_relu`, `mingru`.
        weights: stacked weights, each `(N, ...)`.
        layer: number of the recurrent layer, from 0.
        scales: a number for each unit, for all RNNs `(H,)`, or for each `(N, H)`; positive unless the cell allows more.

    Returns:
        New stacked weights; those of other layers are the same tensors as before.

    Raises:
        UsageError: if there is no such layer, or the cell does not allow such scales.
    """
    rescaling = spec.cell_type.rescaling
    if rescaling not in {"positive", "nonzero"}:
        raise UsageError(f"scaled units in an {spec.cell}", remedy=_allowed(spec))
    factors = _factors(spec, weights, layer, scales)
    if not factors.isfinite().all() or (factors == 0).any():
        raise UsageError("scales that are 0 or not finite", remedy="give a number for each hidden unit to multiply by.")
    if rescaling == "positive" and (factors < 0).any():
        raise UsageError(f"negative scales in an {spec.cell}", remedy=_allowed(spec))
    return _rescaled(spec, weights, layer, factors)


def flip_randomly(spec: RNNSpec, weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Flip the signs of random hidden units, differently for each RNN; cells with fixed signs stay as they are.

    Args:
        spec: the architecture.
        weights: stacked weights, each `(N, ...)`.
        generator: source of the signs.
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


def rows_of(spec: RNNSpec, layer: int) -> dict[str, tuple[str, ...]]:
    """Return the tensors with a row for each hidden unit of a layer and each gate, with their gates."""
    parameters = spec.cell_type.parameters.items()
    return {parameter_name(name, layer): parameter.gates for name, parameter in parameters if parameter.gates}


def reading(spec: RNNSpec, layer: int) -> tuple[str, ...]:
    """Return the tensors with a column for each hidden unit of a layer; the last are those of the layer above."""
    own = _with_columns(spec, layer, "hidden")
    above = _with_columns(spec, layer + 1, "inputs") if layer + 1 < spec.num_layers else ["readout.weight"]
    return (*own, *above)


def _with_columns(spec: RNNSpec, layer: int, columns: str) -> list[str]:
    parameters = spec.cell_type.parameters.items()
    return [parameter_name(name, layer) for name, parameter in parameters if parameter.columns == columns]


def _allowed(spec: RNNSpec) -> str:
    """Return the remedy for a factor that a cell does not allow."""
    return {
        "none": f"an {spec.cell} has no symmetry but permutations.",
        "signs": f"the units of an {spec.cell} can flip their signs (flip_signs), and no more.",
        "positive": f"the units of an {spec.cell} can be multiplied by positive numbers (scale_units), and no others.",
        "nonzero": f"the units of an {spec.cell} can be multiplied by any number but 0 (scale_units).",
    }[spec.cell_type.rescaling]


def _factors(spec: RNNSpec, weights: Mapping[str, Tensor], layer: int, numbers: Tensor) -> Float[Tensor, "N H"]:
    _check_layer(spec, layer)
    reference = weights["readout.bias"]
    if tuple(numbers.shape) not in {(spec.hidden_size,), (len(reference), spec.hidden_size)}:
        raise UsageError(
            f"{tuple(numbers.shape)} numbers for {len(reference)} RNNs of {spec.hidden_size} hidden units",
            remedy="give one for each unit, for all RNNs (H,) or for each (N, H).",
        )
    return numbers.to(reference).expand(len(reference), -1)


def _rescaled(
    spec: RNNSpec, weights: Mapping[str, Tensor], layer: int, factors: Float[Tensor, "N H"]
) -> dict[str, Tensor]:
    """Multiply the candidate's rows by the factors, and divide the columns that read the units by them."""
    rescaled = dict(weights)
    for name, gates in rows_of(spec, layer).items():
        blocks = [factors if gate == spec.cell_type.candidate else torch.ones_like(factors) for gate in gates]
        rows = torch.cat(blocks, dim=1)
        rescaled[name] = rescaled[name] * (rows if rescaled[name].dim() == 2 else rows.unsqueeze(2))
    for name in reading(spec, layer):
        rescaled[name] = rescaled[name] * (1 / factors).unsqueeze(1)
    return rescaled


def _take(weight: Tensor, indices: Int[Tensor, "N K"], axis: int) -> Tensor:
    if weight.dim() == 2:
        return weight.gather(1, indices)
    expanded = indices.unsqueeze(3 - axis).expand(-1, *weight.shape[1:])
    return weight.gather(axis, expanded)
