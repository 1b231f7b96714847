"""The report on pre-training on the user's RNNs: has the encoder failed, or are the RNNs alike?

An emulator that imitates an RNN from its own vector hardly better than from another's can mean two things. Either the
vectors carry no information, or the RNNs do nearly the same, so that any of their vectors suffices. Two measurements
without the emulator distinguish these cases: how far the RNNs' own answers differ, and whether distances of vectors
follow distances of behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec.emulation import losses
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.data import Behaviour

_ALIKE = 0.05
"""Median difference of two RNNs' answers below which they are alike: total variation, or share of the variance."""
_STANDS_OUT = 5.0
"""Times the median distance to the neighbours at which an RNN stands out."""
_NEIGHBOURS = 10
_MOST = 300


@dataclass(frozen=True)
class Agreement:
    """Agreement of distances of vectors with distances of behaviour, without the emulator."""

    typical_difference: float
    """Median difference of the answers of two RNNs, in the unit of the loss."""
    rank_correlation: float | None
    """Spearman correlation of the distances of pairs, in behaviour and in vectors; None where all pairs of either are
    equally far apart."""
    num_unusual: int
    """RNNs that stand out in behaviour: 5 times as far from their neighbours as the median."""
    num_unusual_found: int
    """RNNs that stand out both in behaviour and in vectors."""


@dataclass(frozen=True)
class FitReport:
    """Results of pre-training on the user's RNNs."""

    architectures: tuple[str, ...]
    """Architectures of the RNNs."""
    num_train: int
    """RNNs that were trained on."""
    num_validation: int
    """Held-out RNNs."""
    loss: str
    """Name of the loss that was minimized."""
    validation_loss: float
    """Distance of emulations from held-out RNNs."""
    mistaken_loss: float | None
    """The same when each gets the vector of another RNN; None with a single held-out RNN."""
    best_step: int
    """Updates until the best model."""
    num_steps: int
    """Updates in all."""
    agreement: Agreement | None = None
    """Vectors against behaviour; None where RNNs have inputs of their own, or there are fewer than 4."""
    notes: tuple[str, ...] = ()
    """Properties of the data that may surprise."""

    def __str__(self) -> str:
        unit = "of the outputs' variance" if self.loss == "mse" else self.loss
        lines = [
            *(f"note: {note}" for note in self.notes),
            f"{self.num_train:,} RNNs trained on, {self.num_validation:,} held out ({'; '.join(self.architectures)})",
            f"an RNN is imitated from its vector alone with an error of {self.validation_loss:.3f} ({unit})",
        ]
        if self.mistaken_loss is not None:
            lines.append(f"with the vector of another RNN it would be {self.mistaken_loss:.3f}: {self._verdict()}")
        if self.agreement is not None:
            lines += self._described(self.agreement)
        if self.best_step == self.num_steps:
            lines.append("it was best at the end: more updates may help")
        return "\n".join(lines)

    def _verdict(self) -> str:
        assert self.mistaken_loss is not None
        share = self.validation_loss / self.mistaken_loss if self.mistaken_loss else 1.0
        if share < 0.5:
            return "the vectors say what the RNNs do"
        if self.agreement is not None and self.agreement.typical_difference < _ALIKE:
            return "the RNNs are alike, so nearly any of their vectors suffices"
        if share <= 0.9:
            return "the vectors say something of what the RNNs do"
        return "the vectors say almost nothing; give more RNNs, other inputs or more updates"

    @staticmethod
    def _described(agreement: Agreement) -> list[str]:
        differ = f"answers of two RNNs differ by {agreement.typical_difference:.3f} (median)"
        follow = "distances of vectors cannot be compared with them, because all pairs are equally far apart"
        if agreement.rank_correlation is not None:
            follow = f"distances of vectors follow them with a rank correlation of {agreement.rank_correlation:.2f}"
        lines = [f"{differ}; {follow}"]
        if agreement.num_unusual:
            found = f"{agreement.num_unusual_found} of the {agreement.num_unusual} RNNs that stand out in behaviour"
            lines.append(f"{found} stand out in the vectors as well: `rnn2vec index outliers` ranks them")
        return lines


@torch.no_grad()
def emulation_loss(model: Model, behaviours: Sequence[Behaviour], name: str, *, shift: int) -> float:
    """Return the mean distance of emulations from RNNs; with `shift`, each gets the vector of another."""
    distance = losses.distance(name, model.encoder.interface.output_kind)
    vectors = _vectors(model, behaviours).roll(shift, dims=0)
    parts = vectors.split([len(behaviour.rnns) for behaviour in behaviours])
    errors = [
        distance(behaviour.outputs, model.emulator(part, behaviour.inputs)).mean(dim=(1, 2))
        for part, behaviour in zip(parts, behaviours, strict=True)
    ]
    return float(torch.cat(errors).mean())


@torch.no_grad()
def agreement(model: Model, behaviours: Sequence[Behaviour], name: str) -> Agreement | None:
    """Compare distances of vectors with distances of behaviour.

    Args:
        model: the encoder.
        behaviours: RNNs, all on the same inputs, in standard units.
        name: the loss in whose unit answers are compared.
    """
    answers = torch.cat([behaviour.outputs for behaviour in behaviours])[:_MOST]
    if len(answers) < 4:
        return None
    distance = losses.distance(name, model.encoder.interface.output_kind)
    rows, columns = np.triu_indices(len(answers), 1)
    in_behaviour = np.zeros((len(answers), len(answers)))
    for row in range(len(answers) - 1):
        others = answers[row + 1 :]
        mine = answers[row : row + 1].expand_as(others)
        in_behaviour[row, row + 1 :] = distance(mine, others).mean(dim=(1, 2)).numpy()
    in_behaviour += in_behaviour.T
    vectors = _vectors(model, behaviours)[:_MOST]
    in_vectors = torch.cdist(vectors, vectors).numpy()
    stands_out = _stands_out(np.sqrt(in_behaviour) if name == "mse" else in_behaviour)
    return Agreement(
        float(np.median(in_behaviour[rows, columns])),
        _rank_correlation(in_behaviour[rows, columns], in_vectors[rows, columns]),
        int(stands_out.sum()),
        int((stands_out & _stands_out(in_vectors)).sum()),
    )


def _vectors(model: Model, behaviours: Sequence[Behaviour]) -> Tensor:
    return torch.cat([model.encoder(behaviour.rnns) for behaviour in behaviours])


def _stands_out(distances: Float[np.ndarray, "N N"]) -> np.ndarray:
    count = max(1, min(_NEIGHBOURS, (len(distances) - 1) // 2))
    scores = np.sort(distances, axis=1)[:, count]
    return scores > _STANDS_OUT * np.median(scores)


def _rank_correlation(first: Float[np.ndarray, " P"], second: Float[np.ndarray, " P"]) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Return ranks; ties share their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
