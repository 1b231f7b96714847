"""A card for one RNN: what it is, what it probably does, who is like it, and what it answered when it was asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.index.index import Index, Neighbour
from rnn2vec.index.outliers import Outliers
from rnn2vec.inspection.property_prediction import Prediction, PropertyPredictor
from rnn2vec.rnn.interface import Interface, Kind
from rnn2vec.rnn.stack import RNNStack

_UNUSUAL = 0.05
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Card:
    """Everything known about one RNN; fields that require an index are empty without one."""

    architecture: str
    """Cell, sizes and number of parameters."""
    vector: Float[np.ndarray, " Z"]
    """Representation of the RNN."""
    unusual: Outliers | None
    """Unusualness among the RNNs of the index; None without an index of at least 4."""
    predictions: tuple[Prediction, ...]
    """Predictions of its properties from those of the index's RNNs."""
    calibration_error: float | None
    """Calibration error of the probabilities of choices, on held-out RNNs; None without choices."""
    neighbours: tuple[Neighbour, ...]
    """The nearest RNNs of the index."""
    dialogue: tuple[tuple[tuple[str, str], ...], ...]
    """Probes and responses of each probing sequence; empty for an encoder that does not probe."""

    @property
    def is_familiar(self) -> bool | None:
        """True if it resembles the RNNs of the index; None if there are too few of them."""
        if self.unusual is None or self.unusual.smallest_p > _UNUSUAL:
            return None
        return not len(self.unusual.flagged(_UNUSUAL))

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values."""
        values = {**dataclasses.asdict(self), "vector": self.vector.tolist(), "is_familiar": self.is_familiar}
        if self.unusual is not None:
            values["unusual"] = {
                "distance": float(self.unusual.distances[0]),
                "typical_distance": self.unusual.typical,
                "p": float(self.unusual.p_values[0]),
            }
        return values

    def render(self, *, num_sequences: int = 2) -> str:
        """Format the card as text.

        Args:
            num_sequences: number of probing sequences to show.
        """
        blocks = [self.architecture]
        if self.unusual is not None:
            blocks.append(self._familiarity(self.unusual))
        if self.predictions:
            blocks.append("\n".join(["probably", *(f"  {describe(one)}" for one in self.predictions), *self._trust()]))
        if self.neighbours:
            lines = [f"  {one.distance:.4f}  {one.rnn}{_properties(one)}" for one in self.neighbours]
            blocks.append("\n".join(["most like", *lines]))
        for number, turns in enumerate(self.dialogue[:num_sequences], 1):
            title = f"asked, and answered (sequence {number} of {len(self.dialogue)})"
            blocks.append("\n".join([title, *_lines(turns)]))
        return "\n\n".join(blocks)

    def _trust(self) -> list[str]:
        if self.calibration_error is None:
            return []
        return [f"  (probabilities are off by {self.calibration_error:.3f} on average, on held-out RNNs)"]

    def _familiarity(self, unusual: Outliers) -> str:
        distance = f"{unusual.distances[0]:.3g} from its tenth-nearest RNN (median of the index: {unusual.typical:.3g})"
        share = f"{distance}; {unusual.p_values[0]:.1%} of RNNs are as unusual or more"
        if self.is_familiar is None:
            return f"{share}\n{unusual.describe(_UNUSUAL)}"
        if self.is_familiar:
            return f"like the RNNs of the index: {share}"
        return (
            f"WARNING: unlike the RNNs of the index: {share}.\n"
            "Neighbours and properties below are guesses about an RNN of another kind."
        )


def _lines(turns: Sequence[tuple[str, str]]) -> list[str]:
    """Format a line for each turn; of consecutive turns with equal responses, only the first is shown."""
    width = max(len(asked) for asked, _ in turns)
    lines = [f"  {asked:<{width}}  ->  {answered}" for asked, answered in turns]
    last = len(turns)
    while last > 1 and turns[last - 1][1] == turns[last - 2][1]:
        last -= 1
    if len(turns) - last > 1:
        return [*lines[:last], f"  ... the same answer {len(turns) - last} times more"]
    return lines


def describe(prediction: Prediction) -> str:
    """Describe a prediction."""
    if prediction.interval is None:
        certainty = f"with probability {prediction.probability:.2f}"
        return f"{prediction.name} {prediction.value}  {certainty} (right for {prediction.score:.0%} of held-out RNNs)"
    low, high = prediction.interval
    certainty = f"between {low:.3g} and {high:.3g}"
    return (
        f"{prediction.name} {prediction.value:.3g}  {certainty} "
        f"(such intervals hold {prediction.coverage:.0%}; R^2 {prediction.score:.2f})"
    )


def _properties(neighbour: Neighbour) -> str:
    known = [f"{name} {_short(value)}" for name, value in neighbour.properties.items() if value is not None]
    return f"  ({', '.join(known)})" if known else ""


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def inspect_rnn(rnn2vec: Rnn2Vec, rnn: RNNStack, index: Index | None = None, *, seed: int = 0) -> Card:
    """Collect everything known about one RNN.

    Args:
        rnn2vec: an encoder.
        rnn: a stack of one.
        index: RNNs to compare it with, embedded by the same encoder.
        seed: seed that selects the RNNs of the index that are held out to measure reliability.

    Raises:
        UsageError: if there is not exactly one RNN, it does not fit the encoder, or the index is empty or has vectors
            of another size.
    """
    if len(rnn) != 1:
        raise UsageError(f"a card for {len(rnn)} RNNs", remedy="give one: stack.select([number]).")
    vectors = rnn2vec.embed(rnn)
    unusual, predictions, neighbours, error = None, [], [], None
    if index is not None:
        index.require_queries(vectors)
        (neighbours,) = index.query(vectors, _NEIGHBOURS)
        predictor = PropertyPredictor(index, seed=seed)
        predictions, error = predictor.predict(vectors[0]), predictor.calibration_error
        unusual = index.familiarity(vectors[0], seed=seed) if len(index) >= 4 else None
    return Card(
        architecture=f"{rnn.spec}, {rnn.spec.num_parameters:,} parameters",
        vector=vectors[0],
        unusual=unusual,
        predictions=tuple(predictions),
        calibration_error=error,
        neighbours=tuple(neighbours),
        dialogue=dialogue(rnn2vec, rnn),
    )


@torch.no_grad()
def dialogue(rnn2vec: Rnn2Vec, rnn: RNNStack) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the probes and responses of a probing encoder and one RNN, in words; empty for another encoder."""
    encoder = rnn2vec.encoder
    if not isinstance(encoder, ProbingEncoder):
        return ()
    kinds = encoder.interface
    said = [
        [
            (_words(asked, kinds.input_kind, kinds.input_names), _words(answered, *_answer_words(kinds)))
            for asked, answered in zip(exchange.probes[0], readable(exchange.responses[0], kinds), strict=True)
        ]
        for exchange in encoder.dialogue(rnn)
    ]
    return tuple(zip(*said, strict=True))


def _answer_words(kinds: Interface) -> tuple[Kind, tuple[str, ...] | None]:
    return kinds.output_kind, kinds.output_names


def readable(responses: Tensor, kinds: Interface) -> Tensor:
    """Return responses of a dialogue as probabilities, or as numbers in the RNN's own unit."""
    if kinds.output_kind == "categorical":
        return responses.softmax(dim=-1)
    centre, spread = kinds.output_scale
    return centre + spread * responses


def _words(numbers: Tensor, kind: Kind, names: tuple[str, ...] | None) -> str:
    """Return the two likeliest tokens, or the numbers."""
    if kind == "continuous":
        shown = [f"{number:+.2f}" for number in numbers[:8].tolist()]
        return " ".join(shown) + (" ..." if len(numbers) > 8 else "")
    best = numbers.topk(min(2, len(numbers)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{names[token] if names else token} {share:.0%}" for token, share in pairs if share >= 0.05)
