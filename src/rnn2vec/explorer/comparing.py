"""Comparing two RNNs: answers to one input, distances, where in training they part, and the shortest disagreement."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec.embedding.untrained import probes_for
from rnn2vec.explorer.asking import shown
from rnn2vec.explorer.collection import Collection, Member
from rnn2vec.explorer.packing import packed
from rnn2vec.explorer.query import Query
from rnn2vec.explorer.views import run_of, short
from rnn2vec.index.groups import typical_distance
from rnn2vec.inspection import difference, twins
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.tiled_mnist import TiledMnist

_LENGTH = 24
_MARGIN = 0.5


@torch.no_grad()
def compare(collection: Collection, query: Query) -> bytes:
    """Return answers of two RNNs to the same input, their distances, and a verdict.

    Raises:
        UsageError: if inputs or outputs differ, or a file is gone.
    """
    one, other = (collection.member(query.text(name)) for name in ("a", "b"))
    first, second = collection.rnn(one), collection.rnn(other)
    encoder = collection.require_model().encoder
    interface = encoder.interface
    difference.require_comparable(first, second, interface, _MARGIN)
    probes = probes_for(encoder, first.spec)
    verdict = twins.compare(first, second, probes, interface, margin=_MARGIN)
    inputs, about = _input(collection, one, first, interface, probes)
    answers = [rnn(inputs[None, None])[0][0, 0] for rnn in (first, second)]
    apart = difference.answer_distance(answers[0], answers[1], interface)
    shown_answers = [shown(one, interface).numpy() for one in answers]
    values = {
        "a": {"id": one.id, "name": short(one.name)},
        "b": {"id": other.id, "name": short(other.name)},
        "input": about,
        "verdict": {"kind": verdict.kind, "text": verdict.describe()},
        "representation_distance": float(np.linalg.norm(one.vector - other.vector)),
        "typical_distance": typical_distance(collection.index.vectors, seed=collection.seed),
        "weight_distance": _weight_distance(first, second),
        "parting": parting(collection, one, other),
    }
    arrays = {"inputs": inputs.numpy(), "a": shown_answers[0], "b": shown_answers[1], "apart": apart.numpy()}
    return packed(values, arrays)


def _input(
    collection: Collection, member: Member, rnn: RNNStack, interface: Interface, probes: Float[Tensor, "M L I"]
) -> tuple[Float[Tensor, "T I"], str]:
    """Return an input that is natural for the first RNN, where one is known, and what it is."""
    if difference.generates(rnn, interface):
        made = difference.generated(rnn, interface, number=1, length=_LENGTH, seed=collection.seed)
        return made[0, 0], "a string that the first RNN generates"
    family = collection.family
    if isinstance(family, TiledMnist) and family.has_data:
        image = torch.from_numpy(family.data.images[family.held_out[:1]])[None]
        return family.seen(image, [task_of(collection, member)])[0, 0], "an image at the first RNN's angle"
    return probes[0], "a random input"


def task_of(collection: Collection, member: Member) -> Task:
    """Return the task of an RNN by its properties; zeros for a dropped file."""
    assert collection.family is not None
    names = collection.family.task_columns
    if member.row is None:
        return (0.0,) * len(names)
    known = collection.index.neighbour(member.row).properties
    return tuple(float(known[name]) for name in names)


def _weight_distance(one: RNNStack, other: RNNStack) -> float | None:
    """Return the distance of the weights, relative to the length of the first's; None for two architectures."""
    if one.spec != other.spec:
        return None
    first, second = one.flatten()[0], other.flatten()[0]
    return float((first - second).norm() / first.norm().clamp(min=1e-12))


def parting(collection: Collection, one: Member, other: Member) -> list[dict[str, float]] | None:
    """Return the distance of the representations of two runs at each step that both have; None without two runs."""
    first, second = run_of(collection, one), run_of(collection, other)
    if not first or not second or first == second:
        return None
    places = {snapshot["step"]: int(snapshot["id"]) for snapshot in second}
    vectors = collection.index.vectors
    return [
        {"step": here["step"], "distance": float(np.linalg.norm(vectors[int(here["id"])] - vectors[there]))}
        for here in first
        if (there := places.get(here["step"])) is not None
    ]


def disagreement(collection: Collection, query: Query) -> dict[str, Any]:
    """Return the shortest input that was found on which two RNNs disagree by more than a margin of 0.5.

    Raises:
        UsageError: if inputs or outputs differ, or a file is gone.
    """
    first, second = (collection.rnn(collection.member(query.text(name))) for name in ("a", "b"))
    encoder = collection.require_model().encoder
    verdict = twins.compare_and_search(
        first, second, probes_for(encoder, first.spec), encoder.interface, margin=_MARGIN, seed=collection.seed
    )
    found = verdict.shortest
    search = None
    if found is not None:
        search = {
            "inputs": found.inputs.tolist(),
            "answers": [answer.tolist() for answer in found.answers],
            "distance": found.distance,
            "is_shortest": found.is_shortest,
        }
    return {"kind": verdict.kind, "text": verdict.describe(), "found": search, "margin": _MARGIN}
