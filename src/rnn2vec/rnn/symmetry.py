"""Changes of the weights that leave the function as it is.

Renumbering the hidden units of a layer changes nothing when six parts move together: the rows of its input
and recurrent weights and of both biases (in every gate), the columns of its recurrent weights, and the
columns of whatever reads the layer: the next layer's input weights, or the readout (paper, Appendix F.2).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import RNNSpec


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
    if not 0 <= layer < spec.num_layers:
        raise UsageError(f"layer {layer} of an RNN with {spec.num_layers} layers", remedy="count layers from 0.")
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
    reader = f"rnn.weight_ih_l{layer + 1}" if layer + 1 < spec.num_layers else "readout.weight"

    permuted = dict(weights)
    for name in (
        f"rnn.weight_ih_l{layer}",
        f"rnn.weight_hh_l{layer}",
        f"rnn.bias_ih_l{layer}",
        f"rnn.bias_hh_l{layer}",
    ):
        permuted[name] = _take(permuted[name], rows, axis=1)
    for name in (f"rnn.weight_hh_l{layer}", reader):
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


def _take(weight: Tensor, indices: Int[Tensor, "N K"], axis: int) -> Tensor:
    if weight.dim() == 2:
        return weight.gather(1, indices)
    expanded = indices.unsqueeze(3 - axis).expand(-1, *weight.shape[1:])
    return weight.gather(axis, expanded)
