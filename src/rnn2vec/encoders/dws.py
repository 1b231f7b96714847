"""DWSNet for recurrent networks (Navon et al. 2023; Zhou et al. 2023; paper, Section 3 and Appendix C).

Every layer is equivariant to permutations of hidden units, and a mean over each tensor at the end makes the
representation invariant. `TERMS` is the layer of the *released code*: it reproduces the paper's parameter counts
exactly (1,279,736 for its formal-language LSTMs), so the paper's experiments used it. It is not the printed formula
with its index errors corrected, which has further terms: for W_hh[l] the rows W_ih[l][j,*] and b_ih[l][j] and the
column W_ih[l+1][*,k], for the last layer the readout's columns, and for b_hh the same rows. `docs/encoders.md` shows
the same table.

`dws_complete` has those terms and all others that a layer can have, such as the transpose and the diagonal of W_hh.

With ReLU only *between* layers, as published, the mean follows a linear layer, and the mean of a linear equivariant
layer depends only on the means of its sources. The last layer is therefore computed from the means: the same numbers
for a hundredth of the work. It also shows that this layer uses no information about single weights.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.encoders.equivariant import EquivariantLinear, Identities
from rnn2vec.encoders.feature_maps import Feature, Place, Term, Terms, View, Views, gates_as_channels, layout_obstacle
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

TERMS: dict[str, dict[Place, str]] = {
    # j indexes the units of layer l, k those of the layer below (for W_hh of the same layer); `*` is a mean.
    # The readout is W_ih and b_ih of the layer above the last. Terms that refer to absent tensors are dropped.
    "W_ih[l]": {
        "entry": "W_ih[l][j,k]",
        "column": "W_ih[l][*,k]  W_ih[l-1][k,*]  b_ih[l-1][k]  W_hh[l-1][k,*]  b_hh[l-1][k]  W_hh[l-1][*,k]",
        "row": "W_ih[l][j,*]  b_ih[l][j]  W_hh[l][j,*]  b_hh[l][j]  W_hh[l][*,j]  W_ih[l+1][*,j]",
    },
    "b_ih[l]": {
        "row": "W_ih[l][j,*]  b_ih[l][j]  W_hh[l][j,*]  b_hh[l][j]  W_hh[l][*,j]  W_ih[l+1][*,j]",
    },
    "W_hh[l]": {
        "entry": "W_hh[l][j,k]",
        "column": "W_hh[l][*,k]  W_hh[l][k,*]  b_hh[l][k]  W_ih[l][k,*]  b_ih[l][k]",
        "row": "W_hh[l][j,*]  b_hh[l][j]  W_hh[l][*,j]  W_ih[l+1][*,j] unless readout",
    },
    "b_hh[l]": {
        "row": "W_hh[l][j,*]  b_hh[l][j]  W_hh[l][*,j]  W_ih[l+1][*,j] unless readout",
    },
}
"""The terms of the layer, in addition to the mean of every tensor, which goes everywhere."""

_TERM = re.compile(r"(?P<kind>\w+)\[l(?P<shift>[+-]1)?\]\[(?P<indices>[jk*,]+)\](?P<unless> unless readout)?")
_KINDS = {"W_ih": "weight_ih", "b_ih": "bias_ih", "W_hh": "weight_hh", "b_hh": "bias_hh"}
_VIEWS: dict[str, View] = {
    "j,k": "itself",
    "j": "itself",
    "k": "itself",
    "j,*": "mean over columns",
    "k,*": "mean over columns",
    "*,j": "mean over rows",
    "*,k": "mean over rows",
}


def even(spec: RNNSpec, tensor: str) -> Feature:
    """Return the feature map of a tensor that is even along every axis, for layers that ignore sign flips."""
    return Feature(tensor, "e" * len(spec.parameter_shapes[tensor]))


def terms(spec: RNNSpec) -> dict[Feature, Terms]:
    """Expand `TERMS` for an architecture: the terms of each tensor's feature map."""
    means = tuple(Term(even(spec, tensor), "mean") for tensor in spec.parameter_shapes)
    table: dict[Feature, Terms] = {}
    for layer in range(spec.num_layers + 1):
        for target, places in TERMS.items():
            tensor = _tensor(spec, target.removesuffix("[l]"), layer)
            if tensor is not None:
                written_out: dict[Place, tuple[Term, ...]] = {"everywhere": means}
                for place, text in places.items():
                    written_out[place] = _terms(spec, text, layer)
                table[even(spec, tensor)] = written_out
    return table


def _terms(spec: RNNSpec, text: str, layer: int) -> tuple[Term, ...]:
    """Parse the terms of one place for one layer, without those that refer to absent tensors."""
    found: list[Term] = []
    for match in _TERM.finditer(text):
        source_layer = layer + int(match["shift"] or 0)
        tensor = _tensor(spec, match["kind"], source_layer)
        is_left_out = match["unless"] and source_layer == spec.num_layers
        if tensor is not None and not is_left_out:
            found.append(Term(even(spec, tensor), _VIEWS[match["indices"]]))
    return tuple(found)


def _tensor(spec: RNNSpec, kind: str, layer: int) -> str | None:
    """Return PyTorch's name of a tensor of the table, or None if the RNN lacks it."""
    if layer == spec.num_layers and kind.endswith("ih"):
        return "readout.weight" if kind == "W_ih" else "readout.bias"
    return f"rnn.{_KINDS[kind]}_l{layer}" if 0 <= layer < spec.num_layers else None


class DWSNet(WeightEncoder):
    """Equivariant layers on the weights, a mean over each tensor, and an MLP.

    Args:
        spec: architecture of the RNNs.
        channels: number of features per weight.
        num_layers: number of equivariant layers.
        mlp_size: number of hidden units of the MLP.
        identity_deviation: initial standard deviation of the vectors that identify inputs and outputs.
        joint_bound: draw the initial maps of each target with one bound, given by the number of inputs of all of them,
            as the released code does; by default each map has PyTorch's bound.
        **options: arguments of `WeightEncoder`.
    """

    name = "dwsnet"
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        channels: int = 48,
        num_layers: int = 4,
        mlp_size: int = 128,
        identity_deviation: float = 0.1,
        joint_bound: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        table = terms(spec)
        widths = [spec.num_gates] + [channels] * (num_layers - 1)
        counts = [dict.fromkeys(table, width) for width in widths]
        self.identities = nn.ModuleList(Identities(spec, count, identity_deviation) for count in counts)
        self.layers = nn.ModuleList(
            EquivariantLinear(table, count, channels, is_biased=lambda *_: True, joint_bound=joint_bound)
            for count in counts
        )
        self.to_representation = mlp(len(table) * channels, mlp_size, self.representation_size)

    @classmethod
    def obstacle(cls, spec: RNNSpec) -> str | None:
        """See `WeightEncoder.obstacle`."""
        return layout_obstacle(spec)

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs as `WeightEncoder.encode` defines."""
        assert isinstance(rnns, RNNStack)
        views = Views(self.features(rnns)).changed_by(self.identities[0])
        *layers, last = (layer for layer in self.layers if isinstance(layer, EquivariantLinear))
        for layer, identities in zip(layers, self.identities[1:], strict=True):
            views = layer.rectified(views).changed_by(identities)
        means = last.means(views)
        return self.to_representation(torch.cat(list(means.values()), dim=-1))

    def features(self, stack: RNNStack) -> dict[Feature, Tensor]:
        """Build the input of the first layer, with gates as features; the readout, which has no gates, is repeated."""
        gates = stack.spec.num_gates
        return {
            even(stack.spec, name): weight.expand(*weight.shape[:-1], gates)
            for name, weight in gates_as_channels(stack).items()
        }
