"""The classical and the learned interrogator on the trained RNNs of one zoo.

The classical interrogator (`rnn_identification`) has a model of all languages. The learned one is a
pre-trained probing encoder: after each exchange of its dialogue, one logistic regression per letter predicts the offset
from the representation, fitted on a few hundred labelled RNNs. Both can only step the RNN. They are compared on the
last snapshots of
RNNs whose languages were not used to train the learned one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.experiments.interrogation.rnn_identification import Identification, LanguageInterrogator, LanguageModel
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.store import Zoo


@torch.no_grad()
def representations_along(encoder: WeightEncoder, rnns: RNNStack) -> Float[np.ndarray, "L N Z"]:
    """Compute the representation of each RNN after each of the L exchanges of the dialogue.

    Args:
        encoder: a pre-trained probing encoder.
        rnns: N RNNs that the encoder accepts.

    Raises:
        UsageError: if the encoder does not probe.
    """
    if not isinstance(encoder, ProbingEncoder):
        raise UsageError(f"{encoder.name} does not probe", remedy="give a run of a probing encoder.")
    return torch.stack(list(encoder.anytime(rnns))).numpy()


def offset_accuracy(
    train: Float[np.ndarray, "N Z"],
    train_offsets: Int[np.ndarray, "N K"],
    test: Float[np.ndarray, "M Z"],
    test_offsets: Int[np.ndarray, "M K"],
) -> Float[np.ndarray, " K1"]:
    """Compute the accuracy of predicting the offsets of a language from a representation.

    Args:
        train: representations on which one logistic regression per offset is fitted.
        train_offsets: K offsets of their languages.
        test: representations on which the regressions are evaluated.
        test_offsets: K offsets of their languages.

    Returns:
        The share of test RNNs with all offsets correct, then the share with each single offset correct.
    """
    right = np.zeros(test_offsets.shape, dtype=bool)
    for column in range(train_offsets.shape[1]):
        predictor = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, max_iter=2000))
        predictor.fit(train, train_offsets[:, column])
        right[:, column] = predictor.predict(test) == test_offsets[:, column]
    return np.array([right.all(axis=1).mean(), *right.mean(axis=0)])


def offsets_of(tasks: Sequence[Sequence[float]]) -> Int[np.ndarray, "N K"]:
    """Convert the tasks of N RNNs to integer offsets."""
    return np.array(tasks).astype(np.int64)


GOOD_ENOUGH = 0.5
"""Minimum performance of the snapshots on which the learned interrogator's predictors are fitted."""


@dataclass(frozen=True)
class Tally:
    """The classical interrogator's results on a group of RNNs."""

    what: str
    """Name of the group."""
    num_rnns: int
    performance: float
    """Mean performance of the RNNs on their own task."""
    right: float
    """Share identified confidently and correctly."""
    wrong: float
    """Share identified confidently but incorrectly."""
    unsure: float
    """Share for which no hypothesis reached the confidence target."""
    unknown: float
    """Share confidently classified as generating none of the languages."""
    mean_calls: float
    """Mean number of steps per RNN."""
    worst_calls: int
    """Largest number of steps for one RNN."""


@dataclass(frozen=True)
class Curve:
    """Accuracy as a function of the number of calls."""

    calls: tuple[int, ...]
    """Numbers of calls, ascending."""
    accuracy: tuple[float, ...]
    """Share of RNNs identified correctly after each number of calls."""


@dataclass(frozen=True)
class RNNResults:
    """Results of both interrogators on a zoo."""

    tallies: tuple[Tally, ...]
    """Results of the classical interrogator by snapshot step and split."""
    classical: Curve
    """Accuracy of the classical interrogator's best guess on last snapshots of unseen languages."""
    learned: Curve | None
    """Share with all offsets predicted correctly by the learned interrogator, on the same RNNs."""
    learned_offsets: dict[str, Curve]
    """Accuracy of the learned interrogator on each offset, by its name."""
    num_train: int
    """Number of labelled RNNs on which the learned interrogator's predictors were fitted."""
    num_test: int
    """Number of RNNs on which both curves were measured."""


def run_on_zoo(
    zoo: Zoo, model: Rnn2Vec | None, *, budget: int = 40, most: int = 200, seed: int = 0, progress: Progress = silent
) -> RNNResults:
    """Interrogate the RNNs of a zoo.

    Args:
        zoo: a zoo of formal languages.
        model: a pre-trained probing encoder, or None to run the classical interrogator only.
        budget: maximum number of steps per RNN.
        most: maximum number of RNNs, drawn at random, per earlier snapshot step; all last snapshots are used.
        seed: seed of that sample.
        progress: callback that receives the number of snapshot steps done.

    Raises:
        UsageError: if the zoo's task family is not formal languages, or the model does not probe.
    """
    if not isinstance(zoo.family, FormalLanguages):
        raise UsageError(f"{zoo.folder} is a zoo of {zoo.family.name}", remedy="give a zoo of formal languages.")
    questioner = _Questioner(zoo, zoo.family, budget)
    steps, split = zoo.column("step"), zoo.column("split")
    last = steps == steps.max()
    tallies: list[Tally] = []
    earlier = np.unique(steps)[:-1].tolist()
    for done, step in enumerate(earlier):
        progress(done, len(earlier) + 2, f"snapshots after {step} updates")
        rows = numpy_generator(seed, "interrogation", "snapshots", step).permutation(np.flatnonzero(steps == step))
        tallies.append(questioner.tally(f"after {step} updates", np.sort(rows[:most])))
    progress(len(earlier), len(earlier) + 2, "last snapshots")
    train, test = np.flatnonzero(last & (split == "train")), np.flatnonzero(last & (split != "train"))
    tallies += [questioner.tally("last, training languages", train), questioner.tally("last, other languages", test)]
    progress(len(earlier) + 1, len(earlier) + 2, "the learned encoder")
    known = np.flatnonzero((split == "train") & (zoo.column("performance") >= GOOD_ENOUGH))
    learned = (None, {}) if model is None else _learned_curves(zoo, model, known, test)
    progress(1, 1, "done")
    return RNNResults(tuple(tallies), questioner.curve(test), *learned, len(known), len(test))


class _Questioner:
    """The classical interrogator applied to a zoo; caches the identification of each RNN."""

    def __init__(self, zoo: Zoo, family: FormalLanguages, budget: int) -> None:
        self._zoo = zoo
        self._budget = budget
        model = LanguageModel(family)
        self._interrogator = LanguageInterrogator(model, budget=budget)
        self._numbers = {language.offsets[1:]: number for number, language in enumerate(model.languages)}
        self._found: dict[int, Identification] = {}

    def _question(self, rows: Int[np.ndarray, " M"]) -> tuple[list[Identification], Int[np.ndarray, " M"]]:
        """Identify each of these snapshots; return the identifications and the numbers of the true languages."""
        interface = self._zoo.family.interface
        for row in rows.tolist():
            if row not in self._found:
                box = StackBlackBox(
                    self._zoo.rnns([row]), input_kind=interface.input_kind, output_kind=interface.output_kind
                )
                self._found[row] = self._interrogator.identify(box)
        true = [self._numbers[tuple(map(int, task))] for task in self._zoo.tasks(rows)]
        return [self._found[row] for row in rows.tolist()], np.array(true)

    def tally(self, what: str, rows: Int[np.ndarray, " M"]) -> Tally:
        found, true = self._question(rows)
        named = np.array([-1 if one.language is None else one.language for one in found])
        is_unknown = np.array([one.is_unknown for one in found])
        calls = np.array([one.calls for one in found])
        return Tally(
            what,
            len(rows),
            performance=round(float(self._zoo.column("performance")[rows].mean()), 4),
            right=float((named == true).mean()),
            wrong=float(((named >= 0) & (named != true)).mean()),
            unsure=float(((named < 0) & ~is_unknown).mean()),
            unknown=float(is_unknown.mean()),
            mean_calls=round(float(calls.mean()), 2),
            worst_calls=int(calls.max()),
        )

    def curve(self, rows: Int[np.ndarray, " M"]) -> Curve:
        """Compute the share of correct guesses after each number of calls; a verdict counts for all later calls."""
        found, true = self._question(rows)
        guesses = [[int(one.guesses[min(call, one.calls - 1)]) for one in found] for call in range(self._budget)]
        accuracy = tuple(float((np.array(after) == true).mean()) for after in guesses)
        return Curve(tuple(range(1, self._budget + 1)), accuracy)


def _learned_curves(
    zoo: Zoo, model: Rnn2Vec, train: Int[np.ndarray, " N"], test: Int[np.ndarray, " M"]
) -> tuple[Curve, dict[str, Curve]]:
    """Compute the learned interrogator's accuracy after each exchange: on all offsets together, and on each."""
    known, unseen = (representations_along(model.encoder, zoo.rnns(rows)) for rows in (train, test))
    known_offsets, unseen_offsets = (offsets_of(zoo.tasks(rows)) for rows in (train, test))
    at_once: int = model.encoder.num_sequences  # pyright: ignore[reportAssignmentType] (it probes: checked above)
    accuracies = np.array(
        [
            offset_accuracy(before, known_offsets, after, unseen_offsets)
            for before, after in zip(known, unseen, strict=True)
        ]
    )
    calls = tuple(at_once * (step + 1) for step in range(len(accuracies)))
    every, *each = (Curve(calls, tuple(column)) for column in accuracies.T.round(4).tolist())
    return every, dict(zip(zoo.family.task_columns, each, strict=True))
