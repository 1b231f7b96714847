"""Keras 3 models: `.weights.h5` (the weights) and `.keras` (an archive of these with the model's description).

An LSTM's gates are `i f c o`, a GRU's `z r h`, kernels are (inputs, units). A GRU with `reset_after=False` resets its
state before it is multiplied with the recurrent weights: no PyTorch GRU does that, and none can be made of it. In the
weights alone it shows in a bias of one row instead of two.

A description says how layers are connected, and is followed (`keras_graph`). Weights alone do not: they are renamed as
PyTorch's, and read as a state dict is, with its assumptions and hints.

Keras itself is not used: it runs what a description names. A description is read as data, and each kind of layer that
is not known to leave the function as it is, is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.connections import Roles, from_named_tensors, natural, shapes
from rnn2vec.rnn.parts import Affine, Converted, Layer, Parts, assembled, cell_of, embedding, scaling, stacked
from rnn2vec.rnn.reading import hdf5, untrusted
from rnn2vec.rnn.reading.arrays import ArrayLayer, affine, as_tensor, layers_in_torch_order
from rnn2vec.rnn.reading.keras_graph import REMEDY, Node, paths, require_one_trunk
from rnn2vec.rnn.reading.torch_files import damaged
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.state_dicts import Hints, without

_GATE_ORDERS: dict[CellName, str] = {"lstm": "i f c o", "gru": "z r h", "rnn_tanh": "", "rnn_relu": ""}
_NO_WEIGHTS_OF_THE_RNN = re.compile(r"(optimizer|metrics)\b|.*(seed_generator|/vars/.*seed)")
_RECURRENT = {"LSTM", "GRU", "SimpleRNN"}
_PASSING = {
    "InputLayer",
    "Identity",
    "Dropout",
    "SpatialDropout1D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
}
_READ = {*_RECURRENT, *_PASSING, "Dense", "Activation", "Softmax", "Embedding", "Normalization", "Rescaling"}
_LINKS = {"linear", "softmax", "sigmoid"}
_EPSILON = 1e-7  # below which Keras does not let a standard deviation fall

Arrays = Mapping[str, np.ndarray]


def read(path: Path, **hints: Unpack[Hints]) -> list[Converted]:
    """Return the ways in which a Keras file can be read as one RNN: one, where it has a description.

    Args:
        path: the file.
        **hints: see `rnn2vec.rnn.state_dicts.Hints`; a `.keras` file says what `cell` and `layers` say.

    Raises:
        UsageError: if it holds something else, or h5py is not installed.
        DataError: if it is damaged or claims more than it has.
    """
    try:
        found, description = _opened(path)
    except (untrusted.Refused, zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        raise damaged("a Keras file", error) from error
    found = {name: one for name, one in found.items() if not _NO_WEIGHTS_OF_THE_RNN.match(name)}
    if description is not None:
        return [_described(found, description)]
    if any(name.startswith("model_weights/") or ":0" in name for name in found):
        raise UsageError(
            "a file of Keras 2 (or Keras 3's legacy .h5)",
            remedy="open it in Keras and resave it:\n     model = keras.models.load_model('old.h5', compile=False)\n"
            "     model.save('new.keras')",
        )
    return _undescribed(without(found, hints.get("ignore", ())), hints)


def _opened(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """Return the arrays, and the description where there is one."""
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        return hdf5.arrays(str(path), size), None
    with zipfile.ZipFile(path) as archive:
        untrusted.check_archive(archive, size)
        weights = archive.read("model.weights.h5")
        return hdf5.arrays(io.BytesIO(weights), len(weights)), untrusted.json_entry(archive, "config.json")


def _of_layer(found: Arrays, place: str) -> list[np.ndarray]:
    """Return the arrays of one layer, in order."""
    return [one for _, one in sorted((name, one) for name, one in found.items() if name.startswith(f"{place}/vars/"))]


# -- with a description ----------------------------------------------------------------------------


def _described(found: Arrays, description: Mapping[str, Any]) -> Converted:
    """Return the RNN that the description connects."""
    every = paths(description)
    for node in (node for path in every for node in path):
        if node.kind not in _READ:
            raise UsageError(f"{node}, a layer of kind {node.kind}, which is not read", remedy=REMEDY)
    ends = [max((at + 1 for at, node in enumerate(path) if node.kind in _RECURRENT), default=0) for path in every]
    if not all(ends):
        raise UsageError(f"an output without a recurrent layer below it among {shapes(found)}", remedy=REMEDY)
    require_one_trunk(every, ends)
    trunk = every[0][: ends[0]]
    recurrent = [node for node in trunk if node.kind in _RECURRENT]
    cells: set[CellName] = {_checked_cell(node, is_last=node is recurrent[-1]) for node in recurrent}
    if len(cells) > 1:
        raise UsageError(f"layers of several cells: {', '.join(sorted(cells))}", remedy=REMEDY)
    cell = cells.pop()
    layers = [_layer(_of_layer(found, f"{node.place}/cell"), cell, has_bias=node.config.get("use_bias", True))
              for node in recurrent]  # fmt: skip
    stateful = [str(node) for node in recurrent if node.config.get("stateful")]
    hidden_size = layers[-1].weight_hh.shape[1]
    return assembled(
        Parts(
            cell=cell,
            layers=layers,
            readout=stacked([_head(found, path[end:], hidden_size) for path, end in zip(every, ends, strict=True)]),
            below=_maps_below(found, trunk, layers),
            assumed=tuple(f"{name} is stateful, and begins with a state of zeros" for name in stateful),
        )
    )


def _maps_below(found: Arrays, trunk: Sequence[Node], layers: Sequence[Layer]) -> dict[int, Affine]:
    """Return the linear maps below each recurrent layer."""
    below: dict[int, Affine] = {}
    number, chain = 0, list[Node]()
    for node in trunk:
        if node.kind not in _RECURRENT:
            chain.append(node)
            continue
        inputs = layers[number].weight_ih.shape[1]
        composed = _composed(found, chain, inputs)
        if composed is not None:
            below[number] = composed
        number, chain = number + 1, []
    return below


def _composed(found: Arrays, chain: Sequence[Node], outputs: int) -> Affine | None:
    """Return the linear map of several layers that makes `outputs` numbers; None where they do nothing."""
    whole: Affine | None = None
    for node in reversed(chain):
        one = _linear(found, node, outputs if whole is None else whole.weight.shape[1])
        if one is not None:
            whole = one if whole is None else whole.after(one)
    return whole


def _linear(found: Arrays, node: Node, outputs: int) -> Affine | None:
    """Return the linear map of one layer; None where it does nothing.

    Raises:
        UsageError: if the layer is of a kind that is not read, or not linear.
    """
    config = node.config
    if node.kind in _PASSING:
        return None
    if node.kind in {"Dense", "Activation"}:
        _require(node, "activation", "linear")
    if node.kind == "Activation":
        return None
    arrays = _of_layer(found, node.place)
    if node.kind == "Dense" and arrays:
        return affine(arrays[0], arrays[1] if len(arrays) > 1 else None, transposed=True)
    if node.kind == "Embedding" and arrays:
        _require(node, "mask_zero", False)
        return embedding(as_tensor(arrays[0]))
    if node.kind == "Normalization":
        _require(node, "invert", False)
        return _standardizing(*_mean_and_variance(node, arrays), outputs)
    if node.kind == "Rescaling":
        try:
            factor, offset = (np.asarray(config[name], np.float64) for name in ("scale", "offset"))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{node} without numbers", remedy=REMEDY) from error
        return scaling(as_tensor(np.asarray(-offset / factor)), as_tensor(np.asarray(1 / factor)), outputs)
    raise UsageError(f"{node} at a place where it is not read, or without weights", remedy=REMEDY)


def _mean_and_variance(node: Node, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a Normalization layer: constants of its description, or learned from data."""
    if node.config.get("mean") is None:
        if len(arrays) < 2:
            raise UsageError(f"{node} without numbers", remedy=REMEDY)
        return arrays[0], arrays[1]
    try:
        mean, variance = (np.asarray(node.config[name], np.float64) for name in ("mean", "variance"))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{node} without numbers", remedy=REMEDY) from error
    return mean, variance


def _standardizing(mean: np.ndarray, variance: np.ndarray, inputs: int) -> Affine:
    return scaling(as_tensor(mean), as_tensor(np.maximum(np.sqrt(variance), _EPSILON)), inputs)


def _head(found: Arrays, path: Sequence[Node], hidden_size: int) -> Affine:
    """Return the readout: linear layers, and at the end perhaps a softmax or a sigmoid, which is left out."""
    chain = [node for node in path if node.kind not in _PASSING]
    if chain and (chain[-1].kind == "Softmax" or (chain[-1].kind == "Activation" and _link(chain[-1]))):
        chain = chain[:-1]
    elif chain and chain[-1].kind == "Dense" and _link(chain[-1]):
        last = chain[-1]
        chain[-1] = Node(last.kind, last.name, {**last.config, "activation": "linear"}, last.place)
    between = next((node for node in chain if node.config.get("activation", "linear") != "linear"), None)
    if between is not None:
        raise UsageError(
            f"{between} with activation={between.config['activation']!r} stands between the recurrent layers and the "
            "outputs",
            remedy=REMEDY,
        )
    composed = _composed(found, chain, hidden_size)
    if composed is None:
        raise UsageError(f"no Dense layer of {hidden_size} inputs after the recurrent layers", remedy=REMEDY)
    return composed


def _link(node: Node) -> bool:
    return node.config.get("activation") in _LINKS


def _checked_cell(node: Node, *, is_last: bool) -> CellName:
    _require(node, "go_backwards", False)
    if not is_last:
        _require(node, "return_sequences", True)
    if node.kind == "SimpleRNN":
        _require(node, "activation", "tanh", "relu")
        return "rnn_relu" if node.config["activation"] == "relu" else "rnn_tanh"
    _require(node, "activation", "tanh")
    _require(node, "recurrent_activation", "sigmoid")
    if node.kind == "LSTM":
        return "lstm"
    _require(node, "reset_after", True)
    return "gru"


def _require(node: Node, option: str, *allowed: Any) -> None:
    if node.config.get(option) not in allowed:
        raise UsageError(
            f"{node} with {option}={node.config.get(option)!r}",
            remedy=f"only {option}={' or '.join(map(repr, allowed))} is the same function in PyTorch's terms. {REMEDY}",
        )


def _layer(arrays: Sequence[np.ndarray], cell: CellName, *, has_bias: bool) -> Layer:
    """Return a recurrent layer in PyTorch's order of gates."""
    if len(arrays) < 2 or any(one.ndim != 2 for one in arrays[:2]):
        found = [array.shape for array in arrays]
        raise UsageError(f"a recurrent layer of arrays {found}, expected two kernels and a bias", remedy=REMEDY)
    biases: tuple[np.ndarray | None, np.ndarray | None] = (arrays[2] if len(arrays) > 2 else None, None)
    if cell == "gru" and has_bias:
        if biases[0] is None or biases[0].ndim != 2 or len(biases[0]) != 2:
            raise UsageError(
                "a GRU with reset_after=False, which is another cell, or one without biases, which could be either",
                remedy="train it with reset_after=True, the default, or probe it as a black box.",
            )
        biases = (biases[0][0], biases[0][1])
    layer = ArrayLayer(input_kernel=arrays[0], recurrent_kernel=arrays[1], bias=biases[0], recurrent_bias=biases[1])
    return layers_in_torch_order(cell, [layer], gate_order=_GATE_ORDERS[cell], transposed=True)[0]


# -- weights alone ---------------------------------------------------------------------------------


def _undescribed(found: Arrays, hints: Hints) -> list[Converted]:
    """Return the readings of weights alone, by PyTorch's names."""
    tensors: dict[str, Tensor] = {}
    options: dict[str, Any] = {**hints}
    places = sorted({name.rpartition("/vars/")[0] or name for name in found}, key=natural)
    if any("forward_layer" in place or "backward_layer" in place for place in places):
        raise UsageError("a Bidirectional layer, which answers only when its input has ended", remedy=REMEDY)
    named = {name.rpartition("/vars/")[0] or name for name in hints.get("input_scaling") or ()}
    for place in places:
        arrays = _of_layer(found, place)
        if place in named or not arrays:
            tensors |= {name: as_tensor(one) for name, one in found.items() if f"{name}/".startswith(f"{place}/")}
        elif place.endswith("/cell"):
            tensors |= _cell_tensors(place, arrays, hints)
        elif place.rpartition("/")[2].startswith("normalization") and len(arrays) == 3:
            tensors |= {f"{place}.mean": as_tensor(arrays[0]), f"{place}.std": as_tensor(np.sqrt(arrays[1]))}
            tensors[f"{place}.std"] = tensors[f"{place}.std"].clamp_min(_EPSILON)
            options["input_scaling"] = (f"{place}.mean", f"{place}.std")
        elif len(arrays) in {1, 2} and arrays[0].ndim == 2:
            kernel = as_tensor(arrays[0])
            tensors[f"{place}.weight"] = kernel if "emb" in place else kernel.T
            tensors |= {f"{place}.bias": as_tensor(one) for one in arrays[1:]}
        else:
            tensors |= {f"{place}/vars/{number}": as_tensor(one) for number, one in enumerate(arrays)}
    return from_named_tensors(tensors, Roles(are_answers_known=hints.get("check") is not None), options)


def _cell_tensors(place: str, arrays: Sequence[np.ndarray], hints: Hints) -> dict[str, Tensor]:
    if len(arrays) < 2 or arrays[1].ndim != 2:
        found = [array.shape for array in arrays]
        raise UsageError(f"a recurrent layer of arrays {found}, expected two kernels and a bias", remedy=REMEDY)
    cell = cell_of(arrays[1].shape[1], len(arrays[1]), hints.get("cell"))
    layer = vars(_layer(arrays, cell, has_bias=True))
    zeros = torch.zeros(len(layer["weight_hh"])).to(layer["weight_hh"])
    return {f"{place}.{name}": zeros if one is None else one for name, one in layer.items()}
