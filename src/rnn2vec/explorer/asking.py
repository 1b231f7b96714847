"""Asking one RNN: the encoder's dialogue with what is believed after each answer, and inputs of the reader's own.

What is believed after an answer is what the representation says that the dialogue would end with there: properties by
the predictors of `inspection.property_prediction` where they could be fitted, and else the properties of the nearest
RNNs of the collection. The answer says which.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._text import visible
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.explorer.collection import Collection
from rnn2vec.explorer.jobs import Pending
from rnn2vec.explorer.packing import packed
from rnn2vec.explorer.query import Query, tokens_as_inputs
from rnn2vec.explorer.views import plain
from rnn2vec.inspection.card import readable
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.tiled_mnist import TiledMnist

MOST_TOKENS = 200
"""Tokens of a prefix that a page may send."""
_BELIEVED_AMONG = 25
_SHOWN_VALUES = 4
_DIGITS = 10
_SIDE = 28

Vectors = Float32[np.ndarray, "L Z"]


# -- the encoder's dialogue ------------------------------------------------------------------------


@torch.no_grad()
def dialogue(collection: Collection, query: Query) -> bytes:
    """Return what the encoder asks an RNN, what it answers, and what is believed after each answer.

    Raises:
        UsageError: if the encoder asks nothing, or the RNN's file is gone.
    """
    rnn = collection.rnn(collection.member(query.text("id")))
    encoder = collection.require_model().encoder
    if isinstance(encoder, RandomProbing):
        answers = readable(encoder.answers(rnn)[0], encoder.interface)
        return _message(encoder.probes, answers, None)
    if not isinstance(encoder, ProbingEncoder):
        raise UsageError(f"the {encoder.name} encoder reads weights and asks nothing", remedy="use a probing encoder.")
    said = encoder.probing_transcript(rnn)
    answers = readable(said.responses[0], encoder.interface)
    return _message(said.probes[0], answers, _beliefs(collection, said.representations[0].numpy()))


def _message(asked: Tensor, answered: Tensor, beliefs: dict[str, Any] | None) -> bytes:
    arrays = {"asked": _finite(asked), "answered": _finite(answered)}
    return packed({"beliefs": beliefs}, arrays)


def _finite(values: Tensor) -> Float32[np.ndarray, "..."]:
    """Return what is shown as an array.

    Raises:
        DataError: if an answer is not finite.
    """
    array = values.detach().float().numpy()
    if not np.isfinite(array).all():
        raise DataError("the RNN answers with NaN or infinite numbers", remedy="take another: its training diverged.")
    return array


def _beliefs(collection: Collection, vectors: Vectors) -> dict[str, Any]:
    """Return for each property its likely values after each answer."""
    _, rows = collection.index.nearest(vectors, min(_BELIEVED_AMONG, len(collection)))
    among = _among_neighbours(collection, rows)
    try:
        predictors = collection.predictors()
        predicted = [predictors.predict(vector) for vector in vectors]
    except (Pending, UsageError):
        predicted = [[]]
    if not predicted[0]:
        return {"source": "neighbours", "number": int(rows.shape[1]), "properties": among}
    by_name = {one["name"]: one for one in among if one["name"] == "task"}
    for place, first in enumerate(predicted[0]):
        steps = [_predicted(one[place]) for one in predicted]
        by_name[first.name] = {"name": visible(first.name), "source": "predictors", "steps": steps}
    return {"source": "predictors", "number": int(rows.shape[1]), "properties": list(by_name.values())}


def _predicted(prediction: Any) -> list[dict[str, Any]]:
    return [{"value": plain(prediction.value), "share": prediction.probability, "interval": prediction.interval}]


def _among_neighbours(collection: Collection, rows: Int[np.ndarray, "L k"]) -> list[dict[str, Any]]:
    """Return shares of values, or means and spreads of numbers, among the nearest RNNs after each answer."""
    found: list[dict[str, Any]] = []
    nearest = collection.table.take(rows.reshape(-1))
    for name in collection.index.property_names:
        values = nearest.column(name).to_pylist()
        if name in {"run", "seed", "spec"} or all(one is None for one in values):
            continue
        steps = [_shares(values[at : at + rows.shape[1]]) for at in range(0, len(values), rows.shape[1])]
        found.append({"name": visible(name), "source": "neighbours", "steps": steps})
    return found


def _shares(values: list[Any]) -> list[dict[str, Any]]:
    known = [one for one in values if one is not None]
    if known and all(isinstance(one, int | float) for one in known) and len(set(known)) > _SHOWN_VALUES:
        low, high = np.quantile(np.array(known, dtype=np.float64), [0.05, 0.95])
        return [{"value": plain(float(np.mean(known))), "share": None, "interval": [float(low), float(high)]}]
    counts = Counter(known).most_common(_SHOWN_VALUES)
    return [{"value": plain(value), "share": count / len(known), "interval": None} for value, count in counts]


# -- inputs of the reader's own --------------------------------------------------------------------


@torch.no_grad()
def prefix(collection: Collection, query: Query) -> dict[str, Any]:
    """Return what an RNN over tokens expects after each token of a prefix.

    Raises:
        UsageError: if the RNN's inputs are numbers, or a token is unknown.
    """
    rnn, interface = _rnn_and_interface(collection, query)
    if interface.input_kind != "categorical":
        raise UsageError("this RNN reads numbers, not tokens", remedy="send a series.")
    tokens = query.integers("tokens", below=rnn.spec.input_size, most=MOST_TOKENS)
    if interface.first_input is None and not tokens:
        raise UsageError("an empty prefix", remedy="give at least one token.")
    outputs = rnn(tokens_as_inputs(tokens, rnn.spec, interface))[0][0, 0]
    return {"tokens": tokens, "answers": _finite(shown(outputs, interface)).tolist()}


@torch.no_grad()
def series(collection: Collection, query: Query) -> bytes:
    """Return what an RNN answers to each step of a series of numbers.

    Raises:
        UsageError: if the RNN reads tokens, or the series is not one.
    """
    rnn, interface = _rnn_and_interface(collection, query)
    if interface.input_kind != "continuous":
        raise UsageError("this RNN reads tokens, not numbers", remedy="send a prefix.")
    values = query.numbers("values", width=rnn.spec.input_size)
    inputs = torch.from_numpy(values.astype(np.float32))
    outputs = rnn(inputs[None, None])[0][0, 0]
    return packed({}, {"inputs": _finite(inputs), "answers": _finite(shown(outputs, interface))})


@torch.no_grad()
def digit(collection: Collection, query: Query) -> bytes:
    """Return what an RNN that reads images answers after each tile of a digit that was drawn.

    Raises:
        UsageError: if the RNNs do not read images, or the drawing is not one.
    """
    family = _images(collection)
    rnn, interface = _rnn_and_interface(collection, query)
    pixels = query.numbers("pixels", width=_SIDE, most=_SIDE)
    angle = query.numbers("angle", width=1, most=1)[0, 0]
    if pixels.shape != (_SIDE, _SIDE) or pixels.min() < 0 or pixels.max() > 255:
        raise UsageError(f"a drawing of {pixels.shape}", remedy=f"send {_SIDE} rows of {_SIDE} numbers from 0 to 255.")
    image = torch.from_numpy(pixels.astype(np.uint8)).reshape(1, 1, -1)
    inputs = family.seen(image, [(float(angle) % 360,)])
    outputs = rnn(inputs)[0][0, 0]
    return packed({}, {"inputs": _finite(inputs[0, 0]), "answers": _finite(shown(outputs, interface))})


def digits(collection: Collection, _: Query) -> bytes:
    """Return one image of each class that no RNN was trained on, where the images are on this machine; else none."""
    family = _images(collection)
    if not family.has_data:
        return packed({"labels": []}, {"images": np.zeros((0, _SIDE, _SIDE), dtype=np.uint8)})
    held_out = family.held_out
    labels = family.data.labels[held_out]
    chosen = [held_out[np.flatnonzero(labels == label)[0]] for label in range(_DIGITS) if (labels == label).any()]
    images = family.data.images[chosen].reshape(-1, _SIDE, _SIDE)
    return packed({"labels": family.data.labels[chosen].tolist()}, {"images": images})


def _images(collection: Collection) -> TiledMnist:
    if not isinstance(collection.family, TiledMnist):
        raise UsageError("these RNNs do not read images", remedy="send a series or a prefix.")
    return collection.family


def _rnn_and_interface(collection: Collection, query: Query) -> tuple[RNNStack, Interface]:
    given = query.body.get("id") if isinstance(query.body, dict) else None
    member = collection.member(given if isinstance(given, str) else query.text("id"))
    return collection.rnn(member), collection.require_model().encoder.interface


def shown(outputs: Float[Tensor, "*steps O"], interface: Interface) -> Float[Tensor, "*steps O"]:
    """Return outputs as probabilities of tokens, or as the numbers that they are."""
    return outputs.softmax(dim=-1) if interface.output_kind == "categorical" else outputs
