"""Feature maps of weight tensors, and their views that are equivariant to permutations of hidden units.

Every weight tensor of an RNN has C features per entry: a *feature map* `(N, rows, columns, C)`, or `(N, rows, C)` for a
bias. The axes of the tensors have a few *sorts*: the inputs, the hidden units of each layer, the outputs. A permutation
of the units of a sort permutes all axes of that sort together.

A *view* of a feature map has two indices (the map itself or its transpose), one (a mean over rows or columns, a
diagonal) or none (the mean of all entries or of the diagonal). Means are used instead of sums, so that a layer suits
all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from rnn2vec.encoders.entries import WithMeans, with_means
from rnn2vec.rnn.cells.base import TorchCell
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

Sort = str
"""Sort of an axis: `input`, `hidden0`, `hidden1`, ..., `output`."""


@dataclass(frozen=True)
class Feature:
    """A feature map, identified by its tensor and its parity under sign flips of units."""

    tensor: str
    """PyTorch's name of the tensor, such as `rnn.weight_hh_l0`."""
    parity: str
    """Letter per axis: `e` for even features, `o` for odd ones, which change sign with their unit (`dws_complete`)."""


View = Literal["itself", "transposed", "mean over columns", "mean over rows", "diagonal", "mean", "trace"]
Place = Literal["entry", "row", "column", "everywhere", "diagonal", "whole diagonal"]


@dataclass(frozen=True)
class Term:
    """A view of a source."""

    source: Feature
    """Feature map of which a view is taken."""
    view: View
    """Kind of the view."""


Terms = Mapping[Place, tuple[Term, ...]]
"""Terms of a target, by the place to which they are added."""

_VIEWS: dict[View, Callable[[Tensor], Tensor]] = {
    "transposed": lambda features: features.transpose(1, 2),
    "diagonal": lambda features: features.diagonal(dim1=1, dim2=2).transpose(1, 2),
}
_MEANS: dict[View, View] = {"mean": "mean over columns", "trace": "diagonal"}
"""Views without an index, each with the view of which it is the mean."""


def axes(spec: RNNSpec) -> dict[str, tuple[Sort, ...]]:
    """Return the sorts of the axes of each weight tensor, by PyTorch's name."""
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


def layout_obstacle(spec: RNNSpec) -> str | None:
    """Return why the weights of RNNs are no feature maps: a layer must have PyTorch's four tensors."""
    is_usual = isinstance(spec.cell_type, TorchCell)
    return None if is_usual else "its layers lack the four tensors of PyTorch's cells (two matrices, two biases)"


def gates_as_channels(stack: RNNStack) -> dict[str, Tensor]:
    """Move the gates of each weight tensor to the last axis, `(N, H, columns, gates)`; the readout has one gate."""
    result: dict[str, Tensor] = {}
    for name, weight in stack.weights.items():
        gates = 1 if name.startswith("readout") else stack.spec.num_gates
        result[name] = weight.unflatten(1, (gates, -1)).movedim(1, -1)
    return result


class Views:
    """Views of feature maps, each computed once.

    Args:
        features: feature maps.
        known: feature maps with means that have already been computed; entries for other maps are ignored.
    """

    def __init__(self, features: Mapping[Feature, Tensor], known: Mapping[Feature, WithMeans] | None = None) -> None:
        self.features = features
        self.sizes = {source.tensor: tuple(one.shape[1:-1]) for source, one in features.items()}
        """Numbers of rows and columns, by tensor."""
        self._with_means = {
            source: means for source, means in (known or {}).items() if means[0] is features.get(source)
        }
        self._seen: dict[Term, Tensor] = {}

    def __call__(self, term: Term) -> Tensor:
        """Return the view of a term: `(N, rows, columns, C)`, `(N, rows, C)` or `(N, C)`."""
        if term not in self._seen:
            self._seen[term] = self._compute(term)
        return self._seen[term]

    def changed_by(self, change: Callable[[Mapping[Feature, Tensor]], Mapping[Feature, Tensor]]) -> Views:
        """Build the views of changed feature maps, reusing the means of those that did not change."""
        return Views(change(self.features), self._with_means)

    def mean(self, term: Term) -> Tensor:
        """Return the mean of a term's source, `(N, C)`, which is also that of its view unless it is a diagonal."""
        return self(Term(term.source, "mean"))

    def _compute(self, term: Term) -> Tensor:
        features = self.features[term.source]
        if term.view in _MEANS:
            one_index = features if features.dim() == 3 else self(Term(term.source, _MEANS[term.view]))
            return one_index.mean(dim=1)
        if features.dim() == 3:
            return features
        if term.source not in self._with_means:
            self._with_means[term.source] = with_means(features)
        whole, over_columns, over_rows = self._with_means[term.source]
        kept: dict[View, Tensor] = {
            "itself": whole,
            "mean over columns": over_columns,
            "mean over rows": over_rows,
        }
        return kept[term.view] if term.view in kept else _VIEWS[term.view](whole)
