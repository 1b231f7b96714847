"""The path of the data through a Keras model, read from its description as data.

A description lists layers, and for each the layers that it is called on. From every output the path is followed back to
the input. A layer with several inputs, a call with an initial state or a mask, and a layer that a model's own code
connects have no place on it, and are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rnn2vec._errors import UsageError

REMEDY = (
    "give a Keras 3 model of LSTM, GRU or SimpleRNN layers under Dense layers, one after the other; "
    "probe anything else as a black box: FunctionBlackBox(...)."
)
_ONE_OUTPUT = "keep one: keras.Model(model.inputs, model.outputs[0]).save('one.keras'); then give one.keras."
_CONTAINERS = {"Sequential", "Functional", "Model"}
_LONGEST = 1_000


@dataclass(frozen=True)
class Node:
    """A call of a layer."""

    kind: str
    """Class of the layer."""
    name: str
    """Name that the model's author sees."""
    config: Mapping[str, Any]
    """Options of the layer."""
    place: str
    """Group of its weights in the file."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


def paths(description: Mapping[str, Any]) -> list[list[Node]]:
    """Return for each output the calls from the input to it.

    Raises:
        UsageError: if the model has no such paths; the text names the layer.
    """
    found = [_through(_config(description), str(description.get("class_name")), "", at) for at in _outputs(description)]
    if not found or any(len(path) > _LONGEST for path in found):
        raise UsageError("a description without layers", remedy=REMEDY)
    return found


def _config(layer: Any) -> Mapping[str, Any]:
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        raise UsageError("a description that is not one of layers", remedy=REMEDY)
    return cast("dict[str, Any]", layer["config"])


def _outputs(description: Mapping[str, Any]) -> list[int]:
    outputs = list(_references(_config(description).get("output_layers")))
    return list(range(len(outputs))) or [0]


def _references(value: Any) -> Iterator[tuple[str, int, int]]:
    """Yield `(layer, call, output)` of all tensors in a nested structure."""
    if isinstance(value, (list, tuple)):
        if len(value) == 3 and isinstance(value[0], str) and all(isinstance(one, int) for one in value[1:]):
            yield value[0], value[1], value[2]
            return
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield from _references(_config(value).get("keras_history"))
            return
        for one in value.values():
            yield from _references(one)


# -- one model -------------------------------------------------------------------------------------


def _through(config: Mapping[str, Any], kind: str, prefix: str, output: int) -> list[Node]:
    """Return the calls between the input of a model and one of its outputs, nested models opened."""
    layers = list(_named_layers(config, prefix))
    if kind == "Sequential":
        return [call for layer, place in layers for call in _opened(layer, place, 0)]
    by_name = {str(layer.get("name") or _config(layer).get("name")): (layer, place) for layer, place in layers}
    reference = [*_references(config.get("output_layers"))][output : output + 1]
    if not reference:
        raise UsageError(
            f"a model of class {kind}, which is connected by its own code",
            remedy="give a functional model, or the weights alone (model.save_weights('x.weights.h5')) with "
            "layers=(...) or check=(inputs, outputs).",
        )
    found: list[Node] = []
    while True:
        name, call, which = reference[0]
        if name not in by_name or len(found) > _LONGEST:
            raise UsageError(f"a description in which {name!r} leads nowhere", remedy=REMEDY)
        layer, place = by_name[name]
        found = [*_opened(layer, place, which), *found]
        if layer.get("class_name") == "InputLayer":
            return found
        reference = [_input_of(layer, name, call)]


def _named_layers(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield layers with the groups of their weights, which Keras names by class and number."""
    counts: dict[str, int] = {}
    for layer in config.get("layers") or []:
        _ = _config(layer)
        name = _snake_case(str(layer.get("class_name")))
        number = counts.get(name, 0)
        counts[name] = number + 1
        yield layer, f"{prefix}layers/{name}{f'_{number}' if number else ''}"


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _opened(layer: Mapping[str, Any], place: str, which: int) -> list[Node]:
    """Return a layer, or the layers inside a model or a TimeDistributed."""
    kind, config = str(layer.get("class_name")), _config(layer)
    if kind in _CONTAINERS:
        return _through(config, kind, f"{place}/", which)
    if which:
        raise UsageError(
            f"{kind} {config.get('name')!r}, of which not the outputs but a state is used", remedy=_ONE_OUTPUT
        )
    if kind == "TimeDistributed":
        return _opened(cast("Mapping[str, Any]", config.get("layer")), f"{place}/layer", 0)
    return [Node(kind, str(config.get("name")), config, place)]


def _input_of(layer: Mapping[str, Any], name: str, call: int) -> tuple[str, int, int]:
    """Return the one tensor that a layer is called on."""
    calls = layer.get("inbound_nodes")
    node = calls[call] if isinstance(calls, list) and 0 <= call < len(calls) else None
    if not isinstance(node, dict):
        raise UsageError(f"a call of {name!r} that is not described as Keras 3 does", remedy=REMEDY)
    options = node.get("kwargs") or {}
    tensors = [*_references(node.get("args"))]
    if len(tensors) != 1 or any(True for _ in _references(options)) or options.get("training"):
        beside = ", ".join(sorted(key for key, one in options.items() if one)) or f"{len(tensors)} inputs"
        raise UsageError(
            f"{layer.get('class_name')} {name!r} is called with {beside}, where data of one path is read", remedy=REMEDY
        )
    return tensors[0]


def require_one_trunk(found: Sequence[Sequence[Node]], is_trunk: Sequence[int]) -> None:
    """Check that all paths share their calls up to the last recurrent layer.

    Args:
        found: paths.
        is_trunk: number of calls of each up to its last recurrent layer.

    Raises:
        UsageError: if they do not; the text names the outputs.
    """
    trunks = {tuple(node.place for node in path[:number]) for path, number in zip(found, is_trunk, strict=True)}
    if len(trunks) > 1:
        outputs = ", ".join(str(path[-1]) for path in found)
        raise UsageError(f"{len(found)} outputs of different recurrent layers: {outputs}", remedy=_ONE_OUTPUT)
