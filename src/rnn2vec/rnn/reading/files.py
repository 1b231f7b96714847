"""Checkpoints on disk, by their contents: safetensors, PyTorch, Stable-Baselines, Keras and ONNX files.

File types are detected from their first bytes, not from their names. Files come from elsewhere and are not trusted:
`rnn2vec.rnn.reading.untrusted` checks them before a library opens them, and nothing in them is run.

This module alone puts the path before an error; the readers do not know it.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._registry import FORMATS
from rnn2vec.rnn.parts import Converted, warn_of
from rnn2vec.rnn.reading import torch_files
from rnn2vec.rnn.reading.formats import CheckpointFormat
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints, readings

SUFFIXES = (".safetensors", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".zip", ".h5", ".hdf5", ".keras", ".onnx")
"""Endings of files that may hold a checkpoint."""


def suffixes() -> tuple[str, ...]:
    """Return the file name endings of all formats: the built-in ones, and those of other packages."""
    return (*SUFFIXES, *(suffix for _, one in FORMATS.loadable() for suffix in one.suffixes))


Format = Literal["safetensors", "torch", "stable-baselines", "keras", "hdf5", "onnx"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LFS = b"version https://git-lfs"
_FLOAT32_LARGEST = 3.4028235e38


def load_rnn(path: str | Path, **hints: Unpack[Hints]) -> RNNStack:
    """Return the RNN in a checkpoint file, as a stack of one.

    Examples:
        >>> torch.save(gru_stack.to_modules()[0].state_dict(), "rnn.pt")
        >>> stack = load_rnn("rnn.pt")
        >>> stack.spec.cell
        'gru'

    Assumptions about what the file leaves open are in `RNNStack.assumed`, and given as an `AssumedWarning`.

    Args:
        path: a safetensors, PyTorch (Lightning's too), Stable-Baselines, Keras 3 (`.weights.h5`, `.keras`) or ONNX
            file.
        **hints: what the file leaves open, see `rnn2vec.rnn.state_dicts.Hints`.

    Raises:
        UsageError: there is no such file, or it holds no RNN that fits a cell, or a library is missing that reads it.
        DataError: the file is damaged or may do harm, or weights are NaN, infinite, or beyond the range of float32.
    """
    stack = read_rnn(Path(path), **hints)
    warn_of(tuple(f"{path}: {one}" for one in stack.assumed))
    return stack


def read_rnn(path: Path, **hints: Unpack[Hints]) -> RNNStack:
    """Return the RNN in a checkpoint file as `load_rnn` does, without a warning."""
    _require_file(path)
    try:
        if (reader := _registered_reader(path)) is not None:
            return _read_by(reader, path, hints)
        converted = RNNStack.chosen(_readings(path, hints), hints.get("check"))
        _require_range(converted)
    except Rnn2VecError as error:
        raise type(error)(f"{path}: {error.problem}", remedy=error.remedy) from error
    return RNNStack.of_one(converted, str(path))


def _registered_reader(path: Path) -> CheckpointFormat | None:
    """Return the format of another package that claims this file name ending; built-in endings are not claimed."""
    if path.suffix in SUFFIXES:
        return None
    return next((one for _, one in FORMATS.loadable() if path.suffix in one.suffixes), None)


def _read_by(reader: CheckpointFormat, path: Path, hints: Hints) -> RNNStack:
    """Read the one RNN of a file in a format of another package.

    Raises:
        UsageError: hints were given, which only built-in formats take, or the file does not hold one RNN.
    """
    given = [name for name, value in hints.items() if value]
    if given:
        remedy = "leave it out: the format has a reader of its own."
        raise UsageError(f"{', '.join(given)} for a {path.suffix} file", remedy=remedy)
    stack = reader.read(path)
    if len(stack) != 1:
        raise UsageError(f"the reader of {path.suffix} files returned {len(stack)} RNNs", remedy="return one.")
    stack.require_finite(["the RNN"])
    return stack


def format_of(path: Path) -> Format:
    """Return the type of a file, by its first bytes, and by its name where these leave it open.

    Raises:
        DataError: the file is empty, or a pointer to one in Git's large file storage.
    """
    with path.open("rb") as file:
        begin = file.read(32)
    if not begin:
        raise DataError("the file is empty (0 bytes)", remedy="save or copy it again.")
    if begin.startswith(_LFS):
        raise DataError(
            "a Git LFS pointer, not the file itself", remedy="fetch the file: git lfs pull; then rerun the command."
        )
    if path.suffix == ".safetensors" and begin[8:9] == b"{":
        return "safetensors"
    if begin.startswith(_HDF5):
        return "hdf5"
    if zipfile.is_zipfile(path):
        return _kind_of_archive(path)
    if path.suffix == ".onnx":
        return "onnx"
    return "safetensors" if path.suffix == ".safetensors" or begin[8:9] == b"{" else "torch"


def _kind_of_archive(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        names = set[str]()
    if path.suffix == ".keras" or "model.weights.h5" in names:
        return "keras"
    return "stable-baselines" if {torch_files.POLICY, "data"} <= names else "torch"


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy=f"give the path of a checkpoint ({', '.join(suffixes())}).")


def _readings(path: Path, hints: Hints) -> Sequence[Converted]:
    """Return what the file's own reader makes of it; those of other frameworks need a library that few people have."""
    kind = format_of(path)
    if kind == "stable-baselines":
        tensors, assumed = torch_files.policy_in(path)
        return [one._replace(assumed=(*assumed, *one.assumed)) for one in readings(tensors, **hints)]
    if kind in {"safetensors", "torch"}:
        return readings(_content(path, kind), **hints)
    reader = "onnx_files" if kind == "onnx" else "keras_files"
    return importlib.import_module(f"rnn2vec.rnn.reading.{reader}").read(path, **hints)


def _content(path: Path, kind: Format) -> Any:
    return torch_files.safetensors_in(path) if kind == "safetensors" else torch_files.torch_content(path)


def _require_range(converted: Converted) -> None:
    """Refuse float64 weights that encoders, which compute in float32, would see as infinite."""
    for name, weight in converted.weights.items():
        largest = float(weight.abs().max())
        if _FLOAT32_LARGEST < largest < float("inf"):
            raise DataError(
                f"{name} holds numbers up to {largest:.3g}, beyond the range of float32",
                remedy="leave it out or take an earlier checkpoint: it has diverged.",
            )
