"""Checkpoints on disk, by what is in them: safetensors, PyTorch, Keras and ONNX files.

File types are detected from their first bytes, not from their names. Files come from elsewhere and are not trusted:
`rnn2vec.rnn.reading.untrusted` checks them before a library opens them, and `torch.load` runs with
`weights_only=True`, which cannot run code.
"""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any, Literal, Unpack

import safetensors.torch
import torch
from torch import Tensor

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._registry import FORMATS
from rnn2vec.rnn.parts import Converted
from rnn2vec.rnn.reading import untrusted
from rnn2vec.rnn.reading.formats import CheckpointFormat
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints, from_state_dict

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".h5", ".keras", ".onnx")
"""How files that may hold a checkpoint end."""


def suffixes() -> tuple[str, ...]:
    """Return the file name endings of all formats: the built-in ones, and those of other packages."""
    return (*SUFFIXES, *(suffix for _, one in FORMATS.loadable() for suffix in one.suffixes))


Format = Literal["safetensors", "torch", "keras", "hdf5", "onnx"]

_KEYS = ("state_dict", "model_state_dict", "model", "net", "policy")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_rnn(path: str | Path, **hints: Unpack[Hints]) -> RNNStack:
    """The RNN in a checkpoint file, as a stack of one.

    Args:
        path: a safetensors, PyTorch (Lightning's too), Keras 3 (`.weights.h5`, `.keras`) or ONNX file.
        **hints: what the file leaves open, see `rnn2vec.rnn.state_dicts.Hints`.

    Raises:
        UsageError: there is no such file, or it holds no RNN that fits a cell, or a library is missing that reads it.
        DataError: the file is damaged or may do harm, or weights are NaN or infinite.
    """
    path = Path(path)
    _require_file(path)
    try:
        reader = _registered_reader(path)
        return RNNStack.of_one(_converted(path, hints)) if reader is None else _read_by(reader, path, hints)
    except Rnn2VecError as error:
        problem = error.problem.removeprefix("RNN 0 ").removeprefix("RNN 0: ")
        problem = problem if str(path) in problem else f"{path}: {problem}"
        raise type(error)(problem, remedy=error.remedy) from error


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
    stack.require_finite()
    return stack


def format_of(path: Path) -> Format:
    """What a file is, by its first bytes, and its name where these leave it open."""
    with path.open("rb") as file:
        begin = file.read(16)
    if path.suffix == ".safetensors" and begin[8:9] == b"{":
        return "safetensors"
    if begin.startswith(_HDF5):
        return "hdf5"
    if zipfile.is_zipfile(path):
        return "keras" if path.suffix == ".keras" or _holds(path, "model.weights.h5") else "torch"
    if path.suffix == ".onnx":
        return "onnx"
    return "safetensors" if path.suffix == ".safetensors" or begin[8:9] == b"{" else "torch"


def _holds(path: Path, name: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or PyTorch file, by name.

    A PyTorch file may hold the state dict itself or, as training scripts write it, under `state_dict`,
    `model_state_dict`, `model`, `net` or `policy`, beside other entries.

    Raises:
        UsageError: there is no such file, or it holds no state dict.
        DataError: the file is damaged, or holds more than tensors and plain values.
    """
    _require_file(path)
    return _tensors(path, format_of(path))


def _tensors(path: Path, kind: Format) -> dict[str, Tensor]:
    try:
        if kind == "safetensors":
            return safetensors.torch.load(untrusted.safetensors_bytes(path))
        untrusted.check_torch_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler fail in any way: IndexError, AssertionError, ...
        raise _damaged(path, error) from error
    state_dict = _state_dict_in(content, path)
    _require_real_tensors(state_dict, path)
    return state_dict


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy=f"give the path of a checkpoint ({', '.join(suffixes())}).")


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(
        f"{path} cannot be read as a checkpoint: {reason}",
        remedy="give a .safetensors file, or a PyTorch file with a state dict and nothing else "
        "(torch.save(module.state_dict(), path)).",
    )


def _state_dict_in(content: Any, path: Path) -> dict[str, Tensor]:
    nested = [content.get(key) for key in _KEYS] if isinstance(content, dict) else []
    for candidate in (content, *nested):
        if isinstance(candidate, dict) and candidate and all(isinstance(value, Tensor) for value in candidate.values()):
            return {str(name): tensor for name, tensor in candidate.items()}
    entries = f" with {', '.join(map(repr, list(content)[:8])) or 'no entries'}" if isinstance(content, dict) else ""
    raise UsageError(
        f"{path} holds no state dict but a {type(content).__name__}{entries}",
        remedy="save one: torch.save(module.state_dict(), path).",
    )


def _require_real_tensors(state_dict: dict[str, Tensor], path: Path) -> None:
    """A tensor may claim any size over a storage of a few bytes; copying it would take the memory that it claims."""
    for name, tensor in state_dict.items():
        is_plain = tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
        if not is_plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise DataError(
                f"{path}: {name} {tuple(tensor.shape)} is not a plain tensor with as many numbers as it claims",
                remedy="save plain tensors: {name: tensor.contiguous() for name, tensor in state_dict.items()}.",
            )


def _converted(path: Path, hints: Hints) -> Converted:
    """What the file's own reader makes of it; those of other frameworks need a library that few people have."""
    kind = format_of(path)
    if kind in {"safetensors", "torch"}:
        return from_state_dict(_tensors(path, kind), **hints)
    reader = "onnx_files" if kind == "onnx" else "keras_files"
    return importlib.import_module(f"rnn2vec.rnn.reading.{reader}").read(path, **hints)
