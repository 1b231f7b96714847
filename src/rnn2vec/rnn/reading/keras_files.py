"""Keras 3 models: `.weights.h5` (the weights) and `.keras` (an archive of these with the model's description).

An LSTM's gates are `i f c o`, a GRU's `z r h`, kernels are (inputs, units). A GRU with `reset_after=False` resets its
state before it is multiplied with the recurrent weights: no PyTorch GRU does that, and none can be made of it. In the
weights alone it shows in a bias of one row instead of two; the description says it, and the activations besides, which
the weights leave open.

Keras itself is not used: it runs what a description names. A description is read as data, and each kind of layer that
is not known to leave the function as it is, is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.parts import Converted, Scaling, cell_of
from rnn2vec.rnn.reading import hdf5, untrusted
from rnn2vec.rnn.reading.arrays import ArrayLayer, as_tensor, converted
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.state_dicts import shapes, without

_REMEDY = "give a Keras 3 model of LSTM, GRU or SimpleRNN layers under one Dense layer, saved as .keras or .weights.h5."
_GATE_ORDERS: dict[CellName, str] = {"lstm": "i f c o", "gru": "z r h", "rnn_tanh": "", "rnn_relu": ""}
_NO_WEIGHTS_OF_THE_RNN = re.compile(r"(optimizer|metrics)\b|.*(seed_generator|/vars/.*seed)")
_PASSING = {"InputLayer", "Dropout", "SpatialDropout1D", "TimeDistributed", "Softmax"}
_CONTAINERS = {"Sequential", "Functional", "Model"}
_EPSILON = 1e-7  # below which Keras does not let a standard deviation fall


def read(
    path: Path,
    *,
    cell: CellName | None = None,
    ignore: Sequence[str] = (),
    input_scaling: tuple[str, str] | None = None,
) -> Converted:
    """The RNN in a Keras file.

    Args:
        path: the file.
        cell: which cell it is, where shapes leave it open (tanh or ReLU); a `.keras` file says it itself.
        ignore: patterns of names in the file, such as `"layers/value_head/*"`.
        input_scaling: names of two arrays; a Normalization layer is read without it.

    Raises:
        UsageError: it holds something else, or h5py is not installed.
        DataError: it is damaged or claims more than it has.
    """
    try:
        found, described = _opened(path)
    except (untrusted.Refused, zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a Keras file: {error}", remedy=_REMEDY) from error
    constants = None
    if described is not None:
        cell = _described_cell(described) or cell
        constants = _described_scaling(described)
    found = without({name: one for name, one in found.items() if not _NO_WEIGHTS_OF_THE_RNN.match(name)}, ignore)
    return _converted(found, cell, input_scaling, constants)


def _opened(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays, and the description where there is one."""
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        return hdf5.arrays(str(path), size), None
    with zipfile.ZipFile(path) as archive:
        untrusted.check_archive(archive, size)
        weights = archive.read("model.weights.h5")
        return hdf5.arrays(io.BytesIO(weights), len(weights)), untrusted.json_entry(archive, "config.json")


# -- the description -------------------------------------------------------------------------------


def _described_cell(description: Mapping[str, Any]) -> CellName | None:
    """The cell that a description names.

    Raises:
        UsageError: a layer is of a kind that is not read, or does what PyTorch's does not.
    """
    cells: set[CellName] = set()
    for kind, config in _layers(description):
        if kind in {"LSTM", "GRU", "SimpleRNN"}:
            cells.add(_checked_cell(kind, config))
        elif kind in {"Dense", "Activation"}:
            _require(kind, config, "activation", "linear", "softmax")
        elif kind == "Embedding":
            _require(kind, config, "mask_zero", False)
        elif kind == "Normalization":
            _require(kind, config, "invert", False)
        elif kind not in _PASSING:
            raise UsageError(f"a layer of kind {kind}, which is not read", remedy=_REMEDY)
    if len(cells) > 1:
        raise UsageError(f"layers of several cells: {', '.join(sorted(cells))}", remedy=_REMEDY)
    return cells.pop() if cells else None


def _described_scaling(description: Mapping[str, Any]) -> Scaling | None:
    """The constants of a Normalization layer that has not learned them from data: its weights do not hold them."""
    for kind, config in _layers(description):
        if kind == "Normalization" and config.get("mean") is not None:
            try:
                mean, variance = (np.asarray(config[name], np.float64) for name in ("mean", "variance"))
            except (KeyError, TypeError, ValueError) as error:
                raise UsageError("a Normalization layer without numbers", remedy=_REMEDY) from error
            return _standardizing(mean, variance)
    return None


def _standardizing(mean: np.ndarray, variance: np.ndarray) -> Scaling:
    return Scaling(shift=as_tensor(mean), scale=as_tensor(np.maximum(np.sqrt(variance), _EPSILON)))


def _layers(description: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Kind and config of every layer, inside containers and wrappers too."""
    waiting: list[Any] = [description]
    while waiting:
        layer = waiting.pop(0)
        if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
            raise UsageError("a description that is not one of layers", remedy=_REMEDY)
        config = cast("dict[str, Any]", layer["config"])
        kind = str(layer.get("class_name"))
        if kind not in _CONTAINERS:
            yield kind, config
        waiting += config.get("layers") or []
        waiting += [config["layer"]] if "layer" in config else []


def _checked_cell(kind: str, config: Mapping[str, Any]) -> CellName:
    _require(kind, config, "go_backwards", False)
    if kind == "SimpleRNN":
        _require(kind, config, "activation", "tanh", "relu")
        return "rnn_relu" if config["activation"] == "relu" else "rnn_tanh"
    _require(kind, config, "activation", "tanh")
    _require(kind, config, "recurrent_activation", "sigmoid")
    if kind == "LSTM":
        return "lstm"
    _require(kind, config, "reset_after", True)
    return "gru"


def _require(kind: str, config: Mapping[str, Any], option: str, *allowed: Any) -> None:
    if config.get(option) not in allowed:
        raise UsageError(
            f"{kind} with {option}={config.get(option)!r}",
            remedy=f"only {option}={' or '.join(map(repr, allowed))} is the same function in PyTorch's terms.",
        )


# -- the weights -----------------------------------------------------------------------------------


def _converted(
    found: Mapping[str, np.ndarray],
    cell: CellName | None,
    input_scaling: tuple[str, str] | None,
    constants: Scaling | None,
) -> Converted:
    groups = _groups(found)
    names = sorted((name for name in groups if name.endswith("cell")), key=_natural)
    if not names or any("forward_layer" in name or "backward_layer" in name for name in names):
        what = "a Bidirectional layer, which answers only when its input has ended" if names else "no recurrent layers"
        raise UsageError(f"{what} among {shapes(found)}", remedy=_REMEDY)
    recurrent = [groups.pop(name) for name in names]
    inputs, hidden_size = (_matrix(recurrent[0], place).shape[0] for place in (0, 1))
    cell = cell_of(_matrix(recurrent[0], 1).shape[1], hidden_size, cell)
    scaling = _scaling(groups, found, input_scaling) or constants
    embedding = _taken(groups, lambda name, arrays: "emb" in name and arrays[0].shape[1:] == (inputs,), "embeddings")
    readout = _taken(groups, lambda _, arrays: arrays[0].ndim == 2 and len(arrays[0]) == hidden_size, "Dense layers")
    if readout is None:
        raise UsageError(f"no Dense layer of {hidden_size} inputs among {shapes(found)}", remedy=_REMEDY)
    if groups:
        others = {name: one for name, one in found.items() if any(name.startswith(group) for group in groups)}
        raise UsageError(
            f"beside recurrent layers and one Dense layer there is: {shapes(others)}",
            remedy="leave out what the outputs do not depend on, with ignore=('layers/name/*',).",
        )
    return converted(
        cell,
        [_layer(arrays, cell) for arrays in recurrent],
        readout[0],
        readout[1] if len(readout) > 1 else None,
        gate_order=_GATE_ORDERS[cell],
        transposed=True,
        embedding=None if embedding is None else embedding[0],
        scaling=scaling,
    )


def _groups(found: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer in order: `layers/lstm/cell/vars/0` is the first of `layers/lstm/cell`."""
    groups: dict[str, list[np.ndarray]] = {}
    for name in sorted(found, key=_natural):
        place, _, _ = name.rpartition("/vars/")
        groups.setdefault(place or name, []).append(found[name])
    return groups


def _natural(name: str) -> list[tuple[int, str]]:
    """`lstm` before `lstm_1`, and `lstm_9` before `lstm_10`."""
    parts = re.split(r"(\d+)", re.sub(r"(?<![\d_])/", "_0/", name))
    return [(len(part) if part.isdecimal() else 0, part) for part in parts]


def _matrix(arrays: Sequence[np.ndarray], place: int) -> np.ndarray:
    if len(arrays) <= place or arrays[place].ndim != 2:
        found = [array.shape for array in arrays]
        raise UsageError(f"a recurrent layer of arrays {found}, expected two kernels and a bias", remedy=_REMEDY)
    return arrays[place]


def _layer(arrays: Sequence[np.ndarray], cell: CellName) -> ArrayLayer:
    kernels = {"input_kernel": _matrix(arrays, 0), "recurrent_kernel": _matrix(arrays, 1)}
    bias = arrays[2] if len(arrays) > 2 else None
    if cell != "gru":
        return ArrayLayer(**kernels, bias=bias)
    if bias is None or bias.ndim != 2 or len(bias) != 2:
        raise UsageError(
            "a GRU with reset_after=False, which is another cell (or without biases, where it cannot be told)",
            remedy="train it with reset_after=True, the default, or probe it as a black box.",
        )
    return ArrayLayer(**kernels, bias=bias[0], recurrent_bias=bias[1])


def _taken(groups: dict[str, list[np.ndarray]], fits: Any, what: str) -> list[np.ndarray] | None:
    """The one layer that fits, taken out of the groups."""
    fitting = [name for name, arrays in groups.items() if fits(name, arrays)]
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} {what} that fit: {', '.join(fitting)}", remedy=f"{_REMEDY} Or ignore others.")
    return groups.pop(fitting[0]) if fitting else None


def _scaling(
    groups: dict[str, list[np.ndarray]], found: Mapping[str, np.ndarray], names: tuple[str, str] | None
) -> Scaling | None:
    """A Normalization layer (mean, variance, count), or the two arrays of those names."""
    if names is not None:
        if not set(names) <= set(found):
            raise UsageError(f"no arrays {' and '.join(names)} among {shapes(found)}", remedy="give names in the file.")
        for name in names:
            groups.pop(name.rpartition("/vars/")[0] or name, None)
        return Scaling(shift=as_tensor(found[names[0]]), scale=as_tensor(found[names[1]]))
    normalization = _taken(
        groups, lambda name, _: name.rpartition("/")[2].startswith("normalization"), "normalizations"
    )
    if normalization is None:
        return None
    return _standardizing(*normalization[:2])
