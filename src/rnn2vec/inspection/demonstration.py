"""A shipped model applied to a sample zoo: vectors, a map, a card, the shortest disagreement of two RNNs."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Float32

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.index.index import Index
from rnn2vec.inspection.card import Card, inspect_rnn
from rnn2vec.inspection.difference import Disagreement, shortest
from rnn2vec.inspection.maps import Projection, project
from rnn2vec.zoo.store import Zoo

_MARGIN = 0.5


@dataclass(frozen=True)
class Member:
    """An RNN of the sample, in words."""

    row: int
    """Row of the zoo."""
    task: str
    """Description of its task."""
    properties: dict[str, Any]
    """True properties."""


@dataclass(frozen=True)
class Demonstration:
    """Results of a demonstration."""

    zoo: Zoo
    """The sample zoo."""
    num_tasks: int
    """Tasks of its RNNs."""
    vectors: Float32[np.ndarray, "N Z"]
    """Representation of each RNN, `(N, Z)`."""
    seconds: float
    """Seconds that embedding took."""
    projection: Projection
    """Map of the vectors."""
    example: Member
    """RNN whose card is shown."""
    card: Card
    """Card of an RNN whose task is not among the model's training tasks."""
    others: tuple[Member, Member]
    """Two RNNs that are compared."""
    disagreement: Disagreement | None
    """Shortest input on which they disagree."""


def demonstrate(
    rnn2vec: Rnn2Vec, zoo: Zoo, index: Index, *, seed: int = 0, progress: Progress = silent
) -> Demonstration:
    """Embed a sample zoo, lay it out, describe the best RNN, and compare it with the best one of another task.

    Args:
        rnn2vec: a trained model.
        zoo: RNNs of at least two tasks.
        index: RNNs to compare with, embedded by the same model.
        seed: seed of everything drawn at random.
        progress: callback that receives the number of parts done.

    Raises:
        UsageError: if the zoo does not fit the model, or has a single task.
    """
    parts = ("embed", "map", "describe one RNN", "compare two")
    done = iter(range(len(parts)))

    def begin(what: str) -> None:
        progress(next(done), len(parts), what)

    begin(parts[0])
    start = perf_counter()
    vectors = rnn2vec.embed(zoo)
    seconds = perf_counter() - start
    begin(parts[1])
    projection = project(vectors, seed=seed)
    begin(parts[2])
    performance = zoo.column("performance")
    tasks = np.array([zoo.family.describe(task) for task in zoo.tasks(np.arange(len(zoo)))])
    best = int(np.argmax(performance))
    of_others = np.flatnonzero(tasks != tasks[best])
    if not len(of_others):
        raise UsageError(f"{zoo.folder} holds RNNs of one task", remedy="give a zoo of at least two tasks.")
    other = int(of_others[np.argmax(performance[of_others])])
    card = inspect_rnn(rnn2vec, zoo.rnns([best]), index, seed=seed)
    begin(parts[3])
    found = shortest(zoo.rnns([best]), zoo.rnns([other]), rnn2vec.encoder.interface, margin=_MARGIN, seed=seed)
    progress(1, 1, "done")
    members = [_member(zoo, row, str(tasks[row])) for row in (best, other)]
    return Demonstration(
        zoo, len(set(tasks)), vectors, seconds, projection, members[0], card, (members[0], members[1]), found
    )


def _member(zoo: Zoo, row: int, task: str) -> Member:
    properties = {name: zoo.properties.column(name)[row].as_py() for name in zoo.properties.column_names}
    return Member(row, task, properties)
