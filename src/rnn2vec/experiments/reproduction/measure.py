"""Measurements of a reproduction on trained models: imitation, maps, invariance and learned probes.

Each function gives lines for one family's zoo. Models are those of one seed: these figures illustrate encoders, and the
intervals over seeds are in the tables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from rnn2vec import encoders
from rnn2vec._progress import Progress
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.data import SplitData
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.experiments.imitation import imitate
from rnn2vec.experiments.invariance import invariance_table
from rnn2vec.inspection.maps import project
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split
from rnn2vec.zoo.store import Zoo

Line = dict[str, Any]
Models = Mapping[str, Model]
"""Models by the name of their encoder."""

UNSEEN: tuple[Split, ...] = ("validation", "ood")
RAW_WEIGHTS = "raw weights"
"""Stands where others name their encoder: a map of the weights themselves."""
_RNNS, _ROLLOUTS, _EPISODES = 32, 4, 100
_SHOWN_TASK = (-3.0, -1.0, 1.0)
"""The language of the paper's Figure 15."""


def imitation(zoo: Zoo, models: Models, progress: Progress) -> Iterator[Line]:
    """Give the performance of every RNN of unseen tasks beside its emulation's (Figures 5 and 14)."""
    for split in UNSEEN:
        if not len(zoo.split(split)):
            continue
        data = SplitData(zoo, split)
        for place, (name, model) in enumerate(models.items()):
            found = imitate(data, model, num_episodes=_EPISODES)
            progress(place + 1, len(models), f"imitation, {split}")
            low, high = found.interval or (None, None)
            for step, rnn, emulation in zip(
                found.steps, found.performance.rnn, found.performance.emulation, strict=True
            ):
                yield {
                    "family": zoo.family.name,
                    "encoder": name,
                    "split": split,
                    "step": int(step),
                    "rnn": float(rnn),
                    "emulation": float(emulation),
                    "r_squared": found.performance.r_squared,
                    "low": low,
                    "high": high,
                }


def maps(zoo: Zoo, models: Models, progress: Progress) -> Iterator[Line]:
    """Give the place of every RNN of unseen tasks on a t-SNE map of each encoder's representations, and of raw weights.

    The splits share a map: representations of unusual tasks lie among those of unseen ones, or apart from them.
    """
    rows = np.concatenate([zoo.split(split) for split in UNSEEN])
    stack = zoo.rnns(rows)
    assert isinstance(stack, RNNStack)
    columns = {name: zoo.column(name)[rows] for name in ("split", "run", "step", "performance", "generalization_gap")}
    tasks = zoo.tasks(rows)
    vectors = {name: _embedded(model, stack) for name, model in models.items()}
    vectors[RAW_WEIGHTS] = stack.flatten().numpy()
    for place, (name, found) in enumerate(vectors.items()):
        coordinates = project(found, method="tsne").coordinates
        progress(place + 1, len(vectors), "maps")
        for number, (x, y) in enumerate(coordinates):
            facts = {column: values[number] for column, values in columns.items()}
            yield {
                "family": zoo.family.name,
                "encoder": name,
                "x": float(x),
                "y": float(y),
                "task": list(map(float, tasks[number])),
                "split": str(facts["split"]),
                "run": int(facts["run"]),
                "step": int(facts["step"]),
                "performance": float(facts["performance"]),
                "gap": float(facts["generalization_gap"]),
            }


@torch.no_grad()
def _embedded(model: Model, stack: RNNStack) -> np.ndarray:
    parts = [model.encoder(stack.select(slice(at, at + 256))) for at in range(0, len(stack), 256)]
    return torch.cat(parts).numpy()


def invariance(zoo: Zoo, models: Models) -> Iterator[Line]:
    """Give how far each change of the weights moves untrained and trained encoders (Figures 16 and 17)."""
    unseen = SplitData(zoo, "validation")
    chosen = np.argsort(-unseen.steps, kind="stable")[:_RNNS]
    rollouts = np.arange(min(_ROLLOUTS, unseen.codes.shape[1]))
    behaviour = unseen.behaviour(chosen, np.tile(rollouts, (len(chosen), 1)))
    trained = {name: model.encoder for name, model in models.items()}
    new = {
        name: encoders.build(name, zoo.spec, interface=zoo.family.interface, **model.config["encoder_options"])
        for name, model in models.items()
    }
    for state, by_name in {"untrained": new, "trained": trained}.items():
        table = invariance_table(by_name, behaviour.rnns, behaviour.inputs)
        for name, row in table.items():
            for change, moved in row.items():
                facts = dataclasses.asdict(moved)
                yield {"family": zoo.family.name, "state": state, "encoder": name, "change": change, **facts}


@torch.no_grad()
def probes(zoo: Zoo, models: Models) -> Iterator[Line]:
    """Give the first probing sequence that each model asks of one RNN, and the answers (Figure 15).

    Args:
        zoo: the zoo.
        models: probing encoders, by what is to be shown of them.
    """
    rows = _shown(zoo)
    stack = zoo.rnns(rows)
    assert isinstance(stack, RNNStack)
    for name, model in models.items():
        if not isinstance(model.encoder, ProbingEncoder):
            continue
        said = model.encoder.probing_transcript(stack)
        answers = said.responses[0, 0].softmax(dim=-1)
        for step, (asked, answered) in enumerate(zip(said.probes[0, 0].tolist(), answers.tolist(), strict=True), 1):
            yield {
                "family": zoo.family.name,
                "encoder": name,
                "task": zoo.family.describe(zoo.tasks(rows)[0]),
                "length": model.encoder.sequence_length,
                "step": step,
                "probe": asked,
                "answer": answered,
            }


def _shown(zoo: Zoo) -> np.ndarray:
    """Return the row of one trained RNN: of the paper's language where the zoo has it, else of an unseen task."""
    last = np.flatnonzero(zoo.column("step") == zoo.column("step").max())
    tasks = zoo.tasks(last)
    wanted = [row for row, task in zip(last, tasks, strict=True) if task == _SHOWN_TASK]
    unseen = [row for row in last if row in set(zoo.split("validation"))]
    return np.array((wanted or unseen)[:1])
